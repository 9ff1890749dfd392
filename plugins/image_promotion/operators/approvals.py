"""What the task `approve` does when it runs: people are asked, and their answers are recorded.

Imported when a task runs and never when a DAG file is parsed, like `execution`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_promotion.hooks.container_registry import find_endpoint
from image_promotion.hooks.ledger import open_ledger
from image_promotion.ledger.ledger import Ledger
from image_promotion.operators.evaluation import BatchArguments
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import require_run
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import (
    Standing,
    ask,
    ask_further,
    count,
    give_up,
    questions,
    standing,
)
from image_promotion.promotion.approval_form import Form, form, read_answer
from image_promotion.promotion.batches import divide, image_label
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.stores import Stores

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What people are asked now.

    Attributes:
        said: What to tell in the log, a line each.
        form: What they see; None when nobody need be asked.
        timeout: How long to wait for the answer.
    """

    said: tuple[str, ...]
    form: Form | None
    timeout: timedelta


def ask_people(
    task: InterruptibleOperator, promotion_ids: Sequence[int] | None, *, key: str, insist: bool
) -> Asked:
    """Find out what a run is to ask people about, and write it down for them.

    Args:
        task: The operator that runs.
        promotion_ids: What the run would promote; None to ask one more person about what the run
            waits for already.
        key: What the ledger calls the run.
        insist: Ask also about what another run waits for.

    Returns:
        The form, if anybody need be asked.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        if policy.approval is None:
            return Asked(("this run's version of the policy asks nobody",), None, timedelta())
        now = system_clock()
        if promotion_ids is None:
            found = ask_further(policy, ledger, run, now=now)
            return _asked(task, policy, ledger, found, now=now)
        found = ask(policy, ledger, run, promotion_ids, now=now, insist=insist)
        mine = {each.id for each in (*found.approved, *found.undecided, *found.unearned)}
        others = [each for each in promotion_ids if each not in mine]
        return _asked(
            task, policy, ledger, found, now=now, said=_asked_by_others(ledger, others, now)
        )


def take_answer(
    task: InterruptibleOperator,
    *,
    key: str,
    chosen: Sequence[str],
    fields: Mapping[str, object],
    user: Mapping[str, object] | None,
    at: datetime,
    is_last: bool,
) -> Asked:
    """Record an answer, and say whether the task has to go on waiting.

    Args:
        task: The operator that runs.
        key: What the ledger calls the run.
        chosen: The button that was pressed.
        fields: The form's fields.
        user: Who answered, as Airflow's auth manager knows them.
        at: When.
        is_last: Whether no other task asks after this one.

    Returns:
        The form, when the task must wait for another answer.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        answer = read_answer(chosen, fields, user=user, at=at)
        counted = count(policy, ledger, run, answer)
        if not counted.lacking or (counted.counts and not is_last):
            return Asked(counted.said, None, timedelta())
        now = system_clock()
        found = ask_further(policy, ledger, run, now=now)
        return _asked(task, policy, ledger, found, now=now, said=counted.said)


def end_waiting(key: str) -> tuple[str, ...]:
    """Do what the policy of a run says when nobody has decided in time.

    Args:
        key: What the ledger calls the run.

    Returns:
        What to tell in the log, a line each.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        return give_up(Policy.from_document(run.document), ledger, run, system_clock())


def approved_lines(promotion_ids: Sequence[int], *, key: str) -> list[BatchArguments]:
    """Divide what is approved among lines of tasks.

    Args:
        promotion_ids: What the run would promote.
        key: What the ledger calls the run.

    Returns:
        The lines of work; none for what is rejected, undecided or no longer earned.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        approved = standing(policy, ledger, promotion_ids).approved
    return [
        BatchArguments(promotion_ids=list(batch.promotion_ids), image=batch.label)
        for batch in divide(
            approved,
            most=policy.limits.tasks_per_run,
            per_line=policy.limits.images_per_task,
        )
    ]


def _asked(
    task: InterruptibleOperator,
    policy: Policy,
    ledger: Ledger,
    found: Standing,
    *,
    now: datetime,
    said: tuple[str, ...] = (),
) -> Asked:
    said += tuple(
        f"another run has decided otherwise about it since: {image_label(each)}"
        for each in found.unearned
    )
    if not found.undecided or policy.approval is None:
        return Asked(said, None, timedelta())
    stores = Stores(find_endpoint, {each.target_connection for each in found.undecided})

    async def look(stores: Stores) -> Form:
        return form(policy, await questions(found, ledger, stores.of), until=now + timeout)

    timeout = policy.approval.timeout
    shown = task.run_until_done(stores.lend(look))
    said += tuple(f"people are asked about {each}" for each in shown.choices[:SHOWN])
    if len(shown.choices) > SHOWN:
        said += (f"and about {len(shown.choices) - SHOWN} more",)
    return Asked(said, shown, timeout)


def _asked_by_others(
    ledger: Ledger, promotion_ids: Sequence[int], now: datetime
) -> tuple[str, ...]:
    requests = ledger.approvals.open_requests(promotion_ids, now)
    return tuple(
        f"the run {requests[each.id][0].run_key} asks about {image_label(each)} already"
        for each in ledger.promotions(promotion_ids)
        if each.id in requests
    )[:SHOWN]
