"""From one store to another: an image with all that belongs to it, by digest, untagged.

The order is what makes a copy safe to kill at any moment: blobs, then manifests whose blobs are
there, then the indexes that list them, the named digest last. Nothing here sets a tag, so nothing
half-copied is ever visible under one; and a repeated copy skips what an earlier one left.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from image_promotion.errors import (
    ContentMismatchError,
    PromotionError,
    ProtocolViolationError,
    RegistryError,
    Subject,
    UnreachableError,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.manifest_tree import read_by_height
from image_promotion.registry.retry import RetryRules, call
from image_promotion.registry.store import Store

BLOB_RETRY = RetryRules(attempts=3)
"""How often the whole passage of one blob is tried; the store retries single requests by itself."""


class BlobOutcome(StrEnum):
    """How a blob came to be at the target."""

    COPIED = "copied"
    SKIPPED = "skipped"
    MOUNTED = "mounted"


class TransferProgress(Protocol):
    """Who wants to know how far a transfer has come; called from the event loop, so never slow."""

    def planned(self, blobs: int, size_bytes: int) -> None:
        """Learn, once, how many blobs must be sent and how large they are together.

        What the target had already, or shares by a mount, is not among them.
        """

    def advanced(self, size_bytes: int) -> None:
        """Learn that bytes of a blob were sent; negative when a broken attempt is taken back."""

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        """Learn that a blob is at the target now."""


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
) -> TransferReport:
    """Bring an image to another store, by digest and without a tag.

    Every blob is asked for at the target, also where the target has the manifest already: a
    registry checks them when a manifest is pushed, but its garbage collection may since have erred,
    and one HEAD a blob is cheap. What is there in the right size is skipped. Within one registry
    blobs are mounted; where that is refused they are sent. Manifests are put with the very bytes
    that were read. Foreign layers travel only where the source holds them.

    Args:
        source: Where the image is.
        source_repository: Its repository there, as policies name it.
        digest: The image: a manifest or an index.
        target: Where it goes.
        target_repository: Its repository there, as policies name it.
        progress: Who wants to know how far it has come.
        concurrency: How many requests, and so how many blobs, are under way at a time.
        retry: How often a blob whose stream breaks is read and sent again from its start.

    Returns:
        What was copied, skipped and mounted.

    Raises:
        NotFoundError: The source lacks the image or a part of it.
        ContentMismatchError: A store holds bytes that are not what their digest or size says.
        UnsupportedContentError: A part of it is not promoted, or it is too large or too deep.
        ProtocolViolationError: A manifest is broken.
        RegistryError: A registry refuses, or does not answer.

    Source: OCI Distribution Specification 1.1, "Push": blobs before the manifest that names them.
    """
    started_s = time.monotonic()
    route = _Route(source, source_repository, target, target_repository, digest)
    with _errors_about(source, source_repository, digest):
        levels = await read_by_height(source, source_repository, digest, concurrency)
        content = _content(levels)
        foreign = await ask_each(
            lambda layer: source.blob_size(source_repository, layer.digest),
            content.foreign_layers,
            at_once=concurrency,
        )
    blobs = content.blobs + tuple(
        layer
        for layer, size_bytes in zip(content.foreign_layers, foreign, strict=True)
        if size_bytes is not None
    )
    with _errors_about(target, target_repository, digest):
        without_sending = await ask_each(
            lambda blob: _bring_without_sending(route, blob), blobs, at_once=concurrency
        )
        outcomes = tuple(how or BlobOutcome.COPIED for how in without_sending)
        done = tuple(zip(blobs, outcomes, strict=True))
        # The largest start first, so that none of them is left running alone at the end.
        to_send = sorted(
            (blob for blob, how in done if how is BlobOutcome.COPIED),
            key=lambda blob: blob.size_bytes,
            reverse=True,
        )
        progress.planned(len(to_send), sum(blob.size_bytes for blob in to_send))
        for blob, how in done:
            if how is not BlobOutcome.COPIED:
                progress.blob_done(blob, how)
        await ask_each(
            lambda blob: _send_blob(route, blob, progress, retry), to_send, at_once=concurrency
        )
        manifests_copied = 0
        for level in levels:
            put = await ask_each(
                lambda manifest: _put_if_missing(target, target_repository, manifest),
                level,
                at_once=concurrency,
            )
            manifests_copied += sum(put)
    return TransferReport(
        blobs_copied=outcomes.count(BlobOutcome.COPIED),
        blobs_skipped=outcomes.count(BlobOutcome.SKIPPED),
        blobs_mounted=outcomes.count(BlobOutcome.MOUNTED),
        bytes_copied=_size_bytes(done, BlobOutcome.COPIED),
        bytes_skipped=_size_bytes(done, BlobOutcome.SKIPPED),
        bytes_mounted=_size_bytes(done, BlobOutcome.MOUNTED),
        manifests_copied=manifests_copied,
        manifests_skipped=len(content.manifests) - manifests_copied,
        seconds=time.monotonic() - started_s,
    )


async def list_content(
    store: Store, repository: str, digest: Digest, *, concurrency: int = 4
) -> ImageContent:
    """Find all that belongs to an image, by reading its manifests.

    Args:
        store: Where the image is.
        repository: Its repository, as policies name it.
        digest: The image: a manifest or an index.
        concurrency: How many manifests are read at a time.

    Returns:
        Its manifests and blobs. That the blobs are there is not checked.

    Raises:
        NotFoundError: The store lacks a manifest.
        ContentMismatchError: A manifest is not of the digest or size it is listed with.
        UnsupportedContentError: A part of it is not promoted, or it is too large or too deep.
        ProtocolViolationError: A manifest is broken.
        RegistryError: The registry refuses, or does not answer.
    """
    with _errors_about(store, repository, digest):
        return _content(await read_by_height(store, repository, digest, concurrency))


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


@dataclass(frozen=True, slots=True)
class _Route:
    """The two ends of one transfer, and the image that passes."""

    source: Store
    source_repository: str
    target: Store
    target_repository: str
    image: Digest

    @property
    def can_mount(self) -> bool:
        return self.source.identity == self.target.identity


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


async def _bring_without_sending(route: _Route, blob: Descriptor) -> BlobOutcome | None:
    """See whether the target has a blob, or can share it; None when its bytes must be sent."""
    if await _target_has(route, blob):
        return BlobOutcome.SKIPPED
    if route.can_mount and await _mounted(route, blob):
        return BlobOutcome.MOUNTED
    return None


async def _target_has(route: _Route, blob: Descriptor) -> bool:
    size_bytes = await route.target.blob_size(route.target_repository, blob.digest)
    if size_bytes is None:
        return False
    if size_bytes != blob.size_bytes:
        raise ContentMismatchError(
            f"the target holds the blob {blob.digest} in another size than the manifest says",
            expected=f"{blob.size_bytes} bytes",
            actual=f"{size_bytes} bytes",
        )
    return True


async def _mounted(route: _Route, blob: Descriptor) -> bool:
    try:
        return await route.target.mount_blob(
            route.target_repository,
            blob.digest,
            route.source.full_repository(route.source_repository),
        )
    except RegistryError as error:
        # Where no answer comes, or none for now, sending fails as well. A refusal makes the bytes
        # travel: the target's account need not be one that may read the source, and not all
        # registries that cannot mount say so by beginning an upload.
        if isinstance(error, UnreachableError) or error.retryable:
            raise
        return False


async def _send_blob(
    route: _Route, blob: Descriptor, progress: TransferProgress, retry: RetryRules
) -> None:
    await call(retry, lambda: _send_blob_once(route, blob, progress))
    progress.blob_done(blob, BlobOutcome.COPIED)


async def _send_blob_once(route: _Route, blob: Descriptor, progress: TransferProgress) -> None:
    """Read a blob from its start and send it."""
    sent_bytes = 0

    async def counted(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        nonlocal sent_bytes
        with _errors_about(route.source, route.source_repository, route.image):
            async for piece in pieces:
                sent_bytes += len(piece)
                progress.advanced(len(piece))
                yield piece

    try:
        async with AsyncExitStack() as opened:
            # Not one "async with" for both: an error of the target would pass for the source's.
            with _errors_about(route.source, route.source_repository, route.image):
                pieces = await opened.enter_async_context(
                    route.source.open_blob(route.source_repository, blob)
                )
            stream = await opened.enter_async_context(aclosing(counted(pieces)))
            await route.target.put_blob(route.target_repository, blob, stream)
    except BaseException:
        if sent_bytes:
            progress.advanced(-sent_bytes)
        raise


async def _put_if_missing(target: Store, repository: str, manifest: Manifest) -> bool:
    """Put a manifest by digest where it is not; say whether it was put."""
    if await target.has_manifest(repository, manifest.digest):
        return False
    await target.put_manifest(repository, manifest.digest, manifest)
    return True


@contextmanager
def _errors_about(store: Store, repository: str, digest: Digest) -> Iterator[None]:
    """Tell each error that passes what it is about, as far as it does not know by itself."""
    try:
        yield
    except PromotionError as error:
        error.about(Subject(registry=store.name, repository=repository, digest=str(digest)))
        raise


def _size_bytes(done: Sequence[tuple[Descriptor, BlobOutcome]], how: BlobOutcome) -> int:
    return sum(blob.size_bytes for blob, outcome in done if outcome is how)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
