"""How far copies have come that run now: a note of each, which goes when the copy ends.

What a process leaves that was killed is told from what runs by its age.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from image_promotion.ledger import promotions, rows
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.records import Promotion
from image_promotion.ledger.tables import progress as table
from image_promotion.ledger.tables import promotions as promotions_table
from image_promotion.ledger.tables import runs

STALE_AFTER = timedelta(minutes=1)
"""A copy that runs is noted more often; what is older was left by a process that was killed."""

FORGOTTEN_AFTER = timedelta(hours=1)

MOST = 200
"""So many copies are told, those that began first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy has come.

    Args:
        promotion_id: Of which promotion.
        run_key: The run that copies.
        blobs: How many blobs there are to send.
        blobs_done: How many of them were sent.
        size_bytes: How large they are together.
        bytes_done: How much of that was sent.
        began_at: When the copy began.
        at: When this was so.
    """

    promotion_id: int
    run_key: str
    blobs: int
    blobs_done: int
    size_bytes: int
    bytes_done: int
    began_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class RunningCopy:
    """A promotion that is copied now, how far that has come, and how the run came about."""

    promotion: Promotion
    progress: Progress
    run_kind: str


_COLUMNS = (
    table.c.promotion_id,
    table.c.run_key,
    table.c.blobs,
    table.c.blobs_done,
    table.c.size_bytes,
    table.c.bytes_done,
    table.c.began_at,
    table.c.at,
)


class ProgressNotes:
    """How far copies have come; it is at ``Ledger.progress``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, found: Sequence[Progress], *, ended: Collection[int] = ()) -> None:
        """Note how far copies have come, without waiting long for others who write.

        Args:
            found: The copies that run; the last note of each counts.
            ended: The promotions whose copies run no more.

        Raises:
            LedgerError: The ledger cannot be written, or others were writing all the time.
        """
        with self._database.writing_soon() as connection:
            for each in in_batches(frozenset(ended)):
                connection.execute(delete(table).where(table.c.promotion_id.in_(each)))
            if found:
                _put(connection, table, found)
                oldest = max(each.at for each in found) - FORGOTTEN_AFTER
                connection.execute(delete(table).where(table.c.at < oldest))

    def running(
        self,
        policies: Collection[str],
        now: datetime,
        *,
        digests: Collection[str] | None = None,
    ) -> tuple[RunningCopy, ...]:
        """List the copies that run now.

        Args:
            policies: Only those of these policies.
            now: The present moment.
            digests: Only those of images that have one of these digests, in the source or in the
                target; None for all.

        Returns:
            The copies, those that began first first.
        """
        query = (
            select(func.coalesce(runs.c.kind, ""), *_COLUMNS)
            .outerjoin_from(table, runs, runs.c.key == table.c.run_key)
            .where(table.c.at > now - STALE_AFTER)
            .order_by(table.c.began_at, table.c.promotion_id)
            .limit(MOST)
        )
        with self._database.reading() as connection:
            found = [(Progress(*row), kind) for kind, *row in connection.execute(query)]
            copied = _promotions(connection, [each.promotion_id for each, _ in found])
        running = [
            RunningCopy(copied[each.promotion_id], each, kind)
            for each, kind in found
            if each.promotion_id in copied
        ]
        return tuple(
            each
            for each in running
            if each.promotion.policy in policies
            and (
                digests is None
                or each.promotion.digest in digests
                or each.promotion.target_digest in digests
            )
        )


def _promotions(connection: Connection, ids: Sequence[int]) -> dict[int, Promotion]:
    if not ids:
        return {}
    query = promotions.selected().where(promotions_table.c.id.in_(ids))
    found = (rows.promotion(row) for row in connection.execute(query).mappings())
    return {each.id: each for each in found}


def _put(connection: Connection, into: Table, found: Sequence[Progress]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new = insert(into)
    changed = {
        each.name: new.excluded[each.name] for each in _COLUMNS if each.name != "promotion_id"
    }
    connection.execute(
        new.on_conflict_do_update(index_elements=["promotion_id"], set_=changed),
        [{each.name: getattr(one, each.name) for each in _COLUMNS} for one in found],
    )
