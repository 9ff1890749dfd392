"""A report, attached to the image it is about: as a referrer, where everybody looks for such.

Source: OCI Image Specification 1.1, "Guidelines for Artifact Usage"; OCI Distribution Specification
1.1, "Pushing Manifests with Subject".
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import PATIENCE, Patience, list_under_tag
from image_promotion.registry.manifest import OCI_MANIFEST, Manifest, parse_manifest
from image_promotion.registry.referrers import HoldsReferrers
from image_promotion.registry.store import Store

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"

_EMPTY_CONFIG = Descriptor(EMPTY_TYPE, Digest.of(EMPTY), len(EMPTY))


async def attach_report(
    store: Store,
    repository: str,
    subject: Descriptor,
    content: bytes,
    *,
    media_type: str,
    artifact_type: str,
    annotations: Mapping[str, str] | None = None,
    patience: Patience = PATIENCE,
) -> Descriptor:
    """Attach a report to an image; to attach the same one twice changes nothing.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        subject: The image.
        content: The report.
        media_type: What it is.
        artifact_type: What the artifact is called that holds it; usually the same.
        annotations: What is said beside it, such as when it was made; a moment that changes makes
            another artifact each time.
        patience: How a list that others write at the same time is written.

    Returns:
        The artifact, with its type and annotations.

    Raises:
        TagConflictError: The tag that lists what is attached holds something else.
        VerificationError: That list does not keep what is written to it.
        PromotionError: As from the store.
    """
    manifest = report_artifact(
        subject,
        content,
        media_type=media_type,
        artifact_type=artifact_type,
        annotations=annotations,
    )
    for blob, its_bytes in ((_EMPTY_CONFIG, EMPTY), (_layer(content, media_type), content)):
        if await store.blob_size(repository, blob.digest) != blob.size_bytes:
            await store.put_blob(repository, blob, _once(its_bytes))
    await store.put_manifest(repository, manifest.digest, manifest)
    descriptor = replace(
        manifest.descriptor, annotations=manifest.annotations, artifact_type=artifact_type
    )
    if not await _lists_by_itself(store, repository, subject.digest, manifest.digest):
        await list_under_tag(store, repository, subject.digest, [descriptor], patience=patience)
    return descriptor


async def _lists_by_itself(
    store: Store, repository: str, subject: Digest, referrer: Digest
) -> bool:
    if not isinstance(store, HoldsReferrers):
        return False
    listed = await store.list_referrers(repository, subject)
    return any(entry.digest == referrer for entry in listed or ())


def report_artifact(
    subject: Descriptor,
    content: bytes,
    *,
    media_type: str,
    artifact_type: str,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Make the manifest of the artifact that holds a report; equal arguments give equal bytes.

    Args:
        subject: The image that the report is about.
        content: The report.
        media_type: What it is.
        artifact_type: What the artifact is called that holds it.
        annotations: What is said beside it.

    Returns:
        The manifest.
    """
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": _entry(_EMPTY_CONFIG),
        "layers": [_entry(_layer(content, media_type))],
        "subject": _entry(subject),
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return parse_manifest(json.dumps(document).encode(), OCI_MANIFEST)


def _layer(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


def _entry(descriptor: Descriptor) -> dict[str, object]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
    }


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
