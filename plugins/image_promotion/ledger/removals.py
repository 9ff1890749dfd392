"""Target tags that retention takes away: which there are, and which are gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from image_promotion.ledger import promotions
from image_promotion.ledger.database import Database, in_batches, insert_if_absent
from image_promotion.ledger.records import Promotion, State
from image_promotion.ledger.rows import promotion as record_of
from image_promotion.ledger.tables import observations, removals
from image_promotion.ledger.tables import promotions as table


class Removals:
    """What the ledger knows of tags to be taken away; it is at ``Ledger.removals``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def tags_of(self, policy: str) -> tuple[Promotion, ...]:
        """List the target tags that a policy was the last to set, as far as the ledger knows.

        Args:
            policy: The policy.

        Returns:
            The verified promotion that set each, rollbacks among them; those whose tag was taken
            away before too, since somebody may have set it again.
        """
        with self._database.reading() as connection:
            return tags_of(connection, policy)

    def histories(
        self, registry: str, repository: str, tags: Collection[str]
    ) -> Mapping[str, Sequence[Promotion]]:
        """List what set each of several target tags, the first first; see ``tag_history``."""
        with self._database.reading() as connection:
            return histories(connection, registry, repository, tags)

    def begin(self, promotion: Promotion, *, at: datetime, run_key: str, detail: str) -> None:
        """Note that the tag of a promotion is about to be taken away, and why.

        What is noted first is known even if the process ends between the removal and its note.
        """
        with self._database.writing() as connection:
            insert_if_absent(
                connection,
                removals,
                [{"promotion_id": promotion.id, "run_key": run_key, "at": at, "detail": detail}],
            )

    def finish(self, promotion: Promotion, *, at: datetime, run_key: str) -> None:
        """Note that the tag of a promotion is gone; the first time it is noted stays."""
        with self._database.writing() as connection:
            connection.execute(
                update(removals)
                .where(removals.c.promotion_id == promotion.id, removals.c.removed_at.is_(None))
                .values(removed_at=at, run_key=run_key)
            )

    def removed(self, promotion_ids: Collection[int]) -> frozenset[int]:
        """Say of which promotions retention took the tag away."""
        return self._those(promotion_ids, removals.c.removed_at.is_not(None))

    def begun(self, promotion_ids: Collection[int]) -> frozenset[int]:
        """Say of which promotions a removal was begun, and is not known to have happened."""
        return self._those(promotion_ids, removals.c.removed_at.is_(None))

    def _those(
        self, promotion_ids: Collection[int], condition: ColumnElement[bool]
    ) -> frozenset[int]:
        found: set[int] = set()
        with self._database.reading() as connection:
            for batch in in_batches(frozenset(promotion_ids)):
                query = select(removals.c.promotion_id).where(
                    removals.c.promotion_id.in_(batch), condition
                )
                found |= set(connection.execute(query).scalars())
        return frozenset(found)


def tags_of(connection: Connection, policy: str) -> tuple[Promotion, ...]:
    """List the tags that a policy was the last to set; see ``Removals.tags_of``."""
    later = table.alias()
    is_set_again = exists().where(
        later.c.target_registry == table.c.target_registry,
        later.c.target_repository == table.c.target_repository,
        later.c.target_tag == table.c.target_tag,
        or_(
            later.c.tagged_at > table.c.tagged_at,
            and_(later.c.tagged_at == table.c.tagged_at, later.c.id > table.c.id),
        ),
    )
    query = (
        promotions.selected()
        .where(observations.c.policy == policy, table.c.state == State.VERIFIED, ~is_set_again)
        .order_by(table.c.verified_at, table.c.id)
    )
    return tuple(record_of(row) for row in connection.execute(query).mappings())


def histories(
    connection: Connection, registry: str, repository: str, tags: Collection[str]
) -> Mapping[str, Sequence[Promotion]]:
    """List what set each of several target tags; see ``Removals.histories``."""
    found: dict[str, list[Promotion]] = {}
    for batch in in_batches(frozenset(tags)):
        query = (
            promotions.selected()
            .where(
                table.c.target_registry == registry,
                table.c.target_repository == repository,
                table.c.target_tag.in_(batch),
                table.c.tagged_at.is_not(None),
            )
            .order_by(table.c.tagged_at, table.c.id)
        )
        for row in connection.execute(query).mappings():
            promotion = record_of(row)
            found.setdefault(promotion.target_tag, []).append(promotion)
    return found
