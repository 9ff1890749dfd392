"""Rows for people: a table where it fits, else a few lines for each row.

What stands in a row comes from registries too, so it is never read as markup, and no control
character of a stranger reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Row = Mapping[str, str | Text]
"""The cells of a row by the names of their columns."""

_WIDEST = 1_000_000
_INDENT = 4
_LEADING_TO = "target tag"


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows of one kind are laid out.

    Args:
        columns: The columns of the table, from left to right.
        narrow: Where the table does not fit: the columns on each line of a row. The first line
            begins at the margin and the others are indented; what is empty is left out.
    """

    columns: tuple[str, ...]
    narrow: tuple[tuple[str, ...], ...]


class Listing:
    """Rows that a console can print; columns in which nothing stands are left out.

    Args:
        layout: How to lay them out.
        rows: The rows.
        title: A line above them; empty for none.
    """

    def __init__(self, layout: Layout, rows: Sequence[Row], *, title: str = "") -> None:
        self._layout = layout
        self._rows = [{name: clean(cell) for name, cell in row.items()} for row in rows]
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._title:
            yield clean(self._title)
            yield ""
        table = self._table()
        # A table is asked how wide it would like to be, without any limit.
        wanted = Measurement.get(console, options.update(width=_WIDEST), table).maximum
        if wanted <= options.max_width:
            yield table
        else:
            for row in self._rows:
                yield from self._paragraph(row)

    def _table(self) -> Table:
        names = [
            name
            for name in self._layout.columns
            if not self._rows or any(row[name].plain for row in self._rows)
        ]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, overflow="fold")
        for row in self._rows:
            table.add_row(*(row[name] for name in names))
        return table

    def _paragraph(self, row: Mapping[str, Text]) -> RenderResult:
        for number, names in enumerate(self._layout.narrow):
            cells = [_led_to(name, row[name]) for name in names if row[name].plain]
            if cells:
                line = Text("  ").join(cells)
                line.overflow = "fold"
                yield Padding(line, (0, 0, 0, _INDENT if number else 0), expand=False)


def _led_to(name: str, cell: Text) -> Text:
    """Mark where an image goes, since no column's name says it here."""
    return Text("-> ") + cell if name == _LEADING_TO else cell


def clean(cell: str | Text) -> Text:
    """Return what a stranger may have written as text to print.

    Args:
        cell: The text.

    Returns:
        The text, never read as markup, without control characters.
    """
    text = cell if isinstance(cell, Text) else Text(cell)
    if text.plain.isprintable():
        return text
    printable = "".join(c if c.isprintable() else " " for c in text.plain)
    return Text(printable, style=text.style)
