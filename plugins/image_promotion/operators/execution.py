"""What a task does when it runs: the ledger and the stores are opened, and one stage is done.

The operators import this module when a task runs and never when a DAG file is parsed, so that
parsing pays neither for the registry client nor for the ledger's tables. What is asked of Airflow
(where connections lead) is asked before an event loop runs, as Airflow demands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from image_promotion.hooks.container_registry import find_endpoint
from image_promotion.hooks.ledger import open_ledger
from image_promotion.hooks.signing_key import find_signing_key
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Kind, Promotion
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, require_run, run_url
from image_promotion.policy.model import Policy
from image_promotion.promotion import retention
from image_promotion.promotion.attestation import attestor_of, unattested
from image_promotion.promotion.batches import Stage, StageReport
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.evaluation import Evaluation, evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.overriding import require_override
from image_promotion.promotion.pipeline import Stages
from image_promotion.promotion.planning import plan
from image_promotion.promotion.previewing import Preview, preview
from image_promotion.promotion.progress import LogProgress
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.retention import RetentionReport
from image_promotion.promotion.rollback import (
    PlannedRollback,
    RollbackRequest,
    find_rollback,
    plan_rollback,
    stores_for,
)
from image_promotion.promotion.scanning import Scan, scan, scan_and_record, version_of
from image_promotion.promotion.stores import Stores

Result = TypeVar("Result")


def look_at_source(
    task: InterruptibleOperator, policy: Policy, request: RunRequest, *, who: str | None = None
) -> Scan:
    """Scan the source of a policy, writing nothing.

    Args:
        task: The operator that runs.
        policy: The policy.
        request: What the run was asked for.
        who: Who asked, if anybody did.

    Returns:
        What was seen.

    Raises:
        PromotionError: The source cannot be listed, or an override is refused.
    """
    override = require_override(policy, request.tags, request.override, who)
    return _with_stores(
        task,
        {policy.source.connection},
        lambda stores: scan(
            policy,
            stores.of(policy.source.connection),
            now=system_clock(),
            only_tags=request.tags,
            overrules=request.tags if override else (),
        ),
    )


def scan_source(
    task: InterruptibleOperator,
    policy: Policy,
    request: RunRequest,
    *,
    key: str,
    kind: str,
    who: str | None = None,
) -> Scan:
    """Scan the source of a policy and record in the ledger what was seen.

    Args:
        task: The operator that runs.
        policy: The policy as its file says it now. A run that is tried again keeps the version it
            began with.
        request: What the run was asked for.
        key: What the ledger calls the run.
        kind: How the run came about.
        who: Who started it by hand, if anybody did.

    Returns:
        What was seen.

    Raises:
        PromotionError: The source cannot be listed, an override is refused, or the ledger cannot be
            written.
    """
    with open_ledger() as ledger:
        require_override(policy, request.tags, request.override, who)
        run = ledger.begin_run(
            version_of(policy), key=key, kind=kind, at=system_clock(), started_by=who
        )
        begun = Policy.from_document(run.document)
        override = require_override(begun, request.tags, request.override, run.started_by)
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
                overrules=request.tags if override else (),
            ),
        )


def plan_run(task: InterruptibleOperator, policy: Policy, request: RunRequest) -> Preview:
    """Say what a run would do and move now, writing nothing.

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

        async def look(stores: Stores) -> Preview:
            source = stores.of(policy.source.connection)
            rows = await plan(
                policy,
                source=source,
                target_of=stores.of,
                ledger=ledger,
                now=system_clock(),
                only_tags=request.tags,
                decide_again=request.decide_again,
                overrules=bool(request.override),
            )
            return await preview(
                policy,
                rows,
                source=source,
                target_of=stores.of,
            )

        return _with_stores(task, {policy.source.connection, *policy.target_connections}, look)


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
        override = require_override(policy, request.tags, request.override, run.started_by)
        evaluation = _with_stores(
            task,
            {policy.source.connection, *policy.target_connections},
            lambda stores: evaluate_and_record(
                policy,
                source=stores.of(policy.source.connection),
                target_of=stores.of,
                ledger=ledger,
                run=run,
                now=system_clock(),
                only_tags=request.tags,
                decide_again=request.decide_again,
                override=override,
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
        return _carry_out(task, ledger, Stage(stage), promotion_ids, key=key, log=log)


def attest_earlier(
    task: InterruptibleOperator, *, key: str, log: logging.Logger
) -> tuple[list[int], StageReport]:
    """Attest what was verified before a run began, and was not attested.

    Args:
        task: The operator that runs.
        key: What the ledger calls the run.
        log: For what is said on the way.

    Returns:
        The promotions' ids, as many as a run may carry, and how many of them were done.

    Raises:
        PromotionError: Of the one that failed, or of all that failed; the others are done.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        missing = unattested(ledger, policy, verified_before=run.started_at)
        ids = [each.id for each in missing[: policy.limits.images_per_run]]
        if not ids:
            return ids, StageReport(done=0, not_ready=0)
        return ids, _carry_out(task, ledger, Stage.ATTEST, ids, key=key, log=log)


def _carry_out(
    task: InterruptibleOperator,
    ledger: Ledger,
    stage: Stage,
    promotion_ids: Sequence[int],
    *,
    key: str,
    log: logging.Logger,
) -> StageReport:
    attestor = (
        attestor_of(ledger, key, find_signing_key, run_url=run_url)
        if stage is Stage.ATTEST
        else None
    )
    stages_of = partial(
        Stages,
        journal=Journal(ledger, key, system_clock),
        progress_of=lambda label: LogProgress(log, label),
        attestor=attestor,
    )
    stores = Stores(find_endpoint, *_connections_of(ledger, promotion_ids, stage))
    return task.run_until_done(
        stores.lend(lambda stores: stages_of(stores).carry_out(stage, promotion_ids))
    )


def look_for_rollback(
    task: InterruptibleOperator, policy: Policy, request: RollbackRequest
) -> PlannedRollback:
    """Say what a rollback would do, writing nothing.

    Args:
        task: The operator that runs.
        policy: The policy whose target tag it is.
        request: What is wanted.

    Returns:
        What it would do.

    Raises:
        RollbackError: It cannot be done as it was asked.
        PromotionError: The target or the ledger cannot be asked.
    """
    with open_ledger() as ledger:
        stores = stores_for(policy, request, ledger=ledger, find_endpoint=find_endpoint)
        return task.run_until_done(
            stores.lend(lambda stores: find_rollback(policy, request, stores=stores, ledger=ledger))
        )


def plan_rollback_run(
    task: InterruptibleOperator, policy: Policy, request: RollbackRequest, *, key: str
) -> Promotion:
    """Plan a rollback in a run of its own.

    Args:
        task: The operator that runs.
        policy: The policy whose target tag it is.
        request: What is wanted.
        key: What the ledger calls the run.

    Returns:
        The promotion.

    Raises:
        RollbackError: It cannot be done as it was asked.
        PromotionError: The target cannot be asked, or the ledger cannot be written.
    """
    with open_ledger() as ledger:
        stores = stores_for(policy, request, ledger=ledger, find_endpoint=find_endpoint)
        return task.run_until_done(
            stores.lend(
                lambda stores: plan_rollback(
                    policy, request, stores=stores, ledger=ledger, run_key=key, now=system_clock()
                )
            )
        )


def retain_run(task: InterruptibleOperator, *, key: str) -> RetentionReport | None:
    """Take away the target tags that a run's policy does not keep, or find out which those are.

    Args:
        task: The operator that runs.
        key: What the ledger calls the run.

    Returns:
        What was done; None for a run that never began.

    Raises:
        PromotionError: The ledger cannot be read or written.
    """
    with open_ledger() as ledger:
        run = ledger.run(key)
        if run is None:
            return None
        policy = Policy.from_document(run.document)
        stores = retention.stores_for(policy, ledger=ledger, find_endpoint=find_endpoint)
        return task.run_until_done(
            stores.lend(
                lambda stores: retention.retain(
                    policy, stores=stores, ledger=ledger, clock=system_clock, run_key=key
                )
            )
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


def _connections_of(
    ledger: Ledger, promotion_ids: Sequence[int], stage: Stage
) -> tuple[set[str], set[str]]:
    """Return the connections that a stage needs, and those that may be gone by now."""
    promotions = ledger.promotions(promotion_ids)
    needed = {each.target_connection for each in promotions}
    if stage is not Stage.ATTEST:
        needed |= {each.source_connection for each in promotions if each.kind is Kind.PROMOTION}
    # What is whole in the target when it is set back is not asked for at its source.
    return needed, {each.source_connection for each in promotions} - needed


def _with_stores(
    task: InterruptibleOperator,
    connection_ids: set[str],
    act: Callable[[Stores], Coroutine[Any, Any, Result]],
) -> Result:
    """Open the stores that are needed, act, and close them."""
    return task.run_until_done(Stores(find_endpoint, connection_ids).lend(act))
