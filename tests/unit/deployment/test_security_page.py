"""The page on security names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
_NAMED = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def test_every_test_that_the_page_names_exists() -> None:
    named = _NAMED.findall((PROJECT / "docs" / "security.md").read_text())
    defined = {
        name
        for path in (PROJECT / "tests").rglob("test_*.py")
        for name in _DEFINED.findall(path.read_text())
    }
    assert len(named) > 30
    assert set(named) <= defined, sorted(set(named) - defined)


def test_each_row_of_its_table_names_one() -> None:
    page = (PROJECT / "docs" / "security.md").read_text()
    table = page.partition("| shown by |\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert table
    assert [row for row in table if not _NAMED.search(row)] == []
