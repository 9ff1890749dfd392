from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import RetryAction, RetryDecision

from image_promotion.errors import (
    AuthenticationError,
    PromotionError,
    RateLimitedError,
    UnreachableError,
)
from image_promotion.operators.retries import RetryWhatMayPass


def decide(error: BaseException) -> RetryDecision:
    return RetryWhatMayPass().evaluate(error, try_number=1, max_tries=3)


def test_what_may_pass_by_itself_is_tried_again_after_airflows_own_pause() -> None:
    assert decide(UnreachableError("nobody answers")) == RetryDecision.default()


@pytest.mark.parametrize("error", [AuthenticationError("wrong password"), PromotionError("no")])
def test_what_needs_a_person_is_not_tried_again(error: PromotionError) -> None:
    assert decide(error).action is RetryAction.FAIL


def test_a_rate_limit_is_waited_for_as_long_as_the_registry_asks() -> None:
    decision = decide(RateLimitedError("slow down", retry_after_s=90))

    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=90)


def test_a_rate_limit_without_a_time_and_errors_of_others_are_left_to_airflow() -> None:
    assert decide(RateLimitedError("slow down")) == RetryDecision.default()
    assert decide(OSError("disk full")) == RetryDecision.default()
