from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling.report import figures, publish
from tests.unit.benchmarks.test_curves import PLOT
from tests.unit.benchmarks.test_sizing import measured

PROJECT = Path(__file__).resolve().parents[3]
PAGE = PROJECT / "docs" / "scale.md"


def test_the_page_of_the_documentation_takes_figures_and_plots(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    page = tmp_path / "scale.md"
    page.write_text(PAGE.read_text())
    for _ in range(2):  # the second replaces the first
        publish(page, {"figures": "new figures\n", "sizes": "new sizes\n"}, {"images": PLOT})
    text = page.read_text()
    assert (text.count("new figures\n"), text.count("new sizes\n")) == (1, 1)
    assert text.index("new figures") < text.index("## Sizes") < text.index("new sizes")
    assert (tmp_path / "images" / "scale-images.svg").is_file()
    with pytest.raises(ValueError, match="marks of others"):
        publish(page, {"others": ""}, {})


def test_figures_tell_runs_and_scans_with_the_load_under_which_they_were_taken() -> None:
    lines = figures(measured()).splitlines()
    assert "| 1,000 | 4 | 2 | 40.0 | 40.0 | 1, 0, 0 | 0.1 |" in lines
    assert "| all | 0 | 2.2 | 0.0, 0.0 | 0 | 0.0 |" in lines
