"""CVSS base scores, in the shapes in which reports write them."""

from __future__ import annotations

import re

from image_promotion.policy.facts import Score
from image_promotion.registry.document import Fields

HIGHEST = 10.0

_DECIMAL = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")
_VECTOR_VERSION = re.compile(r"CVSS:([0-9]\.[0-9])/")


def score_in(
    fields: Fields, name: str, *, version: str = "", source: str = "", vector: str = ""
) -> Score | None:
    """Read a member that may be a base score.

    A score of 0 counts only where a vector proves that somebody has scored: writers in Go write 0
    for what they do not know.

    Args:
        fields: The object that it is a member of.
        name: Its name.
        version: Of CVSS, as the member's name tells it.
        source: Who scored.
        vector: The vector beside it, which tells the version more exactly; empty without one.

    Returns:
        The score; None when there is none.

    Raises:
        UnreadableEvidenceError: It is no number, or not from 0 to 10.

    Source: CVSS 3.1 specification, section 5.
    """
    base = fields.optional_number(name)
    if base is None:
        return None
    if not 0 <= base <= HIGHEST:
        fields.refuse(name, "is not from 0 to 10")
    if not base and not vector:
        return None
    return Score(base, version_in(vector) or version, source)


def written_score(text: str) -> float | None:
    """Read a base score that stands in a text.

    Args:
        text: Such as ``9.8``.

    Returns:
        The score; None when the text is something else.
    """
    text = text.strip()
    base = float(text) if _DECIMAL.fullmatch(text) else None
    return base if base is not None and base <= HIGHEST else None


def version_in(vector: str) -> str:
    """Return the version of CVSS that a vector names; empty when it names none, as CVSS 2 does."""
    match = _VECTOR_VERSION.match(vector)
    return match[1] if match else ""
