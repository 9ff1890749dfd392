"""From one store to another: an image with all that belongs to it, by digest, untagged.

The order is what makes a copy safe to kill at any moment: blobs, then manifests whose blobs are
there, then the indexes that list them, the named digest last. Nothing here sets a tag, so nothing
half-copied is ever visible under one; and a repeated copy skips what an earlier one left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import (
    NotFoundError,
    ProtocolViolationError,
    RegistryError,
    Subject,
)
from image_promotion.registry.arrivals import Arrivals
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.manifest_tree import read_by_height
from image_promotion.registry.passage import (
    BlobOutcome,
    Route,
    TransferProgress,
    bring_blobs,
    errors_about,
)
from image_promotion.registry.retry import RetryRules
from image_promotion.registry.store import Store

BLOB_RETRY = RetryRules(attempts=3)
"""How often the whole passage of one blob is tried; the store retries single requests by itself."""

MOST_PASSES = 3
"""How often blobs are looked for when a registry says that a manifest lacks one of them."""


class _NoProgress:
    """Nobody wants to know."""

    def planned(self, blobs: int, size_bytes: int) -> None:
        pass

    def advanced(self, size_bytes: int) -> None:
        pass

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        pass


NO_PROGRESS: TransferProgress = _NoProgress()


@dataclass(frozen=True, slots=True)
class ImageContent:
    """All that belongs to an image.

    Args:
        manifests: Its manifests and indexes, each once, children before parents; the last one is
            the image itself.
        blobs: Its configurations and layers, each once.
        foreign_layers: Layers that registries need not hold, since they are fetched elsewhere.
    """

    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    foreign_layers: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What a transfer did; ``str()`` says it in one line.

    Args:
        blobs_copied: Blobs whose bytes were sent.
        blobs_skipped: Blobs that the target had.
        blobs_mounted: Blobs that the target's registry shares from another repository.
        bytes_copied: The size of the first kind, in bytes.
        bytes_skipped: The size of the second.
        bytes_mounted: The size of the third.
        manifests_copied: Manifests and indexes that were sent.
        manifests_skipped: Those that the target had.
        seconds: How long it all took.
        foreign_layers_left: Layers that were not asked for, since they are fetched elsewhere.
    """

    blobs_copied: int
    blobs_skipped: int
    blobs_mounted: int
    bytes_copied: int
    bytes_skipped: int
    bytes_mounted: int
    manifests_copied: int
    manifests_skipped: int
    seconds: float
    foreign_layers_left: int = 0

    @property
    def rate_bytes_per_s(self) -> float:
        """Bytes that were sent, by the second of the whole transfer."""
        return self.bytes_copied / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        kinds = (
            (self.blobs_copied, self.bytes_copied, BlobOutcome.COPIED),
            (self.blobs_skipped, self.bytes_skipped, BlobOutcome.SKIPPED),
            (self.blobs_mounted, self.bytes_mounted, BlobOutcome.MOUNTED),
        )
        said = [
            f"{_counted(blobs, 'blob')}, {readable_size(size_bytes)} {how}"
            for blobs, size_bytes, how in kinds
        ]
        said.append(
            f"{_counted(self.manifests_copied, 'manifest')} copied, "
            f"{self.manifests_skipped} skipped"
        )
        if self.foreign_layers_left:
            left = _counted(self.foreign_layers_left, "foreign layer")
            said.append(f"{left} left where the URLs lead")
        said.append(f"{self.seconds:.1f} s, {readable_size(self.rate_bytes_per_s)}/s")
        return "; ".join(said)


