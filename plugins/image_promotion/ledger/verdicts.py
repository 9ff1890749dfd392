"""What people said about promotions, as functions that only read; ``approvals`` writes it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, ScalarSelect, func, or_, select

from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import Verdict
from image_promotion.ledger.tables import approvals, policy_versions, promotions, runs

NOBODY = ""
"""Who rejects what nobody decided in time, where the policy wants it so."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one person said about one promotion in one run.

    Args:
        promotion_id: What it is about.
        verdict: What was said.
        who: The person, by the name that Airflow's auth manager knows; ``NOBODY`` for a rejection
            by time.
        comment: Why; may be empty.
        at: When.
        run_key: The run in which it was said.
        policy_hash: The version of the policy that run went by.
    """

    promotion_id: int
    verdict: Verdict
    who: str
    comment: str
    at: datetime
    run_key: str
    policy_hash: str


def words(connection: Connection, promotion_ids: Collection[int]) -> dict[int, tuple[Word, ...]]:
    """Read what was said; see ``Approvals.of_promotions``."""
    found: dict[int, tuple[Word, ...]] = {}
    for batch in in_batches(frozenset(promotion_ids)):
        query = (
            select(
                approvals.c.promotion_id,
                approvals.c.verdict,
                approvals.c.who,
                approvals.c.comment,
                approvals.c.at,
                runs.c.key,
                policy_versions.c.hash,
            )
            .join_from(approvals, runs, runs.c.id == approvals.c.run_id)
            .join(policy_versions, policy_versions.c.id == runs.c.policy_version_id)
            .where(approvals.c.promotion_id.in_(batch))
            .order_by(approvals.c.at, approvals.c.id)
        )
        for row in connection.execute(query):
            word = Word(*row)
            found[word.promotion_id] = (*found.get(word.promotion_id, ()), word)
    return found


def standing(said: Collection[Word], policy_hash: str) -> tuple[Word, ...]:
    """Return the approvals that count.

    Args:
        said: All that was said about one promotion, the oldest first.
        policy_hash: The version of the policy that asks for them; another one may have other
            triggers, and what was approved under it was something else.

    Returns:
        One approval of each person, said after the last rejection.
    """
    rejected_at = max((each.at for each in said if each.verdict is Verdict.REJECTED), default=None)
    counted: dict[str, Word] = {}
    for word in said:
        if (
            word.verdict is Verdict.APPROVED
            and word.policy_hash == policy_hash
            and (rejected_at is None or word.at > rejected_at)
        ):
            counted.setdefault(word.who, word)
    return tuple(counted.values())


def is_rejected() -> ColumnElement[bool]:
    """Return the condition that the last word about a row of ``promotions`` is a rejection."""
    rejected_at = _last(Verdict.REJECTED)
    approved_at = _last(Verdict.APPROVED)
    return rejected_at.is_not(None) & or_(approved_at.is_(None), approved_at <= rejected_at)


def rejected(connection: Connection, promotion_ids: Collection[int]) -> frozenset[int]:
    """Return which of some promotions people rejected, and have not approved since."""
    found: set[int] = set()
    for batch in in_batches(frozenset(promotion_ids)):
        query = select(promotions.c.id).where(promotions.c.id.in_(batch), is_rejected())
        found |= set(connection.execute(query).scalars())
    return frozenset(found)


def _last(verdict: Verdict) -> ScalarSelect[datetime]:
    return (
        select(func.max(approvals.c.at))
        .where(approvals.c.promotion_id == promotions.c.id, approvals.c.verdict == verdict)
        .correlate(promotions)
        .scalar_subquery()
    )
