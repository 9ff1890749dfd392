from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from image_promotion.policy.criteria.age import Updated, in_words
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict
from tests.support.policies import NOW, facts

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def judge(criterion: Updated, updated: datetime) -> Finding:
    return criterion.judge(facts(updated=updated), NOW)


@pytest.mark.parametrize(
    ("criterion", "updated", "holds"),
    [
        (Updated(older_than=DAY), NOW - DAY, True),
        (Updated(older_than=DAY), NOW - DAY + SECOND, False),
        (Updated(newer_than=DAY), NOW - DAY + SECOND, True),
        (Updated(newer_than=DAY), NOW - DAY, False),
        (Updated(newer_than=DAY), NOW + DAY, True),
        (Updated(before=NOW), NOW - SECOND, True),
        (Updated(before=NOW), NOW, False),
        (Updated(after=NOW), NOW, True),
        (Updated(after=NOW), NOW - SECOND, False),
    ],
)
def test_the_time_of_the_last_update_is_compared(
    criterion: Updated, updated: datetime, holds: bool
) -> None:
    assert judge(criterion, updated).verdict is (Verdict.HELD if holds else Verdict.NOT_HELD)
    assert criterion.needs == {Need.UPDATED}


def test_an_age_says_when_its_answer_changes() -> None:
    young = NOW - timedelta(hours=1)

    assert judge(Updated(older_than=DAY), young).changes_at == young + DAY
    assert judge(Updated(newer_than=DAY), young).changes_at == young + DAY
    assert judge(Updated(older_than=DAY), NOW - 2 * DAY).changes_at is None
    assert judge(Updated(newer_than=DAY), NOW - 2 * DAY).changes_at is None
    assert judge(Updated(before=NOW), young).changes_at is None
    assert judge(Updated(after=NOW), young).changes_at is None


@pytest.mark.parametrize(("year", "old"), [(9999, False), (1, True)])
def test_an_image_that_claims_to_be_from_the_end_of_time_is_judged(year: int, old: bool) -> None:
    at = datetime(year, 12, 31, 23, 59, tzinfo=UTC)

    assert (judge(Updated(older_than=DAY), at).verdict is Verdict.HELD) is old
    assert (judge(Updated(newer_than=DAY), at).verdict is Verdict.HELD) is not old


def test_an_unknown_time_is_unknown() -> None:
    for criterion in (Updated(older_than=DAY), Updated(before=NOW)):
        finding = criterion.judge(facts(), NOW)
        assert finding.verdict is Verdict.UNKNOWN
        assert finding.found == "no time of the last update"


def test_an_age_is_described_in_words_and_moments_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    noon = datetime(2026, 1, 31, 13, tzinfo=berlin)

    assert Updated(older_than=2 * DAY).describe() == "updated at least 2 days ago"
    assert Updated(newer_than=DAY).describe() == "updated less than 1 day ago"
    assert Updated(before=noon).describe() == "updated before 2026-01-31 12:00:00Z"
    assert Updated(after=noon).describe() == "updated at or after 2026-01-31 12:00:00Z"
    assert judge(Updated(after=noon), NOW).found == "updated 2026-11-24 12:00:00Z"
    assert judge(Updated(after=noon), NOW).source == "image config"


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(hours=36), "36 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_durations_are_said_in_the_largest_whole_unit(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words


def test_one_question_at_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Updated()
    with pytest.raises(ValueError, match="exactly one"):
        Updated(older_than=DAY, newer_than=DAY)
    with pytest.raises(ValueError, match="time zone"):
        Updated(before=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
