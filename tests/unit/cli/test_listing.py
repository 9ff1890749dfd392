from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from image_promotion.cli.listing import Layout, Listing, Row

LAYOUT = Layout(
    columns=("tag", "decision", "reason", "target tag"),
    narrow=(("decision", "tag"), ("reason",), ("target tag",)),
)
ROWS: list[Row] = [
    {"tag": "1-stable", "decision": "promote", "reason": "r" * 30, "target tag": "qa:1"},
    {"tag": "2-rc1", "decision": "reject", "reason": "s" * 30, "target tag": ""},
]


def printed(listing: Listing, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(listing)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_table_that_fits_has_a_line_for_each_row_under_its_head() -> None:
    lines = printed(Listing(LAYOUT, ROWS), 80)
    assert lines[0].split("  ")[0] == "tag"
    assert len(lines) == 3
    assert lines[1].startswith("1-stable")


def test_a_table_that_does_not_fit_becomes_a_few_lines_for_each_row() -> None:
    assert printed(Listing(LAYOUT, ROWS), 50) == [
        "promote  1-stable",
        "    " + "r" * 30,
        "    -> qa:1",
        "reject  2-rc1",
        "    " + "s" * 30,
    ]


@pytest.mark.parametrize("width", [10, 20, 40, 50, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    lines = printed(Listing(LAYOUT, ROWS), width)
    assert max(map(len, lines)) <= width
    text = "".join(lines).replace(" ", "")
    for cell in ("1-stable", "promote", "r" * 30, "qa:1", "s" * 30):
        assert cell in text


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    rows = [{**row, "target tag": ""} for row in ROWS]
    assert "target tag" not in printed(Listing(LAYOUT, rows), 80)[0]


def test_what_all_rows_share_stands_above_them() -> None:
    assert printed(Listing(LAYOUT, ROWS, title="dev -> qa"), 80)[:2] == ["dev -> qa", ""]


@pytest.mark.parametrize("width", [30, 200])
def test_what_registries_say_is_neither_markup_nor_orders_to_the_terminal(width: int) -> None:
    said = "[/red] [bold]x[/bold] \x1b[2J\x07\r\nend"
    row: Row = {"tag": said, "decision": Text("wait", "cyan"), "reason": said, "target tag": ""}
    text = "\n".join(printed(Listing(LAYOUT, [row], title=said), width))
    assert "[/red]" in text
    assert "[bold]x[/bold]" in text.replace("\n", "").replace("    ", "")
    assert all(character.isprintable() or character == "\n" for character in text)


def test_colours_come_with_the_words_and_only_where_there_are_any() -> None:
    row: Row = {**ROWS[0], "decision": Text("promote", "green")}
    file = io.StringIO()
    Console(file=file, width=80, force_terminal=True, color_system="standard").print(
        Listing(LAYOUT, [row])
    )
    assert "\x1b[32mpromote" in file.getvalue()
    assert "\x1b" not in "".join(printed(Listing(LAYOUT, [row]), 80))


def test_a_long_reason_stands_below_its_row_where_the_table_fits_but_for_it() -> None:
    layout = Layout(LAYOUT.columns, LAYOUT.narrow, below=("reason",))
    assert printed(Listing(layout, ROWS), 40) == [
        "tag      decision target tag",
        "1-stable promote  qa:1",
        "    " + "r" * 30,
        "2-rc1    reject",
        "    " + "s" * 30,
    ]
    assert printed(Listing(layout, ROWS), 25)[0] == "promote  1-stable"
