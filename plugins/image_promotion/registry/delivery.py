"""One blob brought to a registry, however often the connection breaks.

It goes in one piece first. When that breaks, the registry is asked what has arrived, and the rest
follows. Not all can say: CNCF distribution loses an upload of which a request broke, but keeps what
whole requests have brought. So a blob that had to begin anew goes in chunks, of which only the last
one can be lost; and so does one that a proxy finds too large for one request.

Source: OCI Distribution Specification 1.1, "Pushing a blob in chunks".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus

from image_promotion.errors import ContentMismatchError, PromotionError, RegistryError
from image_promotion.registry.blob_source import BlobSource
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.retry import Persistence
from image_promotion.registry.uploads import Upload

CHUNK_BYTES = 32 * 1024 * 1024
"""How large chunks are: many times what a request costs, and below what proxies usually take."""

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)


class Delivery:
    """Brings one blob to one registry.

    Args:
        persistence: How often it goes on after a failure.
        blob: What is brought.
        source: Its bytes.
        begin: Begins an upload.
        find_size: Finds the size of the blob at the registry; None when it is not there.
    """

    def __init__(
        self,
        persistence: Persistence,
        blob: Descriptor,
        source: BlobSource,
        *,
        begin: Callable[[], Awaitable[Upload]],
        find_size: Callable[[], Awaitable[int | None]],
    ) -> None:
        self._persistence = persistence
        self._blob = blob
        self._source = source
        self._begin = begin
        self._find_size = find_size
        self._upload: Upload
        self._arrived_bytes = 0
        self._chunk_bytes: int | None = None
        self._all_was_read = False
        self._failure_of_source: PromotionError | None = None

    async def run(self) -> None:
        """Bring it.

        Raises:
            ContentMismatchError: The bytes are not the digest's.
            PromotionError: The source's, as it was raised.
            RegistryError: The registry refuses it, or the connection breaks too often.
        """
        self._upload = await self._begin()
        try:
            while not await self._is_done():
                pass
        except BaseException:
            await self._upload.cancel()
            raise

    async def _is_done(self) -> bool:
        """Send what is missing; say whether the blob is there."""
        was_resumed = self._arrived_bytes > 0
        try:
            await self._send()
        except (RegistryError, ContentMismatchError) as error:
            if error is self._failure_of_source:
                raise
            return await self._is_done_in_spite_of(error, was_resumed=was_resumed)
        return True

    async def _send(self) -> None:
        async with AsyncExitStack() as opened:
            content = await self._opened(opened)
            if self._chunk_bytes is not None:
                content = await self._send_all_but_the_last(self._chunk_bytes, content)
            await self._upload.finish(self._blob, self._arrived_bytes, content)

    async def _send_all_but_the_last(
        self, chunk_bytes: int, content: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Send chunks, as long as there is more than one; return the rest of the content."""
        chunks = _Chunks(content)
        while self._blob.size_bytes - self._arrived_bytes > chunk_bytes:
            goal_bytes = self._arrived_bytes + chunk_bytes
            self._upload, arrived_bytes = await self._upload.add(
                self._arrived_bytes, chunk_bytes, chunks.take(chunk_bytes)
            )
            if arrived_bytes != goal_bytes:
                attempt = self._upload.attempt
                raise RegistryError(
                    f"{attempt.action} failed: the registry kept another part of a chunk than sent",
                    subject=attempt.subject,
                    retryable=True,
                )
            self._note(arrived_bytes)
        return chunks.rest()

    async def _opened(self, opened: AsyncExitStack) -> AsyncIterator[bytes]:
        """Open the source where the registry needs it; tell its errors from the registry's."""
        self._all_was_read = False
        try:
            content = await opened.enter_async_context(self._source.open(self._arrived_bytes))
        except PromotionError as error:
            self._failure_of_source = error
            raise
        return await opened.enter_async_context(aclosing(self._watched(content)))

    async def _watched(self, content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in content:
                yield piece
        except PromotionError as error:
            self._failure_of_source = error
            raise
        self._all_was_read = True

    async def _is_done_in_spite_of(
        self, error: RegistryError | ContentMismatchError, *, was_resumed: bool
    ) -> bool:
        """Find a way on after a failure of the registry; raise it where there is none."""
        status = error.status if isinstance(error, RegistryError) else None
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and self._goes_in_chunks():
            await self._upload.cancel()
            await self._begin_anew()
            return False
        # What a registry has put together wrongly may come out right in one piece.
        is_lost = status in _GONE or (was_resumed and not error.retryable)
        if is_lost:
            await self._persistence.pause(_lost(self._upload, error))
            return await self._is_there_or_begun_anew()
        if not error.retryable:
            raise error
        await self._persistence.pause(error)
        try:
            self._upload, arrived_bytes = await self._upload.ask()
        except RegistryError as failure:
            if failure.retryable:
                raise  # asked often enough
            return await self._is_there_or_begun_anew()
        if arrived_bytes > self._blob.size_bytes:
            return await self._is_there_or_begun_anew()
        self._note(arrived_bytes)
        return False

    async def _is_there_or_begun_anew(self) -> bool:
        """See whether it was the answer to the last request that was lost, and not the blob."""
        if self._all_was_read and await self._find_size() == self._blob.size_bytes:
            return True
        await self._upload.cancel()
        self._goes_in_chunks()
        await self._begin_anew()
        return False

    async def _begin_anew(self) -> None:
        self._upload = await self._begin()
        self._arrived_bytes = 0

    def _goes_in_chunks(self) -> bool:
        """Change over to chunks; say whether that is a change."""
        chunk_bytes = max(CHUNK_BYTES, self._upload.shortest_chunk_bytes)
        if self._chunk_bytes is not None or self._blob.size_bytes <= chunk_bytes:
            return False
        self._chunk_bytes = chunk_bytes
        return True

    def _note(self, arrived_bytes: int) -> None:
        self._persistence.advanced(max(0, arrived_bytes - self._arrived_bytes))
        self._arrived_bytes = arrived_bytes


class _Chunks:
    """Content that is cut anew."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self._left_over = b""

    async def take(self, size_bytes: int) -> AsyncGenerator[bytes, None]:
        """Give so many bytes, or as many as there are."""
        left = size_bytes
        while left:
            try:
                piece = self._left_over or await anext(self._content)
            except StopAsyncIteration:
                return
            self._left_over = piece[left:]
            left -= len(piece) - len(self._left_over)
            yield piece[: len(piece) - len(self._left_over)]

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """Give all others."""
        if self._left_over:
            yield self._left_over
        async for piece in self._content:
            yield piece


def _lost(upload: Upload, error: PromotionError) -> RegistryError:
    """Say that an upload is gone, which is another thing than a repository that is not there."""
    answered = error if isinstance(error, RegistryError) else None
    return RegistryError(
        f"{upload.attempt.action} failed: the registry has lost what had arrived",
        method="" if answered is None else answered.method,
        url="" if answered is None else answered.url,
        status=None if answered is None else answered.status,
        codes=() if answered is None else answered.codes,
        subject=upload.attempt.subject,
        retryable=True,
    )
