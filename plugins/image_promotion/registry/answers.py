"""What a registry answers, read within bounds of size and time.

A registry may be slow, and it may be made to be: a byte a minute breaks no limit on silence and
would hold a worker for years. So a short answer has to be there after a while that goes by its
largest size, and of a long one some bytes in each minute in which they are waited for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import httpx

from image_promotion.registry.failures import (
    HTTPX_ERRORS,
    MAX_ERROR_BODY_BYTES,
    Attempt,
    from_exception,
)

# httpx documents four roots of errors; a TLS connection that breaks later on is not among them.
FAILURES = (*HTTPX_ERRORS, ssl.SSLError)

PATIENCE_S = 60.0
"""How long is waited for any answer, and how often a long one is looked at, in seconds."""

SLOWEST_ANSWER_BYTES_PER_S = 32 * 1024
"""What is waited for beyond that: the time that the largest answer takes at this speed."""

SLOWEST_STREAM_BYTES_PER_S = 4 * 1024
"""The speed below which a blob is taken for one that does not come, as a mean over PATIENCE_S."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry answered.

    Args:
        status: One of the expected statuses.
        headers: Header fields, looked up in any case.
        body: The body; one byte more than the limit when there was more than the limit.
        next_link: The target of the Link field with rel="next", as it was written; None without.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    next_link: str | None


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer whose body is still to come.

    Args:
        status: One of the expected statuses.
        headers: Header fields, looked up in any case.
        pieces: The body, piece by piece, as it was sent.
    """

    status: int
    headers: httpx.Headers
    pieces: AsyncIterator[bytes]


async def read_answer(response: httpx.Response, attempt: Attempt, limit_bytes: int) -> Answer:
    """Read an answer whole, and close it.

    Args:
        response: The answer.
        attempt: The request.
        limit_bytes: How much of the body is read; one more byte shows that there is more.

    Raises:
        RegistryError: The rest does not come, or too slowly.
    """
    body = await beginning_of(response, attempt, limit_bytes + 1)
    return Answer(response.status_code, response.headers, body, next_link_of(response.headers))


def next_link_of(headers: httpx.Headers) -> str | None:
    """Return the target of the Link field with rel="next", as it was written.

    Source: RFC 8288, "The Link Header Field".
    """
    if "link" not in headers:
        return None
    return httpx.Response(200, headers=headers).links.get("next", {}).get("url")


async def beginning_of(
    response: httpx.Response, attempt: Attempt, limit_bytes: int = MAX_ERROR_BODY_BYTES
) -> bytes:
    """Read the beginning of a body, and close the answer.

    Args:
        response: The answer.
        attempt: The request.
        limit_bytes: How much is read at most.

    Raises:
        RegistryError: The rest does not come, or too slowly.
    """
    body = bytearray()
    try:
        async with (
            asyncio.timeout(PATIENCE_S + limit_bytes / SLOWEST_ANSWER_BYTES_PER_S),
            aclosing(_sent(response, attempt)) as pieces,
        ):
            async for piece in pieces:
                body += piece
                if len(body) >= limit_bytes:
                    break
    except TimeoutError as error:
        raise from_exception(httpx.ReadTimeout("the answer is too slow"), attempt) from error
    finally:
        await response.aclose()
    return bytes(body[:limit_bytes])


async def pieces_of(response: httpx.Response, attempt: Attempt) -> AsyncGenerator[bytes, None]:
    """Yield a body piece by piece, however long it is.

    Only the time in which a piece is waited for counts, not what is done with it.

    Args:
        response: The answer.
        attempt: The request.

    Raises:
        RegistryError: The rest does not come, or too slowly.
    """
    now_s = asyncio.get_running_loop().time
    waited_s = 0.0
    size_bytes = 0
    async with aclosing(_sent(response, attempt)) as pieces:
        began_s = now_s()
        async for piece in pieces:
            waited_s += now_s() - began_s
            size_bytes += len(piece)
            if waited_s >= PATIENCE_S:
                if size_bytes < waited_s * SLOWEST_STREAM_BYTES_PER_S:
                    raise from_exception(httpx.ReadTimeout("the body is too slow"), attempt)
                waited_s, size_bytes = 0.0, 0
            yield piece
            began_s = now_s()


async def _sent(response: httpx.Response, attempt: Attempt) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except FAILURES as error:
        raise from_exception(error, attempt) from error
