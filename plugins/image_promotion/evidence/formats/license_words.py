"""License expressions of SPDX documents, in the words that people use for the licenses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_promotion.evidence.formats.inventory import known_licenses

_TOKEN = re.compile(r"[()]|[^\s()]+")
_OF_THIS_DOCUMENT = "LicenseRef-"
_WORD = re.compile(r"[A-Za-z0-9.+-]+")
_LONGEST_WORD_CHARACTERS = 100
_OPERATORS = frozenset({"AND", "OR", "WITH"})


def word_of(name: str | None, text: str | None) -> str | None:
    """Choose the word for a license that a document defines by itself.

    Args:
        name: The name that the document gives it.
        text: What was found where the license should stand; scanners put the very word of the
            package here, and others the whole license, which is no word for it.

    Returns:
        The word; None when there is none.
    """
    for candidate in known_licenses(each for each in (name, text) if each):
        if len(candidate) <= _LONGEST_WORD_CHARACTERS and "\n" not in candidate:
            return candidate
    return None


class LicenseWords:
    """Takes license expressions apart into the licenses that hold at once.

    Args:
        words: The words for the licenses that the document defines, by their identifiers in it,
            such as ``LicenseRef-1``.

    Source: SPDX 2.3, annex D, "SPDX license expressions".
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._read: dict[str, tuple[str, ...]] = {}

    def of(self, expression: str) -> tuple[str, ...]:
        """Return the licenses that an expression joins by AND at its outermost level.

        Args:
            expression: Such as ``MIT AND LicenseRef-1``.

        Returns:
            Each license or smaller expression; none for NOASSERTION and NONE.
        """
        # The packages of an image share few expressions.
        read = self._read.get(expression)
        if read is None:
            read = self._read[expression] = known_licenses(self._joined(expression))
        return read

    def _joined(self, expression: str) -> list[str]:
        pieces: list[list[str]] = [[]]
        depth = 0
        for part in _TOKEN.findall(expression):
            depth += (part == "(") - (part == ")")
            if part == "AND" and not depth:
                pieces.append([])
            else:
                if part == "OR" and not depth:  # binds less than AND: all is one choice
                    return [self._reworded(expression)]
                pieces[-1].append(part)
        return [self._reworded(_written(piece)) for piece in pieces]

    def _reworded(self, expression: str) -> str:
        """Put words in, where the expression can still be read with them."""
        alone = self._words.get(expression)
        if alone is not None:
            return alone

        def reworded(match: re.Match[str]) -> str:
            word = self._words.get(match[0], "")
            fits = _WORD.fullmatch(word) and word.upper() not in _OPERATORS
            return word if fits else match[0]

        return _TOKEN.sub(reworded, expression)


def _written(tokens: list[str]) -> str:
    return " ".join(tokens).replace("( ", "(").replace(" )", ")")
