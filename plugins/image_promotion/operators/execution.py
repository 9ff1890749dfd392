"""What a task does when it runs: the ledger and the stores are opened, and one stage is done.

The operators import this module when a task runs and never when a DAG file is parsed, so that
parsing pays neither for the registry client nor for the ledger's tables. What is asked of Airflow
(where connections lead) is asked before an event loop runs, as Airflow demands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from image_promotion.hooks.container_registry import find_endpoint
from image_promotion.hooks.ledger import open_ledger
from image_promotion.ledger.ledger import Ledger
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, require_run
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage, StageReport
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.evaluation import Evaluation, evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.pipeline import Stages
from image_promotion.promotion.planning import PlannedImage, plan
from image_promotion.promotion.progress import LogProgress
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.scanning import Scan, scan, scan_and_record, version_of
from image_promotion.promotion.stores import Stores

Result = TypeVar("Result")


def look_at_source(task: InterruptibleOperator, policy: Policy, request: RunRequest) -> Scan:
    """Scan the source of a policy, writing nothing.

    Args:
        task: The operator that runs.
        policy: The policy.
        request: What the run was asked for.

    Returns:
        What was seen.

    Raises:
        PromotionError: The source cannot be listed.
    """
    return _with_stores(
        task,
        {policy.source.connection},
        lambda stores: scan(
            policy,
            stores.of(policy.source.connection),
            now=system_clock(),
            only_tags=request.tags,
        ),
    )


def scan_source(
    task: InterruptibleOperator, policy: Policy, request: RunRequest, *, key: str, kind: str
) -> Scan:
    """Scan the source of a policy and record in the ledger what was seen.

    Args:
        task: The operator that runs.
        policy: The policy as its file says it now. A run that is tried again keeps the version it
            began with.
        request: What the run was asked for.
        key: What the ledger calls the run.
        kind: How the run came about.

    Returns:
        What was seen.

    Raises:
        PromotionError: The source cannot be listed, or the ledger cannot be written.
    """
    with open_ledger() as ledger:
        run = ledger.begin_run(version_of(policy), key=key, kind=kind, at=system_clock())
        begun = Policy.from_document(run.document)
        return _with_stores(
            task,
            {begun.source.connection},
            lambda stores: scan_and_record(
                begun,
                stores.of(begun.source.connection),
                ledger,
                run,
                now=system_clock(),
                only_tags=request.tags,
            ),
        )


def plan_run(
    task: InterruptibleOperator, policy: Policy, request: RunRequest
) -> list[PlannedImage]:
    """Say what a run would do now, writing nothing.

    Args:
        task: The operator that runs.
        policy: The policy.
        request: What the run was asked for.

    Returns:
        One entry for each tag.

    Raises:
        PromotionError: A registry or the ledger cannot be asked.
    """
    with open_ledger() as ledger:
        return _with_stores(
            task,
            {policy.source.connection, policy.target.connection},
            lambda stores: plan(
                policy,
                source=stores.of(policy.source.connection),
                target=stores.of(policy.target.connection),
                ledger=ledger,
                now=system_clock(),
                only_tags=request.tags,
                decide_again=request.decide_again,
            ),
        )


def evaluate_run(
    task: InterruptibleOperator, request: RunRequest, *, key: str
) -> tuple[Policy, Evaluation]:
    """Decide about what a run's scan saw, and plan the promotions.

    Args:
        task: The operator that runs.
        request: What the run was asked for.
        key: What the ledger calls the run.

    Returns:
        The policy that the run goes by, and what was decided and planned.

    Raises:
        PromotionError: A registry cannot be asked, or the ledger cannot be written.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        evaluation = _with_stores(
            task,
            {policy.source.connection, policy.target.connection},
            lambda stores: evaluate_and_record(
                policy,
                source=stores.of(policy.source.connection),
                target=stores.of(policy.target.connection),
                ledger=ledger,
                run=run,
                now=system_clock(),
                only_tags=request.tags,
                decide_again=request.decide_again,
            ),
        )
        return policy, evaluation


def carry_out_stage(
    task: InterruptibleOperator,
    stage: str,
    promotion_ids: Sequence[int],
    *,
    key: str,
    log: logging.Logger,
) -> StageReport:
    """Take promotions of the ledger through a stage.

    Args:
        task: The operator that runs.
        stage: The stage's name.
        promotion_ids: The promotions' ids.
        key: What the ledger calls the run.
        log: Where the progress of copies goes.

    Returns:
        How many were done, and how many were not ready.

    Raises:
        PromotionError: Of the one that failed, or of all that failed; the others are done.
    """
    with open_ledger() as ledger:
        journal = Journal(ledger, key, system_clock)
        return _with_stores(
            task,
            _connections_of(ledger, promotion_ids),
            lambda stores: Stages(stores, journal, lambda label: LogProgress(log, label)).carry_out(
                Stage(stage), promotion_ids
            ),
        )


def sum_up(key: str, *, unreadable: Sequence[str] = ()) -> RunReport:
    """Sum up a run from the ledger.

    Args:
        key: What the ledger calls the run.
        unreadable: What its scan could not look at, each a sentence.

    Returns:
        What the run came to.

    Raises:
        LedgerError: The ledger cannot be read, or does not know the run.
    """
    with open_ledger() as ledger:
        return report(ledger, require_run(ledger, key), unreadable=unreadable)


def _connections_of(ledger: Ledger, promotion_ids: Sequence[int]) -> set[str]:
    promotions = [ledger.promotion(each) for each in promotion_ids]
    return {each.source_connection for each in promotions} | {
        each.target_connection for each in promotions
    }


def _with_stores(
    task: InterruptibleOperator,
    connection_ids: set[str],
    act: Callable[[Stores], Coroutine[Any, Any, Result]],
) -> Result:
    """Open the stores that are needed, act, and close them."""
    stores = Stores(find_endpoint, connection_ids)

    async def within() -> Result:
        async with stores:
            return await act(stores)

    return task.run_until_done(within())
