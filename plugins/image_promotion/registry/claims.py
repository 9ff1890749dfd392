"""What a registry claims about content, held against the bytes.

Digests and sizes in header fields are claims: useful to notice early that something is wrong, and
no proof that it is right.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from image_promotion.errors import ContentMismatchError, InvalidReferenceError
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.failures import Attempt, violation

_SIZE = re.compile(r"[0-9]{1,18}")


async def counted(
    attempt: Attempt, size_bytes: int, pieces: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """Pass pieces on while counting their bytes.

    Args:
        attempt: The request that they answer, or fill.
        size_bytes: How many bytes there should be.
        pieces: The pieces, in order.

    Yields:
        Each piece. As soon as there are too many bytes, nothing more is read.

    Raises:
        ContentMismatchError: There are more bytes, or fewer.
    """
    count_bytes = 0
    async for piece in pieces:
        count_bytes += len(piece)
        if count_bytes > size_bytes:
            compare_sizes(attempt, size_bytes, count_bytes)
        yield piece
    compare_sizes(attempt, size_bytes, count_bytes)


async def verified(
    attempt: Attempt, blob: Descriptor, pieces: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """Pass pieces on while counting and hashing them.

    Args:
        attempt: The request that they answer.
        blob: What they should be.
        pieces: The pieces, in order.

    Yields:
        Each piece.

    Raises:
        ContentMismatchError: They are not the blob's, in size or digest.
    """
    hasher = blob.digest.hasher()
    async for piece in counted(attempt, blob.size_bytes, pieces):
        hasher.update(piece)
        yield piece
    compare_digests(attempt, blob.digest, Digest(blob.digest.algorithm, hasher.hexdigest()))


def compare_digests(attempt: Attempt, expected: Digest, actual: Digest) -> None:
    """Raise a ContentMismatchError unless two digests are the same."""
    if actual != expected:
        raise ContentMismatchError(
            f"{attempt.action} failed: the bytes are not those of the digest",
            expected=str(expected),
            actual=str(actual),
            subject=attempt.subject,
        )


def compare_sizes(attempt: Attempt, expected_bytes: int, actual_bytes: int) -> None:
    """Raise a ContentMismatchError unless two sizes are the same."""
    if actual_bytes != expected_bytes:
        more = "at least " if actual_bytes > expected_bytes else ""
        raise ContentMismatchError(
            f"{attempt.action} failed: its size is not the announced one",
            expected=f"{expected_bytes} bytes",
            actual=f"{more}{actual_bytes} bytes",
            subject=attempt.subject,
        )


def announced_digest(attempt: Attempt, headers: Mapping[str, str]) -> Digest | None:
    """Read Docker-Content-Digest, the digest that a registry claims its answer to have.

    Args:
        attempt: The request that was answered.
        headers: The answer's header fields; names are looked up in lower case.

    Returns:
        The digest; None when there is none.

    Raises:
        ProtocolViolationError: It is no digest.

    Source: OCI Distribution Specification 1.1, "Pulling manifests".
    """
    text = headers.get("docker-content-digest")
    if not text:
        return None
    try:
        return Digest.parse(text)
    except InvalidReferenceError as error:
        raise violation(attempt, error.attempted) from error


def announced_size(attempt: Attempt, headers: Mapping[str, str]) -> int | None:
    """Read Content-Length.

    Args:
        attempt: The request that was answered.
        headers: The answer's header fields; names are looked up in lower case.

    Returns:
        The size in bytes; None when there is none.

    Raises:
        ProtocolViolationError: It is no number.
    """
    text = headers.get("content-length")
    if text is None:
        return None
    if not _SIZE.fullmatch(text):
        raise violation(attempt, "it announces a size that is no number")
    return int(text)
