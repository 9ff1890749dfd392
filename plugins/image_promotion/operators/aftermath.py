"""What the tasks do that look at what has been promoted: second thoughts, and what people are told.

The operators import this module when a task runs and never when a DAG file is parsed, as they do
with `execution`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_promotion.errors import PromotionError
from image_promotion.hooks.container_registry import find_endpoint
from image_promotion.hooks.ledger import open_ledger
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, State
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import require_run, run_url
from image_promotion.policy.governance import Notification
from image_promotion.policy.model import Policy
from image_promotion.promotion.clock import system_clock
from image_promotion.promotion.progress import LogProgress
from image_promotion.promotion.rechecking import Rechecking, connections_due, recheck
from image_promotion.promotion.setting_back import Act, Result, SetBack, set_back_failed
from image_promotion.promotion.stores import Stores
from image_promotion.promotion.telling import Notice, notices


def recheck_promoted(
    task: InterruptibleOperator, *, key: str, log: logging.Logger
) -> tuple[Rechecking, SetBack]:
    """Judge promoted images again, and set tags back where the policy wants that.

    Args:
        task: The operator that runs.
        key: What the ledger calls the run.
        log: Where the progress of copies goes.

    Returns:
        What came of it, and what was undone.

    Raises:
        PromotionError: A registry cannot be asked, the ledger cannot be written, or a rollback did
            not get through.
    """

    def with_stores(stores: Stores, act: Act[Result], /) -> Result:
        return task.run_until_done(stores.lend(act))

    with open_ledger() as ledger:
        run = require_run(ledger, key)
        policy = Policy.from_document(run.document)
        now = system_clock()
        needed, perhaps = connections_due(policy, ledger, now=now)
        rechecking = with_stores(
            Stores(find_endpoint, needed, perhaps=perhaps),
            lambda stores: recheck(policy, stores=stores, ledger=ledger, run=run, now=now),
        )
        set_back = set_back_failed(
            policy,
            ledger=ledger,
            run=run,
            clock=system_clock,
            find_endpoint=find_endpoint,
            with_stores=with_stores,
            progress_of=lambda label: LogProgress(log, label),
        )
        return rechecking, set_back


def tell(
    policy: Policy,
    *,
    key: str,
    failed_tasks: Sequence[str],
    deliver: Callable[[Notification, Notice], None],
) -> tuple[list[Notice], list[PromotionError]]:
    """Tell people what happened in a run; what was delivered is noted at once.

    Args:
        policy: The policy, as its file says it now.
        key: What the ledger calls the run.
        failed_tasks: The tasks that did not get through, those of single images left out.
        deliver: Delivers one message.

    Returns:
        The messages that were delivered, and why others were not.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    told: list[Notice] = []
    errors: list[PromotionError] = []
    with open_ledger() as ledger:
        run = ledger.run(key)
        for notification in policy.notify:
            for notice in notices(
                policy,
                notification,
                ledger=ledger,
                run=run,
                now=system_clock(),
                run_url=(run_url(run) if run else None) or "",
                failed_tasks=failed_tasks,
            ):
                try:
                    deliver(notification, notice)
                except PromotionError as error:
                    errors.append(error)
                    continue
                if run is not None:
                    ledger.notices.note(
                        policy.name, notice.event, notice.subjects, at=system_clock()
                    )
                told.append(notice)
    return told, errors


@dataclass(frozen=True, slots=True)
class Moved:
    """What a stage did since a moment, by the ledger.

    Attributes:
        bytes_copied: Bytes that went over the network, of promotions that were copied since.
        verified: How many promotions were verified since.
    """

    bytes_copied: int
    verified: int


def moved_since(promotion_ids: Sequence[int], moment: datetime) -> Moved:
    """Count what became of promotions since a moment, so that a retry counts nothing twice.

    Args:
        promotion_ids: The promotions.
        moment: The moment.

    Returns:
        The counts.

    Raises:
        LedgerError: The ledger cannot be read.
    """

    def is_since(at: datetime | None) -> bool:
        return at is not None and at >= moment

    with open_ledger() as ledger:
        promotions: Sequence[Promotion] = ledger.promotions(promotion_ids)
    return Moved(
        bytes_copied=sum(each.bytes_copied or 0 for each in promotions if is_since(each.copied_at)),
        verified=sum(
            each.state is State.VERIFIED and is_since(each.verified_at) for each in promotions
        ),
    )


def longest_wait(policy: str) -> timedelta:
    """Return for how long the image has waited that has waited longest.

    Args:
        policy: The policy.

    Returns:
        The time since it was first seen; zero when none waits.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    now = system_clock()
    with open_ledger() as ledger:
        return max(_waits(ledger, policy, now), default=timedelta())


def _waits(ledger: Ledger, policy: str, now: datetime) -> list[timedelta]:
    return [
        now - each.observation.first_seen_at
        for each in ledger.standings(policy)
        if each.decision.outcome is Outcome.WAIT
    ]
