"""Images with Debian packages in them, and the reports of scanners attached as people do.

Everything is pushed by plain HTTP, as by oras and cosign, so that the product's client is never
tested against itself. The registries of the tests have no referrers API: lists stand under tags.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import Manifest, parse_manifest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from sandbox.image_pusher import OCI_INDEX, ImagePusher, PushedImage
from sandbox.registry_process import RegistryProcess
from tests.support.attachments import BUNDLE_TYPE, SIGNING_TYPE, Built, artifact, cosign_manifest
from tests.support.onlooker import Onlooker
from tests.support.scans import Document, trivy, trivy_result, trivy_vulnerability
from tests.support.signatures import (
    STATEMENT_V1,
    VULNERABILITIES_PREDICATE,
    SigningKey,
    base64,
    bundle,
    simple_signing_payload,
    statement,
)
from tests.support.signed_images import push

Login: TypeAlias = tuple[str, str]
"""User name and password."""


def descriptor_of(image: PushedImage) -> Descriptor:
    """Describe a pushed image as its referrers name it."""
    return Descriptor(image.media_type, Digest.parse(image.digest), len(image.manifest))


def attach(
    registry: RegistryProcess, repository: str, *built: Built, auth: Login | None = None
) -> None:
    """Push referrers, and list them beside what is listed already."""
    with ImagePusher(registry.url, auth=auth) as pusher:
        for each in built:
            subject = each.manifest.subject
            assert subject is not None
            push(pusher, repository, each)
            entries = [*listed(registry, repository, subject.digest, auth), _entry(each.manifest)]
            index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            made = Built(parse_manifest(json.dumps(index).encode(), None), ())
            push(pusher, repository, made, fallback_tag(subject.digest))


def listed(
    registry: RegistryProcess, repository: str, subject: Digest, auth: Login | None = None
) -> list[Document]:
    """Read what is listed as being about a digest."""
    with Onlooker(registry.url, auth) as raw:
        if fallback_tag(subject) not in raw.visible(repository):
            return []
        entries = json.loads(raw.manifest(repository, fallback_tag(subject)))["manifests"]
        return list(entries)


def attached_content(
    registry: RegistryProcess, repository: str, subject: Digest, artifact_type: str
) -> list[bytes]:
    """Read the one layer of each referrer of a type."""
    found = []
    with Onlooker(registry.url) as raw:
        for entry in listed(registry, repository, subject):
            manifest = json.loads(raw.manifest(repository, str(entry["digest"])))
            if manifest.get("artifactType") == artifact_type:
                (layer,) = manifest["layers"]
                found.append(raw.blob(repository, layer["digest"]))
    return found


def scan_report(image: Descriptor, made_at: datetime, *severities: str) -> Document:
    """Write what Trivy finds: one vulnerability of each severity."""
    vulnerabilities = [
        trivy_vulnerability(VulnerabilityID=f"CVE-2099-{number:04}", Severity=severity, CVSS={})
        for number, severity in enumerate(severities, 1)
    ]
    return trivy(
        trivy_result(*vulnerabilities),
        CreatedAt=made_at.isoformat(),
        Metadata={"RepoDigests": [f"registry.example.com/dev/website@{image.digest}"]},
    )


def attestation(
    image: Descriptor, predicate_type: str, predicate: Mapping[str, object], key: SigningKey
) -> Built:
    """Sign a statement about an image and attach it, as `cosign attest --key` does."""
    payload = statement(
        image.digest, predicate_type=predicate_type, predicate=predicate, version=STATEMENT_V1
    )
    return artifact(image, BUNDLE_TYPE, bundle(key, payload))


def scan_attestation(
    image: Descriptor, made_at: datetime, key: SigningKey, *severities: str
) -> Built:
    """Sign a report of a scan, as `cosign attest --type vuln --key` does."""
    report = scan_report(image, made_at, *severities)
    predicate = {
        "invocation": {},
        "scanner": {"uri": "trivy", "version": "0.70.0", "db": {}, "result": report},
        "metadata": {
            "scanStartedOn": made_at.isoformat(),
            "scanFinishedOn": made_at.isoformat(),
        },
    }
    return attestation(image, VULNERABILITIES_PREDICATE, predicate, key)


def sign(
    registry: RegistryProcess,
    repository: str,
    image: Descriptor,
    *keys: SigningKey,
    auth: Login | None = None,
) -> None:
    """Sign an image under cosign's tag `.sig`, with each of some keys."""
    payload = simple_signing_payload(image.digest)
    built = cosign_manifest(
        image.digest, [base64(key.sign(payload)) for key in keys], SIGNING_TYPE, payload=payload
    )
    with ImagePusher(registry.url, auth=auth) as pusher:
        push(pusher, repository, built, cosign_tags(image.digest)[0])


def _entry(manifest: Manifest) -> Document:
    return {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.content),
    }
