"""A blob that can be read again from anywhere, and is verified all the same.

An upload that broke goes on from what the registry has; for that, the source must be opened again
in the middle. What was hashed up to there is remembered at intervals, so that little is read twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import httpx

from image_promotion.errors import PromotionError, Subject
from image_promotion.registry.claims import compare_digests, compare_sizes
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.downloads import without_beginning
from image_promotion.registry.failures import Attempt
from image_promotion.registry.store import Store

if TYPE_CHECKING:
    from hashlib import _Hash

REMEMBERED_EVERY_BYTES = 8 * 1024 * 1024


class BlobSource(Protocol):
    """Content that can be opened again, at any offset."""

    def open(self, offset_bytes: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the content; one reading at a time.

        Args:
            offset_bytes: Where it begins, from 0; never beyond what an earlier reading gave.

        Raises:
            PromotionError: It cannot be read, or, from the iterator, is not what it should be.
        """


@runtime_checkable
class OpensAnywhere(Protocol):
    """A store whose blobs need not be read from their start."""

    def open_blob_at(
        self, repository: str, blob: Descriptor, offset_bytes: int
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a blob in the middle; what comes is neither hashed nor counted."""


@runtime_checkable
class TakesUploads(Protocol):
    """A store to which a broken upload is not lost."""

    async def upload_blob(self, repository: str, blob: Descriptor, source: BlobSource) -> None:
        """Store a blob; go on where the connection broke."""


class StoredBlob:
    """A blob of a store as a source.

    Args:
        store: Where it is.
        repository: Its repository there, as policies name it.
        blob: What it is.
        advanced: Called with the number of bytes whenever some were given; with a negative one
            when they will be given once more.
    """

    def __init__(
        self,
        store: Store,
        repository: str,
        blob: Descriptor,
        *,
        advanced: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._repository = repository
        self._blob = blob
        self._advanced = advanced
        self._given_bytes = 0
        self._remembered: list[tuple[int, _Hash]] = []
        subject = Subject(store.name, store.full_repository(repository), None, str(blob.digest))
        self._attempt = Attempt("reading the blob", "GET", httpx.URL(), subject)

    @property
    def given_bytes(self) -> int:
        """How many bytes from the start were given, what was taken back not counted."""
        return self._given_bytes

    @asynccontextmanager
    async def open(self, offset_bytes: int) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """Open the blob; see ``BlobSource``.

        Args:
            offset_bytes: Where it begins.

        Raises:
            ContentMismatchError: From the iterator: digest or size are not the descriptor's.
            PromotionError: The store cannot give it.
        """
        async with AsyncExitStack() as opened:
            if isinstance(self._store, OpensAnywhere):
                start_bytes, hasher = self._latest_before(offset_bytes)
                with self._errors_about_it():
                    content = await opened.enter_async_context(
                        self._store.open_blob_at(self._repository, self._blob, start_bytes)
                    )
                pieces = self._hashed(content, start_bytes, hasher)
                content = await opened.enter_async_context(aclosing(pieces))
            else:
                start_bytes = 0
                with self._errors_about_it():
                    content = await opened.enter_async_context(
                        self._store.open_blob(self._repository, self._blob)
                    )
            self._give(offset_bytes - self._given_bytes)
            yield await opened.enter_async_context(
                aclosing(self._from(content, offset_bytes - start_bytes))
            )

    def take_back(self) -> None:
        """Say that nothing of what was given has arrived."""
        self._give(-self._given_bytes)

    def _give(self, size_bytes: int) -> None:
        if size_bytes:
            self._given_bytes += size_bytes
            self._advanced(size_bytes)

    def _latest_before(self, offset_bytes: int) -> tuple[int, _Hash]:
        """Return the last remembered position that is not after an offset, and its hash."""
        while self._remembered and self._remembered[-1][0] > offset_bytes:
            self._remembered.pop()
        if not self._remembered:
            return 0, self._blob.digest.hasher()
        position_bytes, hasher = self._remembered[-1]
        return position_bytes, hasher.copy()

    async def _hashed(
        self, pieces: AsyncIterator[bytes], position_bytes: int, hasher: _Hash
    ) -> AsyncGenerator[bytes, None]:
        size_bytes = self._blob.size_bytes
        remember_at = position_bytes + REMEMBERED_EVERY_BYTES
        async for piece in pieces:
            position_bytes += len(piece)
            if position_bytes > size_bytes:
                compare_sizes(self._attempt, size_bytes, position_bytes)
            hasher.update(piece)
            if position_bytes >= remember_at:
                self._remembered.append((position_bytes, hasher.copy()))
                remember_at = position_bytes + REMEMBERED_EVERY_BYTES
            yield piece
        compare_sizes(self._attempt, size_bytes, position_bytes)
        actual = Digest(self._blob.digest.algorithm, hasher.hexdigest())
        compare_digests(self._attempt, self._blob.digest, actual)

    async def _from(
        self, pieces: AsyncIterator[bytes], skipped_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        with self._errors_about_it():
            async for piece in without_beginning(pieces, skipped_bytes):
                self._give(len(piece))
                yield piece

    @contextmanager
    def _errors_about_it(self) -> Iterator[None]:
        """Tell errors that pass what they are about, so that nobody takes them for the target's."""
        try:
            yield
        except PromotionError as error:
            error.about(self._attempt.subject)
            raise


async def send_blob(store: Store, repository: str, blob: Descriptor, source: BlobSource) -> None:
    """Store a blob in whichever way the store is best at.

    Args:
        store: Where it goes.
        repository: Its repository there, as policies name it.
        blob: What it is.
        source: Its bytes.

    Raises:
        ContentMismatchError: The bytes are not the digest's.
        PromotionError: The source cannot be read, or the store does not take it.
    """
    if isinstance(store, TakesUploads):
        await store.upload_blob(repository, blob, source)
        return
    async with source.open(0) as content:
        await store.put_blob(repository, blob, content)
