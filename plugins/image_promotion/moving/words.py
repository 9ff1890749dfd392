"""Words of an export as they may be shown: short, in one line, in ASCII."""

from __future__ import annotations

MAX_CHARACTERS = 120


def shown(text: object) -> str:
    """Return a text of an export as a comment or a terminal may show it.

    Args:
        text: A text of somebody else's; whatever else it is, it is not shown.

    Returns:
        The text, with everything that is not printable ASCII escaped, and cut where it is long.
    """
    if not isinstance(text, str):
        return "something that is no text"
    safe = text.encode("unicode_escape").decode("ascii")
    return safe if len(safe) <= MAX_CHARACTERS else safe[:MAX_CHARACTERS] + "..."
