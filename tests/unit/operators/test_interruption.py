from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from image_promotion.errors import PromotionError
from image_promotion.operators.interruption import InterruptibleOperator


@pytest.fixture
def operator() -> Iterator[InterruptibleOperator]:
    """An operator whose process treats SIGTERM as Airflow's task processes do."""
    operator = InterruptibleOperator(task_id="work")
    before = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    yield operator
    signal.signal(signal.SIGTERM, before)


def test_work_ends_at_once_when_airflow_ends_the_task(operator: InterruptibleOperator) -> None:
    closed = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            closed.append("the connection")

    with pytest.raises(PromotionError, match="told the task to end") as caught:
        operator.run_until_done(work())

    assert caught.value.retryable
    assert closed == ["the connection"]


def test_work_that_nobody_ends_gives_its_result(operator: InterruptibleOperator) -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert operator.run_until_done(work()) == "done"


def test_work_that_gives_up_by_itself_is_not_said_to_have_been_ended(
    operator: InterruptibleOperator,
) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        operator.run_until_done(work())


def test_a_task_without_work_under_way_can_be_ended(operator: InterruptibleOperator) -> None:
    operator.on_kill()
