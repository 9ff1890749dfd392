"""Digests: the names that content gives itself."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from image_promotion.errors import InvalidReferenceError

if TYPE_CHECKING:
    from hashlib import _Hash

_ENCODED_LENGTHS = {"sha256": 64, "sha512": 128}
"""The registered algorithms and the length of their hexadecimal text."""

_LOWER_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_ALGORITHM = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*")
_ADVICE = (
    "A digest is sha256: with 64, or sha512: with 128, lower-case hexadecimal characters after it."
)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The algorithm and the value of a content's hash; ``str()`` gives ``sha256:<hexadecimal>``.

    Make one by ``parse`` or ``of``: both give only digests that are known to be well-formed.

    Args:
        algorithm: ``sha256`` or ``sha512``.
        encoded: The hash in lower-case hexadecimal.

    Source: OCI Image Specification 1.1, "Digests" and "Registered algorithms".
    """

    algorithm: str
    encoded: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read a digest.

        Args:
            text: Such as ``sha256:`` and 64 hexadecimal characters.

        Returns:
            The digest.

        Raises:
            InvalidReferenceError: The text breaks the grammar, or its algorithm is neither sha256
                nor sha512.

        Source: OCI Image Specification 1.1, "Digests".
        """
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise _broken(text, "has no colon between algorithm and value")
        if not _ALGORITHM.fullmatch(algorithm):
            raise _broken(text, "does not begin with the name of an algorithm")
        length = _ENCODED_LENGTHS.get(algorithm)
        if length is None:
            raise _broken(text, f"uses the algorithm {algorithm[:32]}, which is not supported")
        if len(encoded) != length:
            raise _broken(
                text, f"has {len(encoded)} characters after the colon, and {algorithm} has {length}"
            )
        if not _LOWER_HEXADECIMAL.fullmatch(encoded):
            raise _broken(text, "holds characters other than 0-9 and a-f after the colon")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """Compute the digest of some content.

        Args:
            content: All of its bytes.
            algorithm: ``sha256`` or ``sha512``.

        Returns:
            The digest.

        Raises:
            InvalidReferenceError: The algorithm is neither of the two.
        """
        if algorithm not in _ENCODED_LENGTHS:
            raise _broken(algorithm, "names an algorithm that is not supported")
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def hasher(self) -> _Hash:
        """Return a fresh hash of this digest's algorithm, to be fed with content as it streams."""
        return hashlib.new(self.algorithm)


def _broken(text: str, rule: str) -> InvalidReferenceError:
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return InvalidReferenceError(f"the digest {shown!r} {rule}", text=text, advice=_ADVICE)


_SHOWN_CHARACTERS = 140
"""Enough for a whole sha512 digest; more is cut, since the text may be anything."""
