"""Notes of how far copies have come, and what becomes of a copy where there can be none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest

from image_promotion.errors import LedgerError
from image_promotion.ledger.progress import Progress
from image_promotion.promotion.live_progress import LiveProgress
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.passage import BlobOutcome
from image_promotion.registry.transfer import NO_PROGRESS

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BLOB = Descriptor("application/octet-stream", Digest.parse(f"sha256:{'ab' * 32}"), 700)
WAIT_S = 30


class Notes:
    """What would be the ledger's; it says when something was noted."""

    def __init__(self, error: LedgerError | None = None) -> None:
        self.noted: list[tuple[Sequence[Progress], Collection[int]]] = []
        self.twice = threading.Event()
        self._error = error

    def note(self, found: Sequence[Progress], *, ended: Collection[int] = ()) -> None:
        self.noted.append((found, ended))
        if len(self.noted) > 1:
            self.twice.set()
        if self._error:
            raise self._error


def _live(notes: Notes, interval_s: float = 0.001) -> LiveProgress:
    return LiveProgress(
        notes,  # type: ignore[arg-type]  # the two methods that are asked
        "website/1",
        lambda: NOW,
        interval_s=interval_s,
    )


def test_a_copy_is_noted_as_far_as_it_has_come_and_its_note_goes_with_it() -> None:
    notes = Notes()
    with _live(notes) as live, live.copying(7, NO_PROGRESS) as progress:
        progress.planned(2, 1000)
        progress.advanced(700)
        progress.blob_done(BLOB, BlobOutcome.COPIED)
        progress.blob_done(BLOB, BlobOutcome.SKIPPED)
        # What another copy was bringing comes on top.
        progress.planned(1, 500)
        assert notes.twice.wait(WAIT_S)

    assert notes.noted[-2][0] == (Progress(7, "website/1", 3, 1, 1500, 700, NOW, NOW),)
    assert notes.noted[-1] == ((), {7})


def test_a_copy_that_ends_before_the_first_note_costs_none() -> None:
    notes = Notes()
    with _live(notes, interval_s=WAIT_S) as live, live.copying(7, NO_PROGRESS) as progress:
        progress.planned(1, 700)
        progress.advanced(700)

    assert notes.noted == []


def test_a_stage_that_copies_nothing_starts_no_thread() -> None:
    before = threading.active_count()
    with _live(Notes()):
        assert threading.active_count() == before


def test_a_copy_goes_on_where_nothing_can_be_noted_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = Notes(LedgerError("the ledger is locked"))
    with (
        caplog.at_level(logging.WARNING),
        _live(notes) as live,
        live.copying(7, NO_PROGRESS) as progress,
    ):
        progress.planned(1, 700)
        assert notes.twice.wait(WAIT_S)

    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "the ledger is locked" in caplog.text
    # It may have been written all the same, and is taken away.
    assert notes.noted[-1] == ((), {7})
