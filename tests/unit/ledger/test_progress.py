"""How far copies have come, as the ledger keeps it while they run."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from image_promotion.errors import LedgerError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.progress import FORGOTTEN_AFTER, STALE_AFTER, Progress
from image_promotion.ledger.records import State
from tests.support.ledger_story import START, Story

POLICY = "website-to-qa"


def _progress(promotion_id: int, bytes_done: int = 250) -> Progress:
    at = START + timedelta(seconds=10)
    return Progress(promotion_id, "a/1", 3, 1, 1000, bytes_done, START, at)


def test_a_note_is_told_until_the_copy_ends(ledger: Ledger, story: Story) -> None:
    promotion = story.promotion_in(State.PLANNED)
    now = START + timedelta(seconds=11)

    ledger.progress.note([_progress(promotion.id)])
    ledger.progress.note([_progress(promotion.id, bytes_done=500)])

    (found,) = ledger.progress.running([POLICY], now)
    assert found.promotion == promotion
    assert found.progress == _progress(promotion.id, bytes_done=500)
    ledger.progress.note([], ended=[promotion.id])
    assert ledger.progress.running([POLICY], now) == ()


def test_a_note_is_told_of_the_wanted_policies_and_images_alone(
    ledger: Ledger, story: Story
) -> None:
    promotion = story.promotion_in(State.PLANNED)
    now = START + timedelta(seconds=11)
    ledger.progress.note([_progress(promotion.id)])

    assert ledger.progress.running(["another"], now) == ()
    assert ledger.progress.running([POLICY], now, digests=["sha256:b"]) == ()
    assert len(ledger.progress.running([POLICY], now, digests=["sha256:a"])) == 1


def test_what_a_killed_process_left_is_told_no_more_and_forgotten(
    ledger: Ledger, story: Story
) -> None:
    one = story.promotion_in(State.PLANNED)
    other = story.promotion_in(State.PLANNED, tag="1.5-stable")
    left = _progress(one.id)
    ledger.progress.note([left])

    assert ledger.progress.running([POLICY], left.at + STALE_AFTER) == ()

    later = _progress(other.id)
    ledger.progress.note([replace(later, at=left.at + FORGOTTEN_AFTER + timedelta(seconds=1))])
    assert [each.promotion.id for each in ledger.progress.running([POLICY], START)] == [other.id]


def test_a_note_is_given_up_where_others_write_for_long_and_the_next_waits_as_ever(
    ledger: Ledger, story: Story, url: str
) -> None:
    promotion = story.promotion_in(State.PLANNED)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(LedgerError, match="locked"):
            ledger.progress.note([_progress(promotion.id)])
        took_s = time.monotonic() - began
        other.execute("ROLLBACK")

    assert took_s < 5
    with ledger._database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
