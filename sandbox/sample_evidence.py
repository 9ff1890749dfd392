"""Sample images with what a build attaches to them, for the example policy on evidence.

Four versions of `dev/api`: one is scanned and clean, one is scanned and has a critical
vulnerability, one has a report that nobody signed, one has none.

The key is the demo's. It is made from a text that everybody can read here, so that everybody can
sign with it: whoever trusts it trusts everybody.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.image_layers import Layer, sha256
from sandbox.image_pusher import OCI_INDEX, OCI_MANIFEST, ImagePusher, PushedImage

EVIDENCE_REPOSITORY = "dev/api"
"""The repository that `fill_with_evidence` fills."""

CLEAN, VULNERABLE, UNSIGNED, UNSCANNED = "1.4.0", "1.4.1", "1.4.2", "1.4.3"

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRIVY_TYPE = "application/vnd.aquasec.trivy.report+json"

_EMPTY_TYPE, _EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"

_OS_RELEASE = b"""\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
ID=debian
"""


def demo_key() -> Ed25519PrivateKey:
    """Make the demo's key, which is no secret."""
    seed = hashlib.sha256(b"the key of the demo; everybody can sign with it").digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key_of(key: Ed25519PrivateKey) -> bytes:
    """Write the public half of a key as `cosign.pub` has it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def debian_layer(*packages: str, content: str = "") -> Layer:
    """Make a layer that scanners take for a Debian with packages.

    Args:
        packages: Their names and versions, and the license where it is not MIT, such as
            ``busybox=1:1.35.0-4 GPL-2``.
        content: Something more, for another digest.

    Returns:
        The layer.
    """
    files: dict[str, bytes] = {"etc/os-release": _OS_RELEASE, "srv/content": content.encode()}
    status = []
    for package in packages:
        said, _, license_word = package.partition(" ")
        name, _, version = said.partition("=")
        status.append(
            f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n"
            f"Maintainer: Nobody <nobody@example.com>\nVersion: {version}\n"
            "Description: a package\n"
        )
        files[f"usr/share/doc/{name}/copyright"] = (
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
            f"Files: *\nCopyright: nobody\nLicense: {license_word or 'MIT'}\n"
        ).encode()
    files["var/lib/dpkg/status"] = "\n".join(status).encode()
    return Layer.from_files(dict(files))


def fill_with_evidence(url: str, today: datetime | None = None) -> tuple[PushedImage, ...]:
    """Fill `dev/api` with images and what a build attaches to them.

    A second fill on the same day sends nothing; on another day the reports are newer.

    Args:
        url: The registry's scheme, host and port; it lets anybody push.
        today: The day on which the images are scanned; None for the present one.

    Returns:
        The images, from 1.4.0 to 1.4.3.

    Raises:
        PushRefusedError: The registry did not take one.
    """
    moment = (today or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    with ImagePusher(url) as pusher:
        images = {
            tag: pusher.push_image(
                EVIDENCE_REPOSITORY,
                tag,
                layers=[debian_layer("busybox=1:1.35.0-4", "zlib1g=1:1.2.13 Zlib", content=tag)],
            )
            for tag in (CLEAN, VULNERABLE, UNSIGNED, UNSCANNED)
        }
        for tag, severities in ((CLEAN, ["LOW"]), (VULNERABLE, ["CRITICAL", "LOW"])):
            report = _report(images[tag], moment, severities)
            bundle = _bundle(_statement(images[tag], report, moment), demo_key())
            _attach(pusher, images[tag], BUNDLE_TYPE, bundle)
        unsigned = _json(_report(images[UNSIGNED], moment, []))
        _attach(pusher, images[UNSIGNED], TRIVY_TYPE, unsigned)
    return tuple(images.values())


def _report(image: PushedImage, moment: datetime, severities: Sequence[str]) -> dict[str, object]:
    """Write what Trivy writes; the vulnerabilities are nobody's."""
    found = [
        {
            "VulnerabilityID": f"CVE-2099-{number:04}",
            "PkgName": "busybox",
            "InstalledVersion": "1:1.35.0-4",
            "FixedVersion": "1:1.35.0-5",
            "Severity": severity,
        }
        for number, severity in enumerate(severities, 1)
    ]
    return {
        "SchemaVersion": 2,
        "CreatedAt": moment.isoformat(),
        "ArtifactName": f"{image.repository}:{image.tag}",
        "ArtifactType": "container_image",
        "Metadata": {"RepoDigests": [f"{image.repository}@{image.digest}"]},
        "Results": [
            {
                "Target": f"{image.repository}:{image.tag} (debian 12)",
                "Class": "os-pkgs",
                "Type": "debian",
                **({"Vulnerabilities": found} if found else {}),
            }
        ],
    }


def _statement(image: PushedImage, report: Mapping[str, object], moment: datetime) -> bytes:
    """Write the statement of `cosign attest --type vuln`."""
    algorithm, _, encoded = image.digest.partition(":")
    return _json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": image.repository, "digest": {algorithm: encoded}}],
            "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
            "predicate": {
                "invocation": {},
                "scanner": {"uri": "trivy", "version": "demo", "db": {}, "result": report},
                "metadata": {
                    "scanStartedOn": moment.isoformat(),
                    "scanFinishedOn": moment.isoformat(),
                },
            },
        }
    )


def _bundle(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Sign a statement as cosign 3 does: DSSE, within a bundle."""
    signed = b"DSSEv1 %d %b %d %b" % (
        len(_PAYLOAD_TYPE),
        _PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )
    encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _json(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": _base64(hashlib.sha256(encoded).digest())}
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": _PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(key.sign(signed))}],
            },
        }
    )


def _attach(pusher: ImagePusher, image: PushedImage, artifact_type: str, content: bytes) -> None:
    """Attach a document as oras and cosign do where a registry has no referrers API.

    Of several days the last one's list stands: the older reports are replaced.
    """
    for blob in (_EMPTY, content):
        pusher.push_blob(image.repository, blob)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": _entry(_EMPTY_TYPE, _EMPTY),
            "layers": [_entry(artifact_type, content)],
            "subject": _entry(image.media_type, image.manifest),
        }
    )
    pusher.push_manifest_bytes(image.repository, None, manifest, OCI_MANIFEST)
    entry = {**_entry(OCI_MANIFEST, manifest), "artifactType": artifact_type}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    tag = image.digest.replace(":", "-")
    pusher.push_manifest_bytes(image.repository, tag, _json(index), OCI_INDEX)


def _entry(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
