from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from image_promotion.cli.outline import Line, Outline


def printed(lines: list[Line], width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(Outline(lines))
    return file.getvalue().split("\n")[:-1]


def test_text_is_broken_beside_its_label() -> None:
    lines = printed([Line("one two three four five six", Text("found"), indent=2, width=8)], 30)
    assert lines == ["  found   one two three four", "          five six"]


def test_an_empty_line_stays_one() -> None:
    assert printed([Line("a"), Line(""), Line("b")], 80) == ["a", "", "b"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_nothing_is_lost_and_no_blank_ends_a_line(
    width: int,
) -> None:
    lines = printed([Line("x" * 150 + " end", "label", indent=10, width=10)], width)
    assert max(map(len, lines)) <= width
    assert "".join(lines).count("x") == 150
    assert all(line == line.rstrip() for line in lines)


def test_what_registries_say_is_neither_markup_nor_orders_to_the_terminal() -> None:
    said = "[/red] [bold]x[/bold] \x1b[2J\x07\r\nend"
    text = "\n".join(printed([Line(said, said)], 200))
    assert "[bold]x[/bold]" in text
    assert all(character.isprintable() or character == "\n" for character in text)
