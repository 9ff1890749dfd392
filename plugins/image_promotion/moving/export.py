"""Exports as files: JSON that somebody fetched with curl, read within bounds."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from image_promotion.errors import PolicyError
from image_promotion.moving.words import shown
from image_promotion.registry.document import Fields

MAX_BYTES = 64 * 1024 * 1024

Members = Mapping[str, object]


def read_export(path: Path) -> object:
    """Read a JSON document.

    Args:
        path: The file.

    Returns:
        What it holds, unchecked.

    Raises:
        PolicyError: It cannot be read or is no JSON; nothing of it is repeated, since exports hold
            passwords.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror}", file=path) from None
    if len(content) > MAX_BYTES:
        raise PolicyError("is too large to be an export", file=path, allowed=f"{MAX_BYTES} bytes")
    try:
        document: object = json.loads(content)
    except json.JSONDecodeError as error:
        raise PolicyError(
            f"is not JSON: {error.msg}", file=path, line=error.lineno, column=error.colno
        ) from None
    except (ValueError, RecursionError):
        # Broken UTF-8, a number of too many digits, too many brackets.
        raise PolicyError("is not JSON that can be read", file=path) from None
    return document


def objects_in(document: object) -> Iterator[Members | None]:
    """Yield the objects of a list, or one object; None for each item that is no object."""
    for each in document if isinstance(document, list) else [document]:
        yield each if isinstance(each, dict) else None


def fields_of(members: Members, what: str) -> Fields:
    """Return typed access to one object of an export.

    Args:
        members: The object.
        what: What it is, in words.

    Returns:
        Its members; what is wrong with one is a PolicyError.
    """
    return Fields(what, "", members, PolicyError)


def notes_on_unknown(members: Members, known: Collection[str]) -> list[str]:
    """Return a note for each member that nobody here knows and that is set."""
    return [
        f"The key {shown(key)} is not known here, and was not carried."
        for key, value in members.items()
        if key not in known and value not in (None, "", [], {}, False)
    ]
