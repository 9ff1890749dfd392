"""Which promotions were undone by a rollback, and which images are not to come by again.

A promotion is undone as soon as a rollback of its target tag away from its digest is planned, and
counts again when its digest is verified under that tag once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, func, or_, select

from image_promotion.ledger import promotions
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import Kind, Promotion, State
from image_promotion.ledger.rows import promotion as record_of
from image_promotion.ledger.tables import observations
from image_promotion.ledger.tables import promotions as table

_UNDER_WAY_OR_DONE = (State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED)


def is_rolled_back(of: FromClause) -> ColumnElement[bool]:
    """Return the condition that a promotion was undone; see ``Rollbacks.rolled_back``.

    Args:
        of: The table of promotions, or an alias of it, as the query selects from it.
    """
    away, again = table.alias(), table.alias()
    digest = _target_digest(of)
    # What each asks about tables around it is said to SQLAlchemy, which looks one level up only.
    brought_again = (
        exists()
        .where(
            _is_same_tag(again, of),
            _target_digest(again) == digest,
            again.c.id > away.c.id,
            again.c.state == State.VERIFIED,
        )
        .correlate(of, away)
    )
    return (
        exists()
        .where(
            _is_same_tag(away, of),
            away.c.former_digest == digest,
            away.c.id > of.c.id,
            _counts(away),
            ~brought_again,
        )
        .correlate(of)
    )


def rolled_back(connection: Connection, promotion_ids: Collection[int]) -> frozenset[int]:
    """Say which promotions were undone; see ``Rollbacks.rolled_back``."""
    found: set[int] = set()
    for batch in in_batches(frozenset(promotion_ids)):
        query = select(table.c.id).where(table.c.id.in_(batch), is_rolled_back(table))
        found |= set(connection.execute(query).scalars())
    return frozenset(found)


def withdrawn(
    connection: Connection, registry: str, repository: str, digests: Collection[str]
) -> Mapping[str, Promotion]:
    """Find images that were rolled back; see ``Rollbacks.withdrawn``."""
    in_repository = and_(
        table.c.target_registry == registry, table.c.target_repository == repository
    )
    away = promotions.selected().where(in_repository, _counts(table)).order_by(table.c.id)
    rollbacks = [record_of(row) for row in connection.execute(away).mappings()]
    if not rollbacks:
        return {}
    gone = {each.former_digest for each in rollbacks if each.former_digest}
    set_once: list[Promotion] = []
    for batch in in_batches(gone):
        query = promotions.selected().where(in_repository, table.c.target_digest.in_(batch))
        set_once += [record_of(row) for row in connection.execute(query).mappings()]
    found: dict[str, Promotion] = {}
    for each in rollbacks:
        of_it = [one for one in set_once if one.target_digest == each.former_digest]
        came_again = any(
            one.id > each.id and one.state is State.VERIFIED and one.target_tag == each.target_tag
            for one in of_it
        )
        if each.former_digest and not came_again:
            names = {each.former_digest} | {one.digest for one in of_it}
            found |= dict.fromkeys(names.intersection(digests), each)
    return found


def _counts(of: FromClause) -> ColumnElement[bool]:
    """Whether a promotion is a rollback that took, or will take, a tag from what it held."""
    return and_(
        of.c.kind == Kind.ROLLBACK,
        or_(
            of.c.state.in_(_UNDER_WAY_OR_DONE),
            and_(of.c.state == State.FAILED, of.c.tagged_at.is_not(None)),
        ),
    )


def _is_same_tag(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(
        one.c.target_registry == other.c.target_registry,
        one.c.target_repository == other.c.target_repository,
        one.c.target_tag == other.c.target_tag,
    )


def _target_digest(of: FromClause) -> ColumnElement[str]:
    # Where a process of an earlier version planned it, it is the observation's.
    stays = observations.alias()
    seen = select(stays.c.digest).where(stays.c.id == of.c.observation_id)
    return func.coalesce(of.c.target_digest, seen.correlate(of).scalar_subquery())
