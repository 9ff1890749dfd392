"""Several threads and processes at one ledger; on both databases."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import TypeVar

from sqlalchemy import Table, func, select

from image_promotion.errors import LedgerError
from image_promotion.ledger import tables
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, State
from tests.support.ledger_story import NOT_HELD, Story

PROCESSES = 3
THREADS = 6
TIMEOUT_S = 120
"""After which the others give up on one that failed."""
Result = TypeVar("Result")
_spawning = multiprocessing.get_context("spawn")
_forking = multiprocessing.get_context("fork")


def test_processes_that_open_a_new_ledger_and_plan_at_once_make_one_promotion(url: str) -> None:
    barrier = _spawning.Barrier(PROCESSES, timeout=TIMEOUT_S)
    processes = [
        _spawning.Process(target=_promote_from_nothing, args=(url, number, barrier))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * PROCESSES
    with Ledger.open(url) as ledger:
        (entry,) = ledger.history()
        assert entry.observation.ordinal == 1
        assert entry.decision.times_asked <= PROCESSES
        assert entry.promotion is not None
        assert entry.promotion.state is State.VERIFIED
        steps = [step.to_state for step in ledger.transitions(entry.promotion.id)]
        assert steps == [State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED]
        assert _count(ledger, tables.promotions) == 1


def _promote_from_nothing(url: str, number: int, barrier: Barrier) -> None:
    barrier.wait()
    with Ledger.open(url) as ledger:
        story = Story(ledger)
        run = story.run(key=f"run {number}")
        barrier.wait()
        observation = story.scan(run, stable="sha256:a")["stable"]
        barrier.wait()
        promotion = story.plan(run, observation)
        barrier.wait()
        story.advance_to_verified(promotion)


def test_a_move_that_several_runs_see_at_once_is_one_new_ordinal(story: Story) -> None:
    story.scan(story.run(), stable="sha256:a")
    runs = [story.run() for _ in range(THREADS)]

    seen = at_once([partial(story.scan, run, stable="sha256:b") for run in runs])

    assert {one["stable"].ordinal for one in seen} == {2}
    assert len({one["stable"].id for one in seen}) == 1
    assert _count(story.ledger, tables.observations) == 2


def test_decisions_taken_at_once_leave_one_latest(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]

    at_once(
        [lambda: story.decide(run, observation)] * 3
        + [lambda: story.decide(run, observation, Outcome.REJECT, NOT_HELD)] * 3
    )

    with story.ledger._database.reading() as connection:
        latest = select(func.count()).where(tables.decisions.c.is_latest)
        assert connection.execute(latest).scalar_one() == 1


def test_a_run_begun_at_once_is_one_run(story: Story) -> None:
    begun = at_once([lambda: story.run(key="monday")] * THREADS)

    assert {run.id for run in begun} == {begun[0].id}


def test_of_failing_and_advancing_at_once_one_comes_first(story: Story) -> None:
    for number in range(5):
        promotion = story.promotion_in(State.PLANNED, tag=f"t{number}")

        def advance(promotion: Promotion = promotion) -> State | None:
            try:
                return story.advance(promotion, State.COPIED).state
            except LedgerError:
                return None

        def fail(promotion: Promotion = promotion) -> State | None:
            return story.fail(promotion).state

        at_once([advance, fail])

        steps = story.ledger.transitions(promotion.id)
        states = [step.to_state for step in steps]
        assert states in (
            [State.PLANNED, State.FAILED],
            [State.PLANNED, State.COPIED, State.FAILED],
        )
        assert [step.from_state for step in steps[1:]] == states[:-1]


def test_a_ledger_opened_before_a_fork_serves_parent_and_child(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]

    child = _forking.Process(target=_plan_in_child, args=(story,))
    child.start()
    for _ in range(20):
        story.decide(run, observation)
    child.join()

    assert child.exitcode == 0
    assert story.ledger.run("child") is not None
    assert story.ledger.run(run.key) is not None


def _plan_in_child(story: Story) -> None:
    for _ in range(20):
        run = story.run(key="child")
        story.scan(run, complete=False, other="sha256:b")


def at_once(calls: list[Callable[[], Result]]) -> list[Result]:
    """Make all calls in threads of their own, which begin together."""
    barrier = threading.Barrier(len(calls), timeout=TIMEOUT_S)

    def wait_and_call(call: Callable[[], Result]) -> Result:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and_call, calls))


def _count(ledger: Ledger, table: Table) -> int:
    with ledger._database.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return count
