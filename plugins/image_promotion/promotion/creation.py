"""When an image was made, by its own word: what `updated` triggers judge.

The distribution specification gives no time of push, so plain registries cannot tell one. The image
itself can: the `created` field of its configuration.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from image_promotion.errors import ProtocolViolationError, Subject
from image_promotion.policy.facts import Moment
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.store import Store

MAX_CONFIG_BYTES = 4 * 1024 * 1024

# Build tools that make images reproducible write the epoch (or its first day) for "no time".
NO_TIME_BEFORE = datetime(1980, 1, 2, tzinfo=UTC)

_ATTESTATION = "vnd.docker.reference.type"


async def creation_moment(store: Store, repository: str, digest: Digest) -> Moment | None:
    """Return when an image was created, or None when it does not say.

    For an index it is the latest of its platforms' images.

    Args:
        store: The store that holds the image.
        repository: Its repository.
        digest: The digest of its manifest or index.

    Returns:
        The moment and where it was read; None without a usable `created`.

    Raises:
        PromotionError: The manifest or the configuration cannot be read.

    Source: OCI Image Format Specification 1.1, "Image Configuration", property `created`.
    """
    manifest = await store.get_manifest(repository, digest)
    if isinstance(manifest, ImageIndex):
        images = [each for each in manifest.manifests if _ATTESTATION not in each.annotations]
        moments = [await creation_moment(store, repository, each.digest) for each in images]
        return max((each for each in moments if each), key=lambda each: each.at, default=None)
    config = await _read_config(store, repository, manifest.config)
    created = created_of(config)
    if created is None:
        return None
    return Moment(at=created, source=f"`created` of config {manifest.config.digest}")


async def _read_config(store: Store, repository: str, config: Descriptor) -> bytes:
    """Read a configuration into memory, unless it is larger than any real one."""
    if config.size_bytes > MAX_CONFIG_BYTES:
        raise ProtocolViolationError(
            f"the image configuration is said to have {config.size_bytes} bytes, "
            f"more than the {MAX_CONFIG_BYTES} that are read",
            subject=Subject(store.name, repository, digest=str(config.digest)),
        )
    async with store.open_blob(repository, config) as chunks:
        return b"".join([chunk async for chunk in chunks])


def created_of(config: bytes) -> datetime | None:
    """Return the `created` time of a configuration; None when it has none that can be used."""
    try:
        document = json.loads(config)
        created = datetime.fromisoformat(document["created"])
        if created.tzinfo is None or created < NO_TIME_BEFORE:
            return None
        return created.astimezone(UTC)
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
        return None