async def copy_image(
    source: Store,
    source_repository: str,
    digest: Digest,
    target: Store,
    target_repository: str,
    *,
    progress: TransferProgress = NO_PROGRESS,
    concurrency: int = 4,
    retry: RetryRules = BLOB_RETRY,
    arrivals: Arrivals | None = None,
    takes_foreign_layers: bool = False,
) -> TransferReport:
    """Bring an image to another store, by digest and without a tag.

    Every blob is asked for at the target, also where the target has the manifest already: a
    registry checks them when a manifest is pushed, but its garbage collection may since have erred,
    and one HEAD a blob is cheap. Only what this run brought there is taken to be there, until the
    registry says otherwise. What is there in the right size is skipped. Within one registry
    blobs are mounted; where that is refused they are sent. Manifests are put with the very bytes
    that were read. Foreign layers stay behind unless they are asked for; then they come from the
    source, and never from where their URLs lead.

    Args:
        source: Where the image is.
        source_repository: Its repository there, as policies name it.
        digest: The image: a manifest or an index.
        target: Where it goes.
        target_repository: Its repository there, as policies name it.
        progress: Who wants to know how far it has come.
        concurrency: How many requests, and so how many blobs, are under way at a time.
        retry: How often a blob whose stream breaks is read and sent again from its start.
        arrivals: What the run has brought there so far; None when this copy is alone.
        takes_foreign_layers: Whether layers come along that registries need not hold.

    Returns:
        What was copied, skipped and mounted.

    Raises:
        NotFoundError: The source lacks the image or a part of it, a foreign layer included that is
            asked for and that the target lacks too.
        ContentMismatchError: A store holds bytes that are not what their digest or size says.
        UnsupportedContentError: A part of it is not promoted, or it is too large or too deep.
        ProtocolViolationError: A manifest is broken.
        RegistryError: A registry refuses, or does not answer.

    Source: OCI Distribution Specification 1.1, "Push": blobs before the manifest that names them;
    OCI Image Specification 1.1, "Non-Distributable Layers": they should not be uploaded.
    """
    started_s = time.monotonic()
    route = Route(source, source_repository, target, target_repository, digest)
    with errors_about(source, source_repository, digest):
        levels = await read_by_height(source, source_repository, digest, concurrency)
        content = _content(levels)
    blobs = content.blobs
    if takes_foreign_layers:
        blobs += content.foreign_layers
        await _require_foreign_layers(route, content.foreign_layers, concurrency)
    arrivals = arrivals or Arrivals()
    with errors_about(target, target_repository, digest):
        passes_left = MOST_PASSES
        moved: dict[Descriptor, BlobOutcome] = {}
        while True:
            found = await bring_blobs(
                route,
                blobs,
                arrivals=arrivals,
                progress=progress,
                concurrency=concurrency,
                retry=retry,
            )
            passes_left -= 1
            # What an earlier pass moved is there by now, and was moved all the same.
            outcomes = {**found, **moved}
            moved = {b: how for b, how in outcomes.items() if how is not BlobOutcome.SKIPPED}
            try:
                manifests_copied = await _put_manifests(route, levels, outcomes, concurrency)
            except RegistryError as error:
                if not passes_left or not _lacks_a_blob(error):
                    raise
                arrivals.forget(route.place)
            else:
                break
    hows = tuple(outcomes.values())
    return TransferReport(
        blobs_copied=hows.count(BlobOutcome.COPIED),
        blobs_skipped=hows.count(BlobOutcome.SKIPPED),
        blobs_mounted=hows.count(BlobOutcome.MOUNTED),
        bytes_copied=_size_bytes(outcomes, BlobOutcome.COPIED),
        bytes_skipped=_size_bytes(outcomes, BlobOutcome.SKIPPED),
        bytes_mounted=_size_bytes(outcomes, BlobOutcome.MOUNTED),
        manifests_copied=manifests_copied,
        manifests_skipped=len(content.manifests) - manifests_copied,
        seconds=time.monotonic() - started_s,
        foreign_layers_left=0 if takes_foreign_layers else len(content.foreign_layers),
    )


async def _require_foreign_layers(
    route: Route, layers: Sequence[Descriptor], concurrency: int
) -> None:
    """Refuse, before a byte moves, layers that neither end holds."""

    async def is_lost(layer: Descriptor) -> bool:
        # The source first: to ask the target is the passage's business.
        with errors_about(route.source, route.source_repository, route.image):
            if await route.source.blob_size(route.source_repository, layer.digest) is not None:
                return False
        with errors_about(route.target, route.target_repository, route.image):
            return await route.target.blob_size(route.target_repository, layer.digest) is None

    lost = await ask_each(is_lost, layers, at_once=concurrency)
    for layer, is_missing in zip(layers, lost, strict=True):
        if is_missing:
            raise NotFoundError(
                f"the source does not hold the foreign layer {layer.digest}, which is fetched from "
                "the URLs that the manifest gives for it",
                subject=Subject(
                    route.source.name, route.source_repository, digest=str(route.image)
                ),
                advice="URLs of an image are never fetched from here: push the image to the source "
                "with its foreign layers (Docker: allow-nondistributable-artifacts), or leave such "
                "layers out.",
            )


