"""Lines for people: words in front, and what they are about, broken so that it stays beside them.

What stands in a line comes from registries too; see ``listing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from image_promotion.cli.listing import clean

_NARROWEST = 20
"""A column of text is never made narrower, however deep it is indented."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or the beginning of several.

    Args:
        text: What it says.
        label: The words in front of it.
        indent: How many columns it begins from the margin.
        width: How many columns the label takes at least, with what separates it from the text.
    """

    text: str | Text
    label: str | Text = ""
    indent: int = 0
    width: int = 0


class Outline:
    """Lines that a console can print.

    Args:
        lines: The lines, in their order.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = tuple(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            label, text = clean(line.label), clean(line.text)
            label.pad_right(max(line.width - label.cell_len, 0))
            lead = Text(" " * line.indent) + label
            room = max(options.max_width - lead.cell_len, _NARROWEST)
            pieces = text.wrap(console, room, overflow="fold") if text.plain else [text]
            for piece in pieces:
                piece.rstrip()
                whole = lead + piece
                whole.rstrip()
                yield whole
                lead = Text(" " * lead.cell_len)
