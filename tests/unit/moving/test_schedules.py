from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.moving.schedules import cron_of, cron_of_interval, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("60m", timedelta(hours=1)),
        ("1h30m0s", timedelta(minutes=90)),
        ("720h0m0s", timedelta(days=30)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0s", None),
        ("", None),
        ("60", None),
        ("1h ", None),
        ("-1h", None),
        ("9" * 400 + "h", None),
        ("9" * 30 + "h", None),
    ],
)
def test_durations_are_read_as_go_writes_them(text: str, duration: timedelta | None) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("minutes", "expression", "exact"),
    [
        (1, "* * * * *", True),
        (15, "*/15 * * * *", True),
        (45, "*/30 * * * *", False),
        (60, "0 * * * *", True),
        (90, "0 * * * *", False),
        (360, "0 */6 * * *", True),
        (1440, "0 0 * * *", True),
        (10_080, "0 0 * * *", False),
    ],
)
def test_intervals_become_cron_and_say_where_they_differ(
    minutes: int, expression: str, exact: bool
) -> None:
    assert cron_of_interval(timedelta(minutes=minutes)) == (expression, exact)


@given(st.integers(1, 100_000))
def test_no_interval_grows_longer(seconds: int) -> None:
    interval = timedelta(seconds=max(seconds, 60))
    expression, exact = cron_of_interval(interval)
    times = croniter(expression, datetime(2026, 1, 1, tzinfo=UTC))
    first, second = times.get_next(datetime), times.get_next(datetime)

    gap = second - first
    assert gap == interval if exact else gap < interval


@pytest.mark.parametrize(
    ("text", "expression", "zone", "differs"),
    [
        ("15 01 * * *", "15 01 * * *", "UTC", False),
        ("0 15 2 * * *", "15 2 * * *", "UTC", False),
        ("30 15 2 * * *", "15 2 * * *", "UTC", True),
        ("0 0 ? * mon", "0 0 * * mon", "UTC", False),
        ("CRON_TZ=Europe/Berlin 0 3 * * *", "0 3 * * *", "Europe/Berlin", False),
        ("@daily", "@daily", "UTC", False),
        ("@every 1h", "0 * * * *", "UTC", False),
        ("@every 90m", "0 * * * *", "UTC", True),
        ("@every soon", "@every soon", "UTC", False),
    ],
)
def test_gos_cron_expressions_become_ours(
    text: str, expression: str, zone: str, differs: bool
) -> None:
    found, where, said = cron_of(text)

    assert (found, where, said is not None) == (expression, zone, differs)


def test_a_step_from_a_number_means_the_same_to_both() -> None:
    """To Go's library 5/15 is 5-59/15, in minutes."""
    times = croniter("5/15 * * * *", datetime(2026, 1, 1, tzinfo=UTC))

    assert [times.get_next(datetime).minute for _ in range(5)] == [5, 20, 35, 50, 5]
