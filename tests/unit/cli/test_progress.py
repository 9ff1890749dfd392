from __future__ import annotations

import io

from rich.console import Console

from image_promotion.cli.progress import ProgressBars
from image_promotion.registry.transfer import NO_PROGRESS


def console(*, is_terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=is_terminal)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_at_all_is_written_where_nobody_looks() -> None:
    quiet = console(is_terminal=False)
    with ProgressBars("policy", quiet) as bars:
        assert bars.of("dev/website:1") is NO_PROGRESS
    assert written(quiet) == ""


def drawn(bars: ProgressBars) -> str:
    """What stands on the screen now."""
    screen = console(is_terminal=False)
    screen.print(bars.picture())
    return written(screen)


def test_an_image_has_a_bar_while_it_is_under_way() -> None:
    with ProgressBars("policy", console(is_terminal=True)) as bars:
        image = bars.of("dev/[website]:1")
        image.planned(2, 1_000_000)
        image.advanced(400_000)
        assert "dev/[website]:1" in drawn(bars)
        assert "0.4/1.0 MB" in drawn(bars)
        image.advanced(600_000)
        assert "dev/[website]:1" not in drawn(bars)
        assert "policy" in drawn(bars)


def test_an_image_that_is_there_already_has_no_bar() -> None:
    with ProgressBars("policy", console(is_terminal=True)) as bars:
        bars.of("dev/website:1").planned(0, 0)
        assert "policy" in drawn(bars)
        assert "dev/website:1" not in drawn(bars)


def test_a_blob_that_starts_anew_brings_its_bar_back() -> None:
    with ProgressBars("policy", console(is_terminal=True)) as bars:
        image = bars.of("dev/website:1")
        image.planned(1, 100)
        image.advanced(100)
        image.advanced(-100)
        assert "dev/website:1" in drawn(bars)
