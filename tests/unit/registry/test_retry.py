"""When a failed request is made again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import (
    DeniedError,
    PromotionError,
    RateLimitedError,
    UnreachableError,
)
from image_promotion.registry.retry import NO_RETRY, RetryRules, call, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
BROKEN = UnreachableError("the connection broke")


class Flaky:
    """Fails as it was told to, then returns."""

    def __init__(self, *errors: PromotionError) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Pauses:
    """Notes how long it should have slept."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, pause_s: float) -> None:
        self.asked.append(pause_s)


async def test_what_breaks_and_may_be_retried_is_done_again() -> None:
    operation, pauses = Flaky(BROKEN, BROKEN), Pauses()
    assert await call(RetryRules(), operation, sleep=pauses, chance=lambda: 1.0) == "done"
    assert pauses.asked == [0.2, 0.4]


async def test_what_may_not_be_retried_is_done_once() -> None:
    operation, pauses = Flaky(DeniedError("not allowed")), Pauses()
    with pytest.raises(DeniedError):
        await call(RetryRules(), operation, sleep=pauses)
    assert (operation.calls, pauses.asked) == (1, [])


async def test_the_last_error_goes_up_when_all_attempts_are_used() -> None:
    last = UnreachableError("the last one")
    operation = Flaky(BROKEN, BROKEN, last)
    with pytest.raises(UnreachableError) as caught:
        await call(RetryRules(attempts=3), operation, sleep=Pauses())
    assert caught.value is last
    assert operation.calls == 3


async def test_without_retry_there_is_one_attempt() -> None:
    operation = Flaky(BROKEN)
    with pytest.raises(UnreachableError):
        await call(NO_RETRY, operation, sleep=Pauses())
    assert operation.calls == 1


async def test_errors_that_are_not_ours_pass_at_once() -> None:
    async def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await call(RetryRules(), broken, sleep=Pauses())


async def test_a_registry_that_asks_for_a_pause_gets_at_least_that_one() -> None:
    pauses = Pauses()
    operation = Flaky(RateLimitedError("slow down", retry_after_s=7))
    await call(RetryRules(), operation, sleep=pauses, chance=lambda: 0.5)
    assert pauses.asked == [7.1]


async def test_a_pause_that_is_too_long_is_left_to_a_later_task() -> None:
    operation, pauses = Flaky(RateLimitedError("slow down", retry_after_s=3600)), Pauses()
    with pytest.raises(RateLimitedError):
        await call(RetryRules(), operation, sleep=pauses)
    assert (operation.calls, pauses.asked) == (1, [])


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_no_pause_of_our_own_is_longer_than_the_cap(failures: int, chance: float) -> None:
    pause_s = RetryRules(attempts=10_001).pause_s(failures, BROKEN, chance)
    assert pause_s is not None
    assert 0 <= pause_s <= 20


def test_the_jitter_is_full() -> None:
    rules = RetryRules()
    assert rules.pause_s(3, BROKEN, 0.0) == 0
    assert rules.pause_s(3, BROKEN, 0.25) == pytest.approx(0.2)


def test_rules_without_any_attempt_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RetryRules(attempts=0)


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    text: str | None, pause_s: float | None
) -> None:
    assert parse_retry_after(text, NOW) == pause_s


@given(st.text())
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    pause_s = parse_retry_after(text, NOW)
    assert pause_s is None or pause_s >= 0
