"""One task in a process of its own, as Airflow's worker executes it, that can be killed.

The operators are the product's own; they find connections and ledger in the environment. The
process is forked from one that has imported all that they need, which takes longer than they do.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import cast

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowSkipException
from sqlalchemy.engine.default import DefaultDialect

from image_promotion.dag_builder import RETRIES
from image_promotion.ledger.location import URL_VARIABLE
from image_promotion.operators import execution as execution  # noqa: PLC0414 - imported to be forked
from image_promotion.operators.copying import CopyOperator
from image_promotion.operators.evaluation import BatchArguments, EvaluateOperator
from image_promotion.operators.retagging import RetagOperator
from image_promotion.operators.retries import RetryWhatMayPass
from image_promotion.operators.scanning import ScanOperator
from image_promotion.operators.verification import VerifyOperator
from image_promotion.policy.model import Policy

STAGES = {"copy": CopyOperator, "retag": RetagOperator, "verify": VerifyOperator}


class End(StrEnum):
    """How a task ended."""

    DONE = "done"
    AGAIN = "to be tried again"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Task:
    """One task instance of a run.

    Attributes:
        task_id: ``scan``, ``evaluate``, or a stage.
        document: The policy.
        run_id: The run's id.
        line: What an instance of a stage carries; None for the others.
        environment: Where connections and ledger are.
        dies_at_commit: Which of its ledger's commits kills it; 0 for none.
        dies_before: Whether that commit is lost.
    """

    task_id: str
    document: str
    run_id: str
    line: BatchArguments | None
    environment: Mapping[str, str]
    dies_at_commit: int = 0
    dies_before: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a task.

    Attributes:
        how: How it ended.
        what: The error; empty where there is none.
        lines: What `evaluate` gives to the stages.
        is_ours: Whether the error is one of the product's own tree.
        commits: How often it committed to the ledger.
    """

    how: End
    what: str = ""
    lines: tuple[BatchArguments, ...] = ()
    is_ours: bool = True
    commits: int = 0


def execute(task: Task, try_number: int, answers: Connection) -> None:
    """Execute a task and tell how it ended; the target of a process.

    Args:
        task: The task.
        try_number: Which try it is, from 1.
        answers: Takes an `Ended`.
    """
    # What it says stands in its error; the operators warn that no task runner calls them.
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - as bytes go
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), stream.fileno())
    os.environ.update(task.environment)
    commits = _count_commits(task)
    try:
        lines = _operate(task)
    except AirflowSkipException as skipped:
        ended = Ended(End.DONE, str(skipped), commits=commits[0])
    except Exception as error:  # noqa: BLE001 - as Airflow, which takes them all
        from image_promotion.errors import PromotionError  # noqa: PLC0415 - see above

        decision = RetryWhatMayPass().evaluate(error, try_number, RETRIES)
        is_over = decision.action is RetryAction.FAIL or try_number > RETRIES
        is_ours = isinstance(error, PromotionError)
        ended = Ended(
            End.FAILED if is_over else End.AGAIN,
            str(error) if is_ours else repr(error),
            is_ours=is_ours,
            commits=commits[0],
        )
    else:
        ended = Ended(End.DONE, lines=tuple(lines), commits=commits[0])
    answers.send(ended)


def _operate(task: Task) -> Sequence[BatchArguments]:
    policy = Policy.from_document(task.document)
    dag_run = SimpleNamespace(
        dag_id=policy.name, run_id=task.run_id, run_type="scheduled", triggering_user_name=None
    )
    context = cast("Context", {"dag_run": dag_run})
    if task.task_id == "scan":
        ScanOperator(task_id="scan", policy=policy).execute(context)
        return ()
    if task.task_id == "evaluate":
        return EvaluateOperator(task_id="evaluate", policy=policy).execute(context)
    assert task.line is not None
    STAGES[task.task_id](task_id=task.task_id, **task.line).execute(context)
    return ()


def _count_commits(task: Task) -> list[int]:
    """Count the commits to the ledger, and die at the one that the task says."""
    count = [0]
    commit: Callable[[DefaultDialect, object], None] = DefaultDialect.do_commit

    def do_commit(self: DefaultDialect, connection: object) -> None:
        count[0] += 1
        dies = count[0] == task.dies_at_commit
        if dies and task.dies_before:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, connection)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign] # this process does one task
    return count


def environment_of(connections: Mapping[str, str], ledger_url: str) -> Mapping[str, str]:
    """Return the environment in which a task finds its connections and its ledger."""
    return {**connections, URL_VARIABLE: ledger_url}
