"""Manifests shaped as cosign and oras write them, of our own bytes; no signature is real.

The shapes are those of cosign's signature specification (tags ``.sig``, ``.att``), of its bundles
(referrers of the artifact type ``application/vnd.dev.sigstore.bundle.v0.3+json``) and of the OCI
image specification's "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import (
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    parse_manifest,
)
from tests.support.memory_store import CONFIG_TYPE, MemoryStore, entry

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SBOM_TYPE = "application/spdx+json"
SIGNING_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


@dataclass(frozen=True, slots=True)
class Built:
    """A manifest, and the blobs that must be there before it."""

    manifest: Manifest
    blobs: tuple[bytes, ...]

    @property
    def digest(self) -> Digest:
        return self.manifest.digest


def artifact(
    subject: Descriptor | None,
    artifact_type: str | None,
    content: bytes,
    *,
    config_type: str = EMPTY_TYPE,
    annotations: Mapping[str, str] | None = None,
) -> Built:
    """Build what oras attaches, and cosign as a bundle."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _described(config_type, EMPTY),
        "layers": [_described(artifact_type or "application/octet-stream", content)],
    }
    if artifact_type is not None:
        document["artifactType"] = artifact_type
    if subject is not None:
        document["subject"] = entry(subject)
    if annotations:
        document["annotations"] = dict(annotations)
    return Built(_parsed(document), (EMPTY, content))


def cosign_manifest(
    subject: Digest,
    signatures: Sequence[str],
    layer_type: str = SIGNING_TYPE,
    *,
    payload: bytes | None = None,
) -> Built:
    """Build what cosign keeps under its own tags: one layer for each signature."""
    image = {"docker-manifest-digest": str(subject)}
    payload = payload or json.dumps({"critical": {"image": image, "type": "cosign"}}).encode()
    layers = [
        {
            **_described(layer_type, payload),
            "annotations": {"dev.cosignproject.cosign/signature": signature},
        }
        for signature in signatures
    ]
    config = json.dumps({"rootfs": {"diff_ids": [str(Digest.of(payload))] * len(layers)}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _described(CONFIG_TYPE, config),
        "layers": layers,
    }
    return Built(_parsed(document), (config, payload))


def list_of(*referrers: Manifest) -> Manifest:
    """Build what stands under a fallback tag, as a writer does who knows no types."""
    return _parsed(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [entry(referrer.descriptor) for referrer in referrers],
        }
    )


def hold(store: MemoryStore, repository: str, built: Built, tag: str | None = None) -> Manifest:
    """Fill a store before a test."""
    for blob in built.blobs:
        store.hold_blob(repository, blob)
    hold_tagged(store, repository, built.manifest, tag)
    return built.manifest


def hold_tagged(store: MemoryStore, repository: str, manifest: Manifest, tag: str | None) -> None:
    """Fill a store before a test, with a manifest and perhaps a tag at it."""
    store.hold_manifest(repository, manifest)
    if tag is not None:
        store.tags.setdefault(store.full_repository(repository), {})[tag] = manifest.digest


class ListingStore(MemoryStore):
    """A double: a store with a referrers API, which lists what it holds."""

    async def list_referrers(
        self, repository: str, digest: Digest
    ) -> tuple[Descriptor, ...] | None:
        return tuple(
            manifest.descriptor
            for manifest in self.manifests.get(self.full_repository(repository), {}).values()
            if manifest.subject is not None and manifest.subject.digest == digest
        )


def _described(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def _parsed(document: Mapping[str, object]) -> Manifest:
    return parse_manifest(json.dumps(document).encode(), None)
