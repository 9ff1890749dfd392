"""A policy's tasks as Airflow runs them: each with stores of its own, and tried again by our rules.

What a task does is what ``operators/execution.py`` does, less Airflow: the same functions of
``promotion``, over the same stores. Only that pauses are not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow.sdk import RetryDecision
from airflow.sdk.definitions.retry_policy import RetryAction

from image_promotion.dag_builder import RETRIES
from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.operators.retries import RetryWhatMayPass
from image_promotion.operators.runs import require_run
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Batch, Stage, divide
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.evaluation import evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.pipeline import Stages
from image_promotion.promotion.reporting import report
from image_promotion.promotion.scanning import scan_and_record, version_of
from image_promotion.promotion.stores import Stores
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.transfer import NO_PROGRESS
from tests.soak.rig import SOURCE, TARGET, Rig
from tests.soak.timeline import Timeline

BETWEEN_TRIES = timedelta(seconds=30)
BETWEEN_RUNS = timedelta(minutes=5)

Work = Callable[[Stores], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over.

    Attributes:
        key: What the ledger calls it.
        batches: What its lines of tasks carried; none where it never came to its evaluation.
    """

    key: str
    batches: tuple[Batch, ...]


@dataclass
class Tasks:
    """Runs the tasks of one policy.

    Args:
        policy: The policy.
        rig: The registries.
        ledger: The ledger, opened once: opening it for each task would take longer than the task.
        timeline: The clock of all tasks, and their diary.
        goes_in_batches: Whether one line carries all images.
        clock: What the tasks take for the time; None for the timeline's.
        between_runs: How long a run comes after the one before.

    Attributes:
        errors: What tasks failed with.
        gave_up: How many tasks failed for good.
        on_failure: Called when a task has failed, before it is tried again.
    """

    policy: Policy
    rig: Rig
    ledger: Ledger
    timeline: Timeline
    goes_in_batches: bool = False
    clock: Clock | None = None
    between_runs: timedelta = BETWEEN_RUNS
    errors: list[Exception] = field(default_factory=list, init=False)
    gave_up: int = field(default=0, init=False)
    on_failure: Callable[[], None] | None = field(default=None, init=False)

    @property
    def surprises(self) -> list[str]:
        """The errors that are none of the product's own."""
        return [repr(each) for each in self.errors if not isinstance(each, PromotionError)]

    async def run(self, key: str) -> FinishedRun:
        """Run the policy once, from scan to report, as far as its tasks get."""
        batches = await self.plan(key)
        if batches is None:
            return FinishedRun(key, ())
        await asyncio.gather(
            *(self._line(key, number, each) for number, each in enumerate(batches))
        )
        await self.attempt(f"{key} report", self._report(key))
        return FinishedRun(key, tuple(batches))

    async def plan(self, key: str) -> list[Batch] | None:
        """Begin a run: scan and evaluate.

        Returns:
            What its lines of tasks are to carry; None where it did not come so far.
        """
        self.timeline.skip(self.between_runs)
        self.timeline.note("airflow", f"{key} begins")
        batches: list[Batch] = []
        is_scanned = await self.attempt(f"{key} scan", self._scan(key))
        if is_scanned and await self.attempt(f"{key} evaluate", self._evaluate(key, batches)):
            return batches
        return None

    async def stage(self, key: str, stage: Stage, promotion_ids: Sequence[int], name: str) -> bool:
        """Run one task of a line; say whether it succeeded."""

        async def work(stores: Stores) -> object:
            stages = Stages(stores, Journal(self.ledger, key, self._now), lambda _: NO_PROGRESS)
            return await stages.carry_out(stage, promotion_ids)

        return await self.attempt(f"{key} {name} {stage}", work)

    async def attempt(self, name: str, work: Work) -> bool:
        """Run a task, and try it again as Airflow would by our rule; say whether it succeeded."""
        for try_number in range(1, RETRIES + 2):
            try:
                async with self._stores() as stores:
                    await work(stores)
            except Exception as error:  # noqa: BLE001 - as Airflow, which takes them all
                self.errors.append(error)
                decision = RetryWhatMayPass().evaluate(error, try_number, RETRIES)
                self.timeline.note("airflow", f"{name} failed, try {try_number}: {error}")
                if self.on_failure:
                    self.on_failure()
                if decision.action is RetryAction.FAIL:
                    break
                self._wait(decision)
            else:
                self.timeline.note("airflow", f"{name} is done")
                return True
        self.gave_up += 1
        return False

    def _now(self) -> datetime:
        return self.clock() if self.clock else self.timeline.now()

    def _wait(self, decision: RetryDecision) -> None:
        self.timeline.skip(decision.retry_delay or BETWEEN_TRIES)

    def _stores(self) -> Stores:
        async def sleep(pause_s: float) -> None:
            self.timeline.skip(timedelta(seconds=pause_s))

        return Stores(
            self.rig.endpoints.__getitem__,
            {SOURCE, TARGET},
            open_store=lambda endpoint: RegistryClient(endpoint, sleep=sleep),
        )

    def _scan(self, key: str) -> Work:
        async def work(stores: Stores) -> object:
            now = self._now()
            run = self.ledger.begin_run(version_of(self.policy), key=key, kind="scheduled", at=now)
            return await scan_and_record(self.policy, stores.of(SOURCE), self.ledger, run, now=now)

        return work

    def _evaluate(self, key: str, batches: list[Batch]) -> Work:
        async def work(stores: Stores) -> object:
            evaluation = await evaluate_and_record(
                self.policy,
                source=stores.of(SOURCE),
                target_of=stores.of,
                ledger=self.ledger,
                run=require_run(self.ledger, key),
                now=self._now(),
            )
            most = 1 if self.goes_in_batches else len(evaluation.promotions)
            batches[:] = divide(evaluation.promotions, most=most)
            return evaluation

        return work

    def _report(self, key: str) -> Work:
        async def work(_stores: Stores) -> object:
            return report(self.ledger, require_run(self.ledger, key))

        return work

    async def _line(self, key: str, number: int, batch: Batch) -> None:
        for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
            await self.stage(key, stage, batch.promotion_ids, f"line {number}")
