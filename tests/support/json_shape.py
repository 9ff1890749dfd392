"""The fields of real JSON, and those that docs/command-line.md promises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

Record = Mapping[str, object]

_SECTION = re.compile(r"^### (.+)$")
_FIELD = re.compile(r"^\| `(\w+)` \|")


def documented_fields(page: Path) -> dict[str, set[str]]:
    """Return the fields in the table of each third-level section of the page."""
    sections: dict[str, set[str]] = {}
    fields: set[str] = set()
    for line in page.read_text().splitlines():
        if heading := _SECTION.match(line):
            fields = sections.setdefault(heading[1], set())
        elif field := _FIELD.match(line):
            fields.add(field[1])
    return sections


def records(document: object) -> list[Record]:
    """Return a JSON list of objects as such."""
    assert isinstance(document, list), document
    for each in document:
        assert isinstance(each, dict), each
    return document


def fields_of(objects: Iterable[Record]) -> set[str]:
    """Return the fields of objects, of which there is one at least and which all have the same."""
    shapes = {frozenset(each) for each in objects}
    assert len(shapes) == 1, shapes
    return set(shapes.pop())
