"""Where an image is, as people write it at the command line: three ways that cannot be confused.

    registry.example.com/team/app:1.4            an image reference, as everywhere
    conn://dev_registry/dev/website:1.4          a repository of a named connection
    layout:///mnt/disk//dev/website:1.4          a repository in a folder of OCI layouts

A reference never holds ``://``. Of a layout, what stands before the last ``//`` is the folder,
since no repository's name holds two slashes in a row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from image_promotion.errors import InvalidReferenceError
from image_promotion.registry.digest import Digest
from image_promotion.registry.reference import Reference, is_repository, is_tag

CONNECTION = "conn://"
LAYOUT = "layout://"

_CONNECTION_ID = re.compile(r"[A-Za-z0-9_.-]+")

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Place:
    """A repository somewhere, and an image in it.

    Args:
        repository: The repository, as the place itself names it.
        tag: The tag; None when none was written.
        digest: The digest; None when none was written.
        registry: The registry of a plain reference; None for the other two.
        connection_id: The connection; None for the other two.
        folder: The folder of layouts; None for the other two.
    """

    repository: str
    tag: str | None = None
    digest: Digest | None = None
    registry: str | None = None
    connection_id: str | None = None
    folder: Path | None = None


def parse_place(text: str) -> Place:
    """Read where an image is.

    Args:
        text: An image reference, or one of the two other ways.

    Returns:
        The place.

    Raises:
        InvalidReferenceError: The text is none of them; says which rule it breaks.

    Source: CNCF distribution, ``reference`` package, grammar, for all that follows the beginning.
    """
    if text.startswith(CONNECTION):
        connection_id, slash, rest = text.removeprefix(CONNECTION).partition("/")
        if not _CONNECTION_ID.fullmatch(connection_id):
            # Not quoted: who takes it for a URL may have written a password there.
            raise InvalidReferenceError(
                f"what begins with {CONNECTION} goes on with no connection's id",
                text=text,
                advice=f"Write {CONNECTION}CONNECTION_ID/REPOSITORY:TAG.",
            )
        repository, tag, digest = _image(text, rest if slash else "")
        return Place(repository, tag, digest, connection_id=connection_id)
    if text.startswith(LAYOUT):
        folder, slashes, rest = text.removeprefix(LAYOUT).rpartition("//")
        if not slashes or not folder or "\0" in folder:
            raise _broken(
                text,
                "names no folder and repository",
                f"Write {LAYOUT}FOLDER//REPOSITORY:TAG, with two slashes between the two.",
            )
        repository, tag, digest = _image(text, rest)
        return Place(repository, tag, digest, folder=Path(folder))
    reference = Reference.parse(text)
    return Place(reference.repository, reference.tag, reference.digest, registry=reference.registry)


def _image(text: str, name: str) -> tuple[str, str | None, Digest | None]:
    """Read ``repository[:tag][@digest]``."""
    rest, at, digest_text = name.partition("@")
    repository, colon, tag = rest.partition(":")
    if not is_repository(repository):
        raise _broken(
            text,
            "names no repository",
            "A repository is lower-case components with slashes between them.",
        )
    if colon and not is_tag(tag):
        raise _broken(
            text,
            "has no legal tag after its colon",
            "A tag begins with a letter, a digit or _, and goes on with these, dots and dashes.",
        )
    return repository, tag if colon else None, Digest.parse(digest_text) if at else None


def _broken(text: str, rule: str, advice: str) -> InvalidReferenceError:
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return InvalidReferenceError(f"{shown!a} {rule}", text=text, advice=advice)
