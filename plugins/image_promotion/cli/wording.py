"""Reasons as tables and outlines show them: without what would hide the point."""

from __future__ import annotations

import re
from collections.abc import Sequence

from image_promotion.ledger.records import Reason
from image_promotion.promotion.decision import deciding

LONGEST_REASON = 200
"""A longer one is cut in a table; `promotion explain` and the JSON have the whole of it."""

CUT = " ..."

_DIGEST = re.compile(
    r"\b(?:(sha256):([0-9a-f]{12})[0-9a-f]{52}|(sha512):([0-9a-f]{12})[0-9a-f]{116})\b"
)
_ABOUT = re.compile(r" of [^\s@]+@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9a-f])")
_ITEMS_IN_A_TABLE = 3


def counted(number: int, noun: str) -> str:
    """Say how many of something there are.

    Args:
        number: How many.
        noun: What it is, one of it.

    Returns:
        Such as ``1 vulnerability`` or ``2 vulnerabilities``.
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def short_digests(text: str) -> str:
    """Return a text with the beginnings of its digests alone, as people compare them."""
    return _DIGEST.sub(r"\1\3:\2\4", text)


def without_subject(text: str, digest: str | None = None) -> str:
    """Return a text without the image that something is attached to, where that is plain anyway.

    Args:
        text: The text, with whole digests.
        digest: The image that is spoken of; None to leave out any.

    Returns:
        The text.
    """
    return _ABOUT.sub(lambda match: "" if digest in (None, match[1]) else match[0], text)


def name_of(reason: Reason) -> str:
    """Name a trigger, one made of others without repeating these.

    Args:
        reason: What was found about it.

    Returns:
        Such as ``any of``.
    """
    listed = "; ".join(part.trigger for part in reason.parts)
    return reason.trigger.removesuffix(f": {listed}") if listed else reason.trigger


def without_items(reason: Reason) -> str:
    """Return what a trigger found without the items, which are to be shown in another way."""
    return _replaced(reason, "")


def in_brief(reasons: Sequence[Reason]) -> str:
    """Say in one line of a table why an image was decided so.

    Args:
        reasons: All reasons of the decision.

    Returns:
        The triggers that settle it with what they found; what is long ends in an ellipsis.
    """
    by_words: dict[str, list[str]] = {}
    for reason in deciding(reasons):
        by_words.setdefault(_briefly_found(reason), []).append(name_of(reason))
    return "; ".join(
        _cut(short_digests(without_subject(f"{', '.join(triggers)}: {found}")))
        for found, triggers in by_words.items()
    )


def _briefly_found(reason: Reason) -> str:
    shown = reason.items[:_ITEMS_IN_A_TABLE]
    number = len(reason.items) if reason.count is None else reason.count
    if len(shown) == number:
        return reason.found
    return _replaced(reason, f": {', '.join(shown)} and {number - len(shown)} more")


def _replaced(reason: Reason, by: str) -> str:
    """Put something in the place of the items, as far as they stand in what was found."""
    if not reason.items:
        return reason.found
    items = re.escape(", ".join(reason.items))
    return re.sub(f": {items}(?: and [0-9]+ more)?", lambda _: by, reason.found, count=1)


def _cut(text: str) -> str:
    if len(text) <= LONGEST_REASON:
        return text
    return text[: LONGEST_REASON - len(CUT)].rsplit(" ", 1)[0] + CUT
