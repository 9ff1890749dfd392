"""What sets a promotion apart from one that went its way by itself: people, proof and rechecks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from image_promotion.ledger import tables as t
from image_promotion.ledger import verdicts
from image_promotion.ledger.attestations import Attestation
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import Outcome, Reason
from image_promotion.ledger.verdicts import Word
from image_promotion.ledger.withdrawals import rolled_back


@dataclass(frozen=True, slots=True)
class Override:
    """That a person promotes an image although a trigger does not hold.

    Args:
        who: The person.
        why: The reason they wrote.
    """

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a recheck found about a promotion.

    Args:
        outcome: ``promote`` when it would be promoted today.
        reasons: One reason per trigger that was asked.
        first_at: When this was found first.
        last_at: When it was found last.
        run_key: The run that found it last.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    first_at: datetime
    last_at: datetime
    run_key: str


@dataclass(frozen=True, slots=True)
class Removal:
    """That retention took a target tag away.

    Args:
        at: When.
        run_key: The run that did it.
        detail: Why.
    """

    at: datetime
    run_key: str
    detail: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What sets a promotion apart from one that went its way by itself.

    Args:
        override: That its decision was overridden; None where it was not.
        words: What people said when they were asked, the oldest first.
        is_rolled_back: Whether its target tag was set back from it.
        attestation: Its signed statement in the target; None where it has none.
        last_look: The last recheck of it; None where there was none.
        removal: That its target tag was taken away; None where it was not.
    """

    override: Override | None = None
    words: tuple[Word, ...] = ()
    is_rolled_back: bool = False
    attestation: Attestation | None = None
    last_look: Look | None = None
    removal: Removal | None = None


NO_MARKS = Marks()


LOOK = (
    t.rechecks.c.outcome,
    t.rechecks.c.reasons,
    t.rechecks.c.first_at,
    t.rechecks.c.last_at,
    t.rechecks.c.run_key,
)


def read_overrides(connection: Connection, ids: Collection[int]) -> dict[int, Override]:
    """Read which decisions were overridden.

    Args:
        connection: Any connection.
        ids: The decisions' ids.

    Returns:
        The overrides by decision; those that were not overridden are not in it.
    """
    found: dict[int, Override] = {}
    for batch in in_batches(ids):
        query = select(
            t.decisions.c.id, t.decisions.c.overridden_by, t.decisions.c.override_reason
        ).where(t.decisions.c.id.in_(batch), t.decisions.c.overridden_by.is_not(None))
        for decision_id, who, why in connection.execute(query):
            found[decision_id] = Override(who, why or "")
    return found


def read_marks(connection: Connection, ids: Collection[int]) -> dict[int, Marks]:
    """Read what is known of promotions besides their steps, but for overrides.

    Args:
        connection: Any connection.
        ids: The promotions' ids.

    Returns:
        The marks of each.
    """
    said = verdicts.words(connection, ids)
    undone = rolled_back(connection, ids)
    attested: dict[int, Attestation] = {}
    looks: dict[int, Look] = {}
    removals: dict[int, Removal] = {}
    for batch in in_batches(ids):
        of_attestations = select(
            t.attestations.c.promotion_id,
            t.attestations.c.digest,
            t.attestations.c.key_id,
            t.attestations.c.at,
            t.attestations.c.run_key,
        ).where(t.attestations.c.promotion_id.in_(batch))
        for row in connection.execute(of_attestations):
            attested[row[0]] = Attestation(*row)
        of_looks = select(t.rechecks.c.promotion_id, *LOOK).where(
            t.rechecks.c.promotion_id.in_(batch), t.rechecks.c.is_latest
        )
        for promotion_id, *look in connection.execute(of_looks):
            looks[promotion_id] = Look(*look)
        of_removals = select(
            t.removals.c.promotion_id, t.removals.c.at, t.removals.c.run_key, t.removals.c.detail
        ).where(t.removals.c.promotion_id.in_(batch))
        for promotion_id, at, run_key, detail in connection.execute(of_removals):
            removals[promotion_id] = Removal(at, run_key, detail)
    return {
        each: Marks(
            words=said.get(each, ()),
            is_rolled_back=each in undone,
            attestation=attested.get(each),
            last_look=looks.get(each),
            removal=removals.get(each),
        )
        for each in ids
    }


def with_override(marks: Marks, override: Override | None) -> Marks:
    """Return marks with an override among them, if there is one."""
    if override is None:
        return marks
    return replace(marks, override=override)
