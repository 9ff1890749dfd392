"""The passage of an image's blobs: each is found, shared or sent, and by one copy only.

A blob that the target has is left alone. Within one registry it is shared by a mount; where that is
refused it is sent. What another copy of the same run is bringing is waited for.

Source: OCI Distribution Specification 1.1, "Pushing Blobs" and "Mounting a blob from another
repository".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import (
    contextmanager,
)
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from image_promotion.errors import (
    ContentMismatchError,
    PromotionError,
    RateLimitedError,
    RegistryError,
    Subject,
    UnreachableError,
)
from image_promotion.registry.arrivals import Arrivals, Place
from image_promotion.registry.blob_source import StoredBlob, send_blob
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.retry import RetryRules, call
from image_promotion.registry.store import Store


class BlobOutcome(StrEnum):
    """How a blob came to be at the target."""

    COPIED = "copied"
    SKIPPED = "skipped"
    MOUNTED = "mounted"


class TransferProgress(Protocol):
    """Who wants to know how far a transfer has come; called from the event loop, so never slow."""

    def planned(self, blobs: int, size_bytes: int) -> None:
        """Learn how many blobs must be sent and how large they are together.

        What the target had already, or shares by a mount, is not among them. Told once; and once
        more for what another copy was bringing and then could not.
        """

    def advanced(self, size_bytes: int) -> None:
        """Learn that bytes of a blob were sent; negative when a broken attempt is taken back."""

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        """Learn that a blob is at the target now."""


@dataclass(frozen=True, slots=True)
class Route:
    """The two ends of one transfer, and the image that passes.

    Args:
        source: Where the image is.
        source_repository: Its repository there, as policies name it.
        target: Where it goes.
        target_repository: Its repository there, as policies name it.
        image: The image.
    """

    source: Store
    source_repository: str
    target: Store
    target_repository: str
    image: Digest

    @property
    def place(self) -> Place:
        """Where it goes, whichever connection leads there."""
        return self.target.identity, self.target.full_repository(self.target_repository)

    @property
    def can_mount(self) -> bool:
        """Whether both ends are one registry."""
        return self.source.identity == self.target.identity


async def bring_blobs(
    route: Route,
    blobs: Sequence[Descriptor],
    *,
    arrivals: Arrivals,
    progress: TransferProgress,
    concurrency: int,
    retry: RetryRules,
) -> Mapping[Descriptor, BlobOutcome]:
    """See that all blobs of an image are at the target.

    Args:
        route: From where to where.
        blobs: The blobs, each once.
        arrivals: What the run has brought there so far.
        progress: Who wants to know how far it has come.
        concurrency: How many blobs are looked up, or sent, at a time.
        retry: How often a blob whose stream breaks is read and sent again from its start.

    Returns:
        How each came to be there; what another copy brought counts as skipped.

    Raises:
        ContentMismatchError: A store holds bytes that are not what their digest or size says.
        RegistryError: A registry refuses, or does not answer.
    """
    passage = _Passage(route, arrivals, progress, concurrency, retry)
    left = blobs
    while left:
        left = await passage.bring(left)
    return passage.outcomes


class _Passage:
    """One image's blobs on their way."""

    def __init__(
        self,
        route: Route,
        arrivals: Arrivals,
        progress: TransferProgress,
        concurrency: int,
        retry: RetryRules,
    ) -> None:
        self._route = route
        self._arrivals = arrivals
        self._progress = progress
        self._concurrency = concurrency
        self._retry = retry
        self.outcomes: dict[Descriptor, BlobOutcome] = {}

    async def bring(self, blobs: Sequence[Descriptor]) -> Sequence[Descriptor]:
        """Bring those that nobody else brings; return those that others could not bring."""
        brought_by_others: dict[Descriptor, asyncio.Future[bool]] = {}
        own: list[Descriptor] = []
        for blob in blobs:
            arrival = self._arrivals.claim(self._route.place, blob.digest)
            if arrival is None:
                own.append(blob)
            else:
                brought_by_others[blob] = arrival
        try:
            await self._bring_own(own)
        finally:
            for blob in own:
                self._settle(blob, arrived=False)
        # Only now, when all of our own are there: two copies that waited for each other before
        # would do so for ever.
        left = []
        for blob, arrival in brought_by_others.items():
            if await asyncio.shield(arrival):
                self._note(blob, BlobOutcome.SKIPPED)
            else:
                left.append(blob)
        return left

    async def _bring_own(self, blobs: Sequence[Descriptor]) -> None:
        found = await ask_each(self._bring_without_sending, blobs, at_once=self._concurrency)
        for blob, how in zip(blobs, found, strict=True):
            if how is not None:
                self._arrived(blob, how)
        # The largest start first, so that none of them is left running alone at the end.
        to_send = sorted(
            (blob for blob, how in zip(blobs, found, strict=True) if how is None),
            key=lambda blob: blob.size_bytes,
            reverse=True,
        )
        self._progress.planned(len(to_send), sum(blob.size_bytes for blob in to_send))
        await ask_each(self._send, to_send, at_once=self._concurrency)

    async def _bring_without_sending(self, blob: Descriptor) -> BlobOutcome | None:
        """See whether the target has a blob, or can share it; None when it must be sent.

        It is asked by HEAD. A request that mounts the repository's own blob would ask and begin an
        upload at once, but makes CNCF distribution write anew where the blob is; who reads it by a
        tag at that moment is answered 500.
        """
        if await self._target_has(blob):
            return BlobOutcome.SKIPPED
        if self._route.can_mount and await self._is_mounted(blob):
            return BlobOutcome.MOUNTED
        return None

    async def _target_has(self, blob: Descriptor) -> bool:
        route = self._route
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

    async def _is_mounted(self, blob: Descriptor) -> bool:
        route = self._route
        try:
            return await route.target.mount_blob(
                route.target_repository,
                blob.digest,
                route.source.full_repository(route.source_repository),
            )
        except (UnreachableError, RateLimitedError):
            raise
        except RegistryError:
            # The target's account need not be one that may read the source, and not every registry
            # mounts; ours of the source may read, so that the bytes can be sent.
            return False

    async def _send(self, blob: Descriptor) -> None:
        route = self._route
        stored = StoredBlob(
            route.source, route.source_repository, blob, advanced=self._progress.advanced
        )

        async def send() -> None:
            try:
                await send_blob(route.target, route.target_repository, blob, stored)
            except BaseException:
                stored.take_back()
                raise

        await call(self._retry, send)
        self._arrived(blob, BlobOutcome.COPIED)

    def _arrived(self, blob: Descriptor, how: BlobOutcome) -> None:
        self._note(blob, how)
        self._settle(blob, arrived=True)

    def _note(self, blob: Descriptor, how: BlobOutcome) -> None:
        self.outcomes[blob] = how
        self._progress.blob_done(blob, how)

    def _settle(self, blob: Descriptor, *, arrived: bool) -> None:
        self._arrivals.settle(self._route.place, blob.digest, arrived=arrived)


@contextmanager
def errors_about(store: Store, repository: str, digest: Digest) -> Iterator[None]:
    """Tell each error that passes what it is about, as far as it does not know by itself.

    Args:
        store: The store that is asked.
        repository: The repository there.
        digest: The image.
    """
    try:
        yield
    except PromotionError as error:
        error.about(Subject(registry=store.name, repository=repository, digest=str(digest)))
        raise
