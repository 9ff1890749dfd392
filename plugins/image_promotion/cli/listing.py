"""Rows for people: a table where it fits, else a few lines for each row.

What stands in a row comes from registries too, so it is never read as markup, and no control
character of a stranger reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
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
        below: Columns that stand below their row, where the table would fit but for them.
    """

    columns: tuple[str, ...]
    narrow: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


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
        names = self._names()
        table = self._table(names)
        # A table is asked how wide it would like to be, without any limit.
        wanted = Measurement.get(console, options.update(width=_WIDEST), table).maximum
        if wanted <= options.max_width:
            yield table
            return
        beside = [name for name in names if name not in self._layout.below]
        widths = {
            name: max([cell_len(name), *(row[name].cell_len for row in self._rows)])
            for name in beside
        }
        if self._layout.below and sum(widths.values()) + len(widths) < options.max_width:
            yield from self._rows_with_lines_below(widths)
            return
        for row in self._rows:
            yield from self._paragraph(row)

    def _names(self) -> list[str]:
        """Return the columns in which something stands."""
        return [
            name
            for name in self._layout.columns
            if not self._rows or any(row[name].plain for row in self._rows)
        ]

    def _rows_with_lines_below(self, widths: Mapping[str, int]) -> RenderResult:
        yield _aligned({name: Text(name, "bold") for name in widths}, widths)
        for row in self._rows:
            yield _aligned(row, widths)
            for name in self._layout.below:
                if row[name].plain:
                    yield Padding(row[name], (0, 0, 0, _INDENT), expand=False)

    def _table(self, names: Sequence[str]) -> Table:
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


def _aligned(row: Mapping[str, Text], widths: Mapping[str, int]) -> Text:
    cells = []
    for name, width in widths.items():
        cell = row[name].copy()
        cell.pad_right(width - cell.cell_len)
        cells.append(cell)
    line = Text(" ").join(cells)
    line.rstrip()
    return line


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
