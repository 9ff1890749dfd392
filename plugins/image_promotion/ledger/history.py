"""Decisions with what came of them: the newest, and those that stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, select

from image_promotion.ledger import decisions, promotions, rows, tables
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.records import HistoryEntry, Observation, Promotion


def newest(connection: Connection, *, policy: str | None, limit: int) -> tuple[HistoryEntry, ...]:
    """List the newest decisions; see ``Ledger.history``."""
    query = decisions.selected().order_by(tables.decisions.c.id.desc()).limit(limit)
    if policy is not None:
        query = query.join(
            tables.observations, tables.observations.c.id == tables.decisions.c.observation_id
        ).where(tables.observations.c.policy == policy)
    return _entries(connection, query)


def standings(connection: Connection, policy: str) -> tuple[HistoryEntry, ...]:
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
    return _entries(connection, query)


def _entries(connection: Connection, query: Select[*tuple[Any, ...]]) -> tuple[HistoryEntry, ...]:
    """Read the decisions that a query selects, with what they were about and what came of them."""
    found = [rows.decision(row) for row in connection.execute(query).mappings()]
    seen = _observations(connection, {decision.observation_id for decision in found})
    planned = _promotions(
        connection, {one.promotion_id for one in found if one.promotion_id is not None}
    )
    return tuple(
        HistoryEntry(
            observation=seen[decision.observation_id],
            decision=decision,
            promotion=None if decision.promotion_id is None else planned[decision.promotion_id],
        )
        for decision in found
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
