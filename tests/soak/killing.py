"""A policy's tasks in processes of their own, one of them killed when a seed says so.

A moment is a request, as it comes to a registry or when it is done and not answered yet, or a
commit to the ledger, before or after it counts. The time of day chooses nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

from image_promotion.dag_builder import RETRIES
from image_promotion.operators.evaluation import BatchArguments
from image_promotion.policy.model import Policy
from sandbox.fault_proxy import Exchange
from sandbox.faults import BrokenOffError, Head
from tests.soak import worker
from tests.soak.schedule import Schedule
from tests.soak.timeline import Timeline
from tests.soak.worker import End, Ended, Task

STAGES = ("copy", "retag", "verify")

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([worker.__name__])


class Phase(StrEnum):
    """When, within a moment, the process is killed."""

    REQUEST_COMES = "when a request comes"
    REQUEST_IS_DONE = "when a request is done and not answered"
    COMMIT_IS_LOST = "before a commit"
    COMMIT_COUNTS = "after a commit"


@dataclass(frozen=True, slots=True)
class Kill:
    """When a process is killed.

    Attributes:
        phase: At what.
        number: At which request of the run, or at which commit of the task, from 1.
        task_id: The task whose commits count; any where requests do.
        passes_on: Whether a request that has come reaches the registry all the same.
    """

    phase: Phase
    number: int
    task_id: str
    passes_on: bool

    @property
    def is_at_commit(self) -> bool:
        """Whether it is the ledger that counts, and not the registries."""
        return self.phase in (Phase.COMMIT_IS_LOST, Phase.COMMIT_COUNTS)

    def __str__(self) -> str:
        return f"{self.phase} ({self.task_id if self.is_at_commit else 'run'} {self.number})"


# What a run of one to three images makes; a moment beyond the last is none.
_REQUESTS_PER_IMAGE = 26
_REQUESTS_OF_RUN = 4
_COMMITS = {"scan": 6, "evaluate": 12, "copy": 6, "retag": 5, "verify": 5}


def schedule_of(seed: int) -> Schedule:
    """Make the schedule of a seed: its images and its policy; nobody interferes."""
    return replace(
        Schedule.of(seed), faults=(), deeds=(), moved_later=frozenset(), wants_tokens=False
    )


def kill_of(seed: int, schedule: Schedule) -> Kill:
    """Choose the moment of a seed."""
    chance = random.Random(f"kill {seed}")  # noqa: S311 - it has to be repeatable
    phase = chance.choice(list(Phase))
    task_id = chance.choice(list(_COMMITS))
    if phase in (Phase.COMMIT_IS_LOST, Phase.COMMIT_COUNTS):
        most = _COMMITS[task_id]
    else:
        most = _REQUESTS_OF_RUN + _REQUESTS_PER_IMAGE * len(schedule.images)
    return Kill(phase, chance.randint(1, most), task_id, passes_on=chance.random() < 0.5)


@dataclass
class Executioner:
    """Kills the process that runs, when its moment has come; once.

    Args:
        kill: When.
        timeline: Takes that it was done.

    Attributes:
        has_struck: Whether the moment came.
    """

    kill: Kill
    timeline: Timeline
    has_struck: bool = False
    _pid: int | None = field(default=None, init=False)
    _requests: int = field(default=0, init=False)
    _fatal: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def task(self, task: Task) -> Task:
        """Prepare a task to die by its own hand, if its commits are what counts."""
        if self.has_struck or not self.kill.is_at_commit or task.task_id != self.kill.task_id:
            return task
        is_before = self.kill.phase is Phase.COMMIT_IS_LOST
        return replace(task, dies_at_commit=self.kill.number, dies_before=is_before)

    def watch(self, pid: int | None) -> None:
        """Learn which process runs now."""
        with self._lock:
            self._pid = pid

    def observe(self, exchange: Exchange, head: Head | None) -> None:
        """Look at a request, and strike if it is the one.

        Raises:
            BrokenOffError: The process is dead, and its request goes no further.
        """
        if self.kill.is_at_commit:
            return
        with self._lock:
            if head is None:
                self._requests += 1
                if self._requests == self.kill.number:
                    self._fatal = id(exchange)
            is_moment = id(exchange) == self._fatal and (head is None) == (
                self.kill.phase is Phase.REQUEST_COMES
            )
            if self.has_struck or not is_moment or self._pid is None:
                return
            self.has_struck = True
            self.timeline.note("kill", f"SIGKILL at {exchange.line}")
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        if not self.kill.passes_on and head is None:
            raise BrokenOffError


@dataclass
class WorkerTasks:
    """Runs the tasks of one policy as Airflow's workers do, and tries them again as Airflow does.

    Args:
        policy: The policy.
        environment: Where connections and ledger are.
        timeline: Takes what happens.
        executioner: Kills one of them; None for nobody.

    Attributes:
        surprises: Errors of tasks that are none of ours.
        gave_up: How many tasks failed for good.
        killed: The ids of the tasks that were killed.
    """

    policy: Policy
    environment: Mapping[str, str]
    timeline: Timeline
    executioner: Executioner | None = None
    surprises: list[str] = field(default_factory=list, init=False)
    gave_up: int = field(default=0, init=False)
    killed: list[str] = field(default_factory=list, init=False)

    def run(self, run_id: str) -> None:
        """Run the policy once, from scan to verify, as far as its tasks get."""
        self.timeline.note("airflow", f"{run_id} begins")
        if self.attempt(run_id, "scan").how is not End.DONE:
            return
        for line in self.attempt(run_id, "evaluate").lines:
            for stage in STAGES:
                self.attempt(run_id, stage, line)

    def attempt(self, run_id: str, task_id: str, line: BatchArguments | None = None) -> Ended:
        """Run a task until it is done, or has failed for good."""
        name = f"{run_id} {task_id}" + (f" {line['image']}" if line else "")
        for try_number in range(1, RETRIES + 2):
            task = Task(task_id, self.policy.document(), run_id, line, self.environment)
            ended = self._execute(task, try_number)
            self.timeline.note("airflow", f"{name}, try {try_number}: {ended.how} {ended.what}")
            if not ended.is_ours:
                self.surprises.append(f"{name}: {ended.what}")
            if ended.how is End.KILLED:
                self.killed.append(task_id)
            if ended.how in (End.DONE, End.FAILED):
                break
        self.gave_up += ended.how is not End.DONE
        return ended

    def _execute(self, task: Task, try_number: int) -> Ended:
        if self.executioner:
            task = self.executioner.task(task)
        answers, its_end = _forks.Pipe(duplex=False)
        process = _forks.Process(target=worker.execute, args=(task, try_number, its_end))
        process.start()
        its_end.close()
        if self.executioner:
            self.executioner.watch(process.pid)
        try:
            ended: Ended = answers.recv()
        except EOFError:
            ended = Ended(End.KILLED)
            if task.dies_at_commit and self.executioner:
                self.executioner.has_struck = True
                self.timeline.note("kill", f"SIGKILL {self.executioner.kill}")
        finally:
            if self.executioner:
                self.executioner.watch(None)
            process.join()
            process.close()
            answers.close()
        return ended
