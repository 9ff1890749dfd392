"""Downloads of blobs: opened anywhere, and taken up again where a connection broke.

What a broken connection has brought is used already, so the rest is asked for by range. A registry,
or the storage that it sends us to, may answer with all of it instead; then the beginning is thrown
away. The hash is not here: whoever reads continues it, and so notices a registry that answered the
second time with something else.

Source: OCI Distribution Specification 1.1, "Pulling blobs"; RFC 9110, "Range Requests".
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Self

from image_promotion.errors import ContentMismatchError, RegistryError, UnreachableError
from image_promotion.registry.answers import OpenAnswer
from image_promotion.registry.claims import announced_size, compare_sizes
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.failures import violation
from image_promotion.registry.session import Request, Session

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class Download:
    """A blob on its way; a context manager that opens it at once.

    Args:
        session: The registry.
        request: The GET of the whole blob.
        blob: What is read.
        offset_bytes: Where reading begins, from 0.
    """

    def __init__(
        self, session: Session, request: Request, blob: Descriptor, *, offset_bytes: int = 0
    ) -> None:
        self._session = session
        self._request = request
        self._blob = blob
        self._at_bytes = offset_bytes
        self._validator: str | None = None
        self._opened = AsyncExitStack()
        self._pieces: AsyncIterator[bytes]

    async def __aenter__(self) -> Self:
        self._pieces = await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened.aclose()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from the offset on, each once, however often the connection breaks.

        Raises:
            ContentMismatchError: The blob has become shorter meanwhile.
            NotFoundError: It is gone meanwhile.
            RegistryError: The connection breaks too often, or the registry answers with an error.
        """
        persistence = self._session.persistence()
        while True:
            try:
                async for piece in self._pieces:
                    self._at_bytes += len(piece)
                    persistence.advanced(len(piece))
                    yield piece
            except UnreachableError as error:
                if self._at_bytes >= self._blob.size_bytes:
                    return  # nothing is missing; what counts them hashes them too
                await persistence.pause(error)
            else:
                return
            await self._opened.aclose()
            self._opened = AsyncExitStack()
            self._pieces = await self._open()

    async def _open(self) -> AsyncIterator[bytes]:
        try:
            answer = await self._opened.enter_async_context(self._session.open(self._ranged()))
        except RegistryError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise ContentMismatchError(
                    f"{self._request.attempt.action} failed: it ends earlier than announced",
                    expected=f"{self._blob.size_bytes} bytes",
                    actual=f"{self._at_bytes} bytes at most",
                    subject=self._request.attempt.subject,
                ) from error
            raise
        self._validator = _strong_validator(answer) or self._validator
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            self._check_range(answer)
            return answer.pieces
        size_bytes = announced_size(self._request.attempt, answer.headers)
        if size_bytes is not None:
            compare_sizes(self._request.attempt, self._blob.size_bytes, size_bytes)
        if not self._at_bytes:
            return answer.pieces
        return await self._opened.enter_async_context(
            aclosing(without_beginning(answer.pieces, self._at_bytes))
        )

    def _ranged(self) -> Request:
        if not self._at_bytes:
            return self._request
        headers = {**self._request.headers, "Range": f"bytes={self._at_bytes}-"}
        if self._validator is not None:
            headers["If-Range"] = self._validator
        both = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
        return replace(self._request, headers=headers, expected=both)

    def _check_range(self, answer: OpenAnswer) -> None:
        """See that a part of the blob is the part that was asked for."""
        attempt = self._request.attempt
        text = answer.headers.get("content-range", "")
        match = _CONTENT_RANGE.fullmatch(text.strip())
        if match is None:
            raise violation(
                attempt, "it does not say which part of the blob it sends", status=answer.status
            )
        first, last, whole = match.groups()
        if whole != "*":
            compare_sizes(attempt, self._blob.size_bytes, int(whole))
        if (int(first), int(last)) != (self._at_bytes, self._blob.size_bytes - 1):
            raise violation(
                attempt, "it sends another part of the blob than asked for", status=answer.status
            )


async def without_beginning(
    pieces: AsyncIterator[bytes], size_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Pass on what comes after so many bytes."""
    left = size_bytes
    async for piece in pieces:
        kept = piece[left:]
        left = max(0, left - len(piece))
        if kept:
            yield kept


def _strong_validator(answer: OpenAnswer) -> str | None:
    """Return what If-Range may repeat.

    Source: RFC 9110, "If-Range": no weak validator.
    """
    tag: str = answer.headers.get("etag", "").strip()
    return tag if tag.startswith('"') else None
