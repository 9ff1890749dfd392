"""How a registry that was named by a plain image reference is reached, and who we are there.

A connection of the environment that leads to the registry says both. Without one, Docker's logins
are used, else nobody; and https, but for this machine itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from image_promotion.cli.connections import CONNECTION_TYPE, connection_fields, find_endpoint
from image_promotion.cli.docker_logins import find_login
from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.address import is_loopback
from image_promotion.registry.endpoint import DOCKER_HUB_URL, RegistryEndpoint, RegistryType
from image_promotion.registry.reference import DEFAULT_REGISTRY

_VARIABLE = "AIRFLOW_CONN_"


@dataclass(frozen=True, slots=True)
class Transport:
    """What the command's options say about the way to registries of plain references.

    Args:
        plain_http: Whether they are reached by http.
        ca_certificate: A file of certificate authorities to trust, in PEM.
        skip_tls_verification: Whether any certificate is taken.
    """

    plain_http: bool = False
    ca_certificate: Path | None = None
    skip_tls_verification: bool = False

    @property
    def asks_for_tls(self) -> bool:
        """Whether an option makes sense with https alone."""
        return self.skip_tls_verification or self.ca_certificate is not None


def endpoint_of(
    registry: str, transport: Transport, environ: Mapping[str, str]
) -> RegistryEndpoint:
    """Return how a registry is reached.

    Args:
        registry: The registry of a reference: ``docker.io``, ``localhost:5000``.
        transport: What the options say.
        environ: The environment.

    Returns:
        Its endpoint, without a namespace: the reference has the whole name of the repository.

    Raises:
        ConnectionSettingsError: Several connections lead there, or what should say who we are
            cannot be read.
    """
    anonymous = _anonymous(registry, transport)
    known = _matching(registry, environ)
    if len(known) > 1:
        ids = ", ".join(sorted(endpoint.connection_id for endpoint in known))
        raise ConnectionSettingsError(
            f"several connections lead to {registry}: {ids}",
            connection_id=registry,
            advice=f"Say which one is meant: conn://{known[0].connection_id}/REPOSITORY:TAG.",
        )
    if known:
        return _as_connected(known[0], anonymous, transport)
    login = find_login(registry, environ)
    if login is None:
        return anonymous
    return RegistryEndpoint.from_fields(
        registry,
        host=anonymous.url,
        port=None,
        login=login.username,
        password=login.secret,
        extra=_extra(anonymous),
    )


def _anonymous(registry: str, transport: Transport) -> RegistryEndpoint:
    """Return how a registry is reached when nothing is known of it."""
    is_hub = registry == DEFAULT_REGISTRY
    extra: dict[str, object] = {}
    if transport.ca_certificate is not None:
        try:
            extra["ca_certificate"] = transport.ca_certificate.read_text(encoding="ascii")
        except (OSError, UnicodeError) as error:
            raise ConnectionSettingsError(
                f"{transport.ca_certificate} cannot be read ({type(error).__name__})",
                connection_id=registry,
                field="ca_certificate",
                advice="Name a file of certificates in PEM.",
            ) from error
    if is_hub:
        # The public one is always what it says: an option meant for another must not weaken it.
        url = DOCKER_HUB_URL
        extra["registry_type"] = RegistryType.DOCKER_HUB
    else:
        here = is_loopback(httpx.URL(f"http://{registry}"))
        is_plain = transport.plain_http or (here and not transport.asks_for_tls)
        url = f"{'http' if is_plain else 'https'}://{registry}"
        extra["skip_tls_verification"] = transport.skip_tls_verification
    return RegistryEndpoint.from_fields(
        registry, host=url, port=None, login=None, password=None, extra=extra
    )


def _extra(endpoint: RegistryEndpoint) -> Mapping[str, object]:
    return {
        "registry_type": endpoint.registry_type,
        "ca_certificate": endpoint.ca_certificate,
        "skip_tls_verification": endpoint.skip_tls_verification,
    }


def _as_connected(
    known: RegistryEndpoint, anonymous: RegistryEndpoint, transport: Transport
) -> RegistryEndpoint:
    """Return a connection's endpoint with what the options say about it."""
    if transport.plain_http and known.url.startswith("https://") and known.url != DOCKER_HUB_URL:
        raise ConnectionSettingsError(
            "the connection says https, and --plain-http would send its password readable",
            connection_id=known.connection_id,
            advice="Leave --plain-http out, or write http:// into the connection's host.",
        )
    return replace(
        known,
        namespace="",
        ca_certificate=anonymous.ca_certificate or known.ca_certificate,
        skip_tls_verification=(known.skip_tls_verification or anonymous.skip_tls_verification),
    )


def _matching(registry: str, environ: Mapping[str, str]) -> list[RegistryEndpoint]:
    """Return the endpoints of all connections of the environment that lead to a registry."""
    name = registry.lower()
    hosts = {_anonymous(registry, Transport(plain_http=plain)).host for plain in (False, True)}
    found = []
    for variable, text in environ.items():
        if not variable.startswith(_VARIABLE):
            continue
        try:
            fields = connection_fields(text.strip())
        except (ValueError, TypeError, AttributeError):
            continue  # of which kind it is cannot be known, so neither that it is meant
        if fields.conn_type != CONNECTION_TYPE:
            continue
        connection_id = variable.removeprefix(_VARIABLE).lower()
        try:
            endpoint = find_endpoint(connection_id, environ)
        except ConnectionSettingsError:
            # What is broken elsewhere is no matter here; what may be meant is not passed over.
            if fields.host and name in fields.host.lower():
                raise
            continue
        if isinstance(endpoint, RegistryEndpoint) and endpoint.host in hosts:
            found.append(endpoint)
    return found
