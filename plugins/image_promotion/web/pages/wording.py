"""How values are said on the pages: times, sizes, states, and Markdown as text in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_MINUTE_S = 60
_SHOWN_HEX = 12
_INLINE = re.compile(r"`(?P<code>[^`]*)`|\*\*(?P<strong>[^*]+)\*\*|\\(?P<escaped>.)")
_ITEM = re.compile(r"(?P<indent> *)- (?P<text>.*)")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text, and how it is set: ``text``, ``code`` or ``strong``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or an item of a list at some depth from 1; 0 is a paragraph."""

    depth: int
    pieces: tuple[Piece, ...]


def moment(at: datetime | None) -> str:
    """Say when, to the second, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def size(size_bytes: int | None) -> str:
    """Say how many bytes."""
    if size_bytes is None:
        return ""
    value = float(size_bytes)
    for unit in _UNITS:
        if value < _THOUSAND or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _THOUSAND
    return ""


def duration(seconds: float | None) -> str:
    """Say how long."""
    if seconds is None:
        return ""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{seconds // _MINUTE_S:.0f} min {seconds % _MINUTE_S:.0f} s"


def short(digest: str) -> str:
    """Return enough of a digest to know it by."""
    algorithm, colon, value = digest.partition(":")
    return f"{algorithm}{colon}{value[:_SHOWN_HEX]}"


def in_path(value: str) -> str:
    """Write a name as a part of a path.

    The colon of a digest stays: Airflow's page takes an escaped one for another address than it
    has itself, and loads the frame once more.
    """
    return quote(value, safe=":")


def blocks(markdown: str) -> tuple[Block, ...]:
    """Take apart the Markdown that `Policy.describe` gives; nothing in it becomes markup.

    Args:
        markdown: Paragraphs and lists, with code, bold text and escaped characters.

    Returns:
        The paragraphs and items.
    """
    return tuple(_blocks(markdown))


def _blocks(markdown: str) -> Iterator[Block]:
    paragraph: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        item = _ITEM.fullmatch(line)
        if (item or not line.strip()) and paragraph:
            yield Block(0, _pieces(" ".join(paragraph)))
            paragraph = []
        if item:
            yield Block(len(item["indent"]) // 2 + 1, _pieces(item["text"]))
        elif line.strip():
            paragraph.append(line.strip())


def _pieces(text: str) -> tuple[Piece, ...]:
    found: list[Piece] = []
    position = 0
    for match in _INLINE.finditer(text):
        if match.start() > position:
            found.append(Piece("text", text[position : match.start()]))
        kind = match.lastgroup or "escaped"
        found.append(Piece("text" if kind == "escaped" else kind, match[kind]))
        position = match.end()
    if position < len(text):
        found.append(Piece("text", text[position:]))
    return tuple(found)
