"""What people have been told, so that a task that is run again tells nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from image_promotion.ledger import promotions, rows
from image_promotion.ledger.database import Database, in_batches, insert_if_absent
from image_promotion.ledger.records import Kind, Promotion, State
from image_promotion.ledger.tables import decisions, notices, observations
from image_promotion.ledger.tables import promotions as table


@dataclass(frozen=True, slots=True)
class ToldRollback:
    """A rollback, and what people want to know of it.

    Args:
        promotion: The rollback.
        former_digest: What the target tag held before.
        reason: Why it was set back.
    """

    promotion: Promotion
    former_digest: str | None
    reason: str


class Notices:
    """What people have been told; it is at ``Ledger.notices``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def told(self, policy: str, event: str, subjects: Collection[str]) -> frozenset[str]:
        """Say of what people have been told already.

        Args:
            policy: The policy.
            event: The kind of event.
            subjects: What it is about and who is told, each a text of any length.

        Returns:
            Those of the subjects.
        """
        with self._database.reading() as connection:
            return told(connection, policy, event, subjects)

    def note(self, policy: str, event: str, subjects: Collection[str], at: datetime) -> None:
        """Note that people have been told; what is noted stays as it is.

        Args:
            policy: As in ``told``.
            event: As in ``told``.
            subjects: As in ``told``.
            at: Now.
        """
        with self._database.writing() as connection:
            insert_if_absent(
                connection,
                notices,
                [
                    {"policy": policy, "event": event, "subject": key, "at": at}
                    for key in sorted({_key(each) for each in subjects})
                ],
            )

    def rollbacks(self, policy: str, *, since: datetime) -> tuple[ToldRollback, ...]:
        """List the rollbacks of a policy's target tags that were verified lately.

        Args:
            policy: The policy.
            since: Not before this moment.

        Returns:
            The rollbacks, by promotion.
        """
        with self._database.reading() as connection:
            return rollbacks(connection, policy, since=since)


def rollbacks(connection: Connection, policy: str, *, since: datetime) -> tuple[ToldRollback, ...]:
    """List rollbacks; see ``Notices.rollbacks``."""
    query = (
        promotions.selected()
        .add_columns(decisions.c.reasons)
        .where(
            observations.c.policy == policy,
            table.c.kind == Kind.ROLLBACK,
            table.c.state == State.VERIFIED,
            table.c.verified_at >= since,
        )
        .order_by(table.c.id)
    )
    return tuple(
        ToldRollback(
            promotion=rows.promotion(row),
            former_digest=row[table.c.former_digest],
            reason="; ".join(reason.found for reason in row[decisions.c.reasons]),
        )
        for row in connection.execute(query).mappings()
    )


def told(
    connection: Connection, policy: str, event: str, subjects: Collection[str]
) -> frozenset[str]:
    """Say of what people have been told; see ``Notices.told``."""
    keys = {_key(each): each for each in subjects}
    found: set[str] = set()
    for batch in in_batches(keys):
        query = select(notices.c.subject).where(
            notices.c.policy == policy, notices.c.event == event, notices.c.subject.in_(batch)
        )
        found |= {keys[each] for each in connection.execute(query).scalars()}
    return frozenset(found)


def _key(subject: str) -> str:
    """Return what fits into the column, whatever the subject is made of."""
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"