async def _put_manifests(
    route: Route,
    levels: Sequence[Sequence[Manifest]],
    outcomes: Mapping[Descriptor, BlobOutcome],
    concurrency: int,
) -> int:
    """Put the manifests, children before parents; return how many were not there."""
    arrived = {blob.digest for blob, how in outcomes.items() if how is not BlobOutcome.SKIPPED}

    async def put(manifest: Manifest) -> bool:
        """Put a manifest by digest where it is not; say whether it was put."""
        parts = () if isinstance(manifest, ImageIndex) else manifest.blobs
        # A manifest of which a blob was missing is hardly there; then asking first costs more.
        is_new = any(part.digest in arrived for part in parts)
        if not is_new and await route.target.has_manifest(route.target_repository, manifest.digest):
            return False
        await route.target.put_manifest(route.target_repository, manifest.digest, manifest)
        return True

    copied = 0
    for level in levels:
        copied += sum(await ask_each(put, level, at_once=concurrency))
    return copied


def _lacks_a_blob(error: RegistryError) -> bool:
    """Say whether a registry refused a manifest for want of what it names.

    It was there a moment ago, or was taken to be. CNCF distribution on a file system loses sight
    of a blob while somebody else sends it into the same repository; and finds its own record of it
    invalid while that is written.
    """
    return any(code.code in _CODES_OF_MISSING_BLOBS for code in error.codes)


_CODES_OF_MISSING_BLOBS = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "DIGEST_INVALID")


async def list_content(
    store: Store,
    repository: str,
    digest: Digest,
    *,
    concurrency: int = 4,
    image: Manifest | None = None,
) -> ImageContent:
    """Find all that belongs to an image, by reading its manifests.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        digest: The image: a manifest or an index.
        concurrency: How many manifests are read at a time.
        image: The image's own manifest, where it was read already; it is held against the digest.

    Returns:
        Its manifests and blobs. That the blobs are there is not checked.

    Raises:
        NotFoundError: The store lacks a manifest.
        ContentMismatchError: A manifest is not of the digest or size it is listed with.
        UnsupportedContentError: A part of it is not promoted, or it is too large or too deep.
        ProtocolViolationError: A manifest is broken.
        RegistryError: The registry refuses, or does not answer.
    """
    with errors_about(store, repository, digest):
        return _content(await read_by_height(store, repository, digest, concurrency, image=image))


def readable_size(size_bytes: float) -> str:
    """Write a size for people, in the decimal units that registries and disks are sold in.

    Args:
        size_bytes: The size in bytes.

    Returns:
        Such as ``12.3 MB``, which is 12,300,000 bytes.
    """
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        # Not 1000: what would be written as 1000.0 is written as 1.0 of the next unit.
        if size_bytes < _NEXT_UNIT:
            break
        size_bytes, unit = size_bytes / 1000, larger
    return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"


_NEXT_UNIT = 999.95


def _content(levels: Sequence[Sequence[Manifest]]) -> ImageContent:
    blobs: dict[Digest, Descriptor] = {}
    foreign: dict[Digest, Descriptor] = {}
    manifests = tuple(manifest for level in levels for manifest in level)
    for manifest in manifests:
        for blob in () if isinstance(manifest, ImageIndex) else manifest.blobs:
            kind = foreign if blob.is_foreign else blobs
            known = kind.setdefault(blob.digest, blob)
            if known.size_bytes != blob.size_bytes:
                raise ProtocolViolationError(
                    f"the image's manifests tell two different sizes of the blob {blob.digest}"
                )
    return ImageContent(
        manifests=tuple(manifest.descriptor for manifest in manifests),
        blobs=tuple(blobs.values()),
        foreign_layers=tuple(layer for layer in foreign.values() if layer.digest not in blobs),
    )


def _size_bytes(outcomes: Mapping[Descriptor, BlobOutcome], how: BlobOutcome) -> int:
    return sum(blob.size_bytes for blob, outcome in outcomes.items() if outcome is how)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
