"""What Airflow's provider manager reads: the connection types and their forms.

An entry point that cannot be imported breaks every airflow command, so this module imports nothing.
"""

from __future__ import annotations


def get_provider_info() -> dict[str, object]:
    """Return the description of this provider.

    Returns:
        The provider's name and its connection types: where their hooks are, and their forms as
        data.

    Source: Airflow, "How to create your own provider", `get_provider_info`; the form's fields are
    `conn-fields` of Airflow's `provider.yaml.schema.json`.
    """
    return {
        "package-name": "image-promotion",
        "name": "Image promotion",
        "description": "Promotes container images from registry to registry when they earned it.",
        "versions": ["0.1.0"],
        "connection-types": [
            {
                "connection-type": "container_registry",
                "hook-class-name": (
                    "image_promotion.hooks.container_registry.ContainerRegistryHook"
                ),
                "hook-name": "Container registry",
                "conn-fields": _FIELDS,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {
                        "host": "Registry URL",
                        "login": "User name",
                        "password": "Password or access token",
                    },
                    "placeholders": {
                        "host": "https://registry.example.com, or /mnt/transfer for oci_layout",
                        "login": "empty for anonymous access or an access token",
                        # Without a port, the Test button of Airflow 3.3's list of connections
                        # takes the stored connection for another one and refuses to test it
                        # (apache/airflow pull request 73298, merged after 3.3.2).
                        "port": "the URL's, such as 443: Airflow's Test button needs it",
                    },
                },
            },
            {
                "connection-type": "signing_key",
                "hook-class-name": "image_promotion.hooks.signing_key.SigningKeyHook",
                "hook-name": "Signing key",
                "conn-fields": {
                    "passphrase": {
                        "label": "Passphrase",
                        "description": "Opens the private key, if it is encrypted.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    }
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "login", "schema", "extra"],
                    "relabeling": {"password": "Private key (PEM)"},
                    "placeholders": {"password": "-----BEGIN PRIVATE KEY-----"},
                },
            },
        ],
    }


_FIELDS: dict[str, object] = {
    "registry_type": {
        "label": "Registry type",
        "description": (
            "Docker Hub needs no URL. For oci_layout, a folder of OCI image layouts, the URL is "
            "the folder's absolute path, the same on every worker."
        ),
        "schema": {
            "type": ["string", "null"],
            "enum": ["oci", "dtr", "docker_hub", "harbor", "oci_layout"],
            "default": "oci",
        },
    },
    "namespace": {
        "label": "Namespace prefix",
        "description": "Put before every repository that policies name, such as team/site.",
        "schema": {"type": ["string", "null"]},
    },
    "ca_certificate": {
        "label": "CA certificate",
        "description": "PEM of the authority that signed the registry's certificate.",
        "schema": {"type": ["string", "null"], "format": "multiline"},
    },
    "skip_tls_verification": {
        "label": "Skip TLS verification",
        "description": "Accept any certificate. Whoever sits in between can then read passwords.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "test_repository": {
        "label": "Repository to test",
        "description": (
            "The Test button tries to read it, and to write it by starting and cancelling "
            "an upload."
        ),
        "schema": {"type": ["string", "null"]},
    },
    "creates_projects": {
        "label": "Create missing projects",
        "description": "Harbor only: a promotion into a project that is missing creates it.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "requests_per_second": {
        "label": "Requests per second",
        "description": "The most that one task asks; empty for no limit.",
        "schema": {"type": ["number", "null"]},
    },
    "bytes_per_second": {
        "label": "Bytes per second",
        "description": "The most that one task reads and writes; empty for no limit.",
        "schema": {"type": ["number", "null"]},
    },
    "webhook_secret": {
        "label": "Webhook secret",
        "description": (
            "What the registry's notifications must send, 16 characters or more. "
            "Empty to take none."
        ),
        "schema": {"type": ["string", "null"], "format": "password"},
    },
}
