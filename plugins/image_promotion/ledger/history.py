"""Decisions with what came of them: the newest, and those that stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, or_, select

from image_promotion.ledger import decisions, promotions, rows, tables
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import HistoryEntry, Observation, Promotion, State


def newest(
    connection: Connection,
    *,
    policy: str | None,
    limit: int,
    tag: str | None = None,
    digest: str | None = None,
    state: State | None = None,
) -> tuple[HistoryEntry, ...]:
    """List the newest decisions; see ``Ledger.history``."""
    seen = tables.observations
    query = (
        decisions.selected()
        .join(seen, seen.c.id == tables.decisions.c.observation_id)
        .order_by(tables.decisions.c.id.desc())
        .limit(limit)
    )
    if policy is not None:
        query = query.where(seen.c.policy == policy)
    if tag is not None:
        query = query.where(
            or_(seen.c.tag == tag, _leads_to(tables.promotions.c.target_tag == tag))
        )
    if digest is not None:
        begins = tables.promotions.c.target_digest.startswith(digest, autoescape=True)
        query = query.where(
            or_(seen.c.digest.startswith(digest, autoescape=True), _leads_to(begins))
        )
    if state is not None:
        query = query.where(_leads_to(tables.promotions.c.state == state))
    entries = _entries(connection, query)
    return tuple(each for each in entries if _is_wanted(each, tag, digest, state))[:limit]


def _leads_to(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a decision has a promotion of some kind."""
    links = tables.decision_promotions
    return exists(
        select(links.c.promotion_id)
        .join(tables.promotions, tables.promotions.c.id == links.c.promotion_id)
        .where(links.c.decision_id == tables.decisions.c.id, condition)
    )


def _is_wanted(
    entry: HistoryEntry, tag: str | None, digest: str | None, state: State | None
) -> bool:
    """Say whether it is this promotion of a decision that was asked for, and not another one."""
    seen, done = entry.observation, entry.promotion
    return (
        (tag is None or tag in (seen.tag, done.target_tag if done else None))
        and (
            digest is None
            or seen.digest.startswith(digest)
            or (done is not None and done.target_digest.startswith(digest))
        )
        and (state is None or (done is not None and done.state is state))
    )


def standings(
    connection: Connection, policy: str, of: tuple[str, str] | None = None
) -> tuple[HistoryEntry, ...]:
    """List how the present tags stand with a policy; see ``Ledger.standings``."""
    query = (
        decisions.selected()
        .join(tables.observations, tables.observations.c.id == tables.decisions.c.observation_id)
        .where(
            tables.observations.c.policy == policy,
            tables.observations.c.is_current,
            tables.observations.c.gone_at.is_(None),
            tables.decisions.c.is_latest,
        )
        .order_by(tables.decisions.c.id)
    )
    if of is not None:
        repository, tag = of
        query = query.where(
            tables.observations.c.repository == repository, tables.observations.c.tag == tag
        )
    return _entries(connection, query)


def _entries(connection: Connection, query: Select[*tuple[Any, ...]]) -> tuple[HistoryEntry, ...]:
    """Read the decisions that a query selects, with what they were about and what came of them."""
    found = decisions.read(connection, query)
    seen = _observations(connection, {decision.observation_id for decision in found})
    planned = _promotions(
        connection, {promotion for decision in found for promotion in decision.promotion_ids}
    )
    return tuple(
        HistoryEntry(
            observation=seen[decision.observation_id],
            decision=decision,
            promotion=None if promotion is None else planned[promotion],
        )
        for decision in found
        for promotion in decision.promotion_ids or (None,)
    )


def _observations(connection: Connection, ids: Collection[int]) -> dict[int, Observation]:
    found = {}
    for batch in in_batches(ids):
        query = select(*rows.OBSERVATION).where(tables.observations.c.id.in_(batch))
        for row in connection.execute(query).mappings():
            observation = rows.observation(row)
            found[observation.id] = observation
    return found


def _promotions(connection: Connection, ids: Collection[int]) -> dict[int, Promotion]:
    found = {}
    for batch in in_batches(ids):
        query = promotions.selected().where(tables.promotions.c.id.in_(batch))
        for row in connection.execute(query).mappings():
            promotion = rows.promotion(row)
            found[promotion.id] = promotion
    return found
