"""From rows to records: which columns make which value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Column, Label, RowMapping, func

from image_promotion.ledger.records import (
    Decision,
    Kind,
    Observation,
    Promotion,
    Run,
    Transition,
)
from image_promotion.ledger.tables import (
    decisions,
    observations,
    policy_versions,
    promotions,
    runs,
    transitions,
)

_Record = TypeVar("_Record")
_Columns = Sequence[Column[object] | Label[object]]


RUN: _Columns = (
    runs.c.id,
    policy_versions.c.policy,
    policy_versions.c.hash.label("policy_hash"),
    policy_versions.c.document,
    runs.c.key,
    runs.c.kind,
    runs.c.started_at,
    runs.c.first_of_version,
    runs.c.scanned_at,
    runs.c.evaluated_at,
    runs.c.tags_seen,
    runs.c.tags_rejected_by_name,
    runs.c.started_by,
)

OBSERVATION: _Columns = (
    observations.c.id,
    observations.c.policy,
    observations.c.repository,
    observations.c.tag,
    observations.c.digest,
    observations.c.ordinal,
    observations.c.first_seen_at,
    observations.c.last_seen_at,
)

DECISION: _Columns = (
    decisions.c.id,
    decisions.c.observation_id,
    decisions.c.outcome,
    decisions.c.reasons,
    decisions.c.wait_until,
    decisions.c.target_tag,
    policy_versions.c.hash.label("policy_hash"),
    decisions.c.decided_at,
    decisions.c.asked_at,
    decisions.c.times_asked,
    decisions.c.overridden_by,
    decisions.c.override_reason,
)

PROMOTION: _Columns = (
    promotions.c.id,
    promotions.c.observation_id,
    promotions.c.decision_id,
    promotions.c.source_connection,
    promotions.c.source_registry,
    promotions.c.target_connection,
    promotions.c.target_registry,
    promotions.c.target_repository,
    promotions.c.target_tag,
    promotions.c.target_key,
    promotions.c.existing_tag,
    observations.c.policy,
    policy_versions.c.hash.label("policy_hash"),
    observations.c.repository.label("source_repository"),
    observations.c.tag.label("source_tag"),
    observations.c.digest,
    func.coalesce(promotions.c.target_digest, observations.c.digest).label("target_digest"),
    promotions.c.state,
    promotions.c.failed_in,
    promotions.c.error,
    promotions.c.planned_at,
    promotions.c.copied_at,
    promotions.c.tagged_at,
    promotions.c.verified_at,
    promotions.c.ended_at,
    promotions.c.bytes_copied,
    promotions.c.bytes_skipped,
    promotions.c.bytes_mounted,
    promotions.c.seconds,
    runs.c.key.label("run_key"),
    func.coalesce(promotions.c.kind, Kind.PROMOTION).label("kind"),
    promotions.c.former_digest,
)

TRANSITION: _Columns = (
    transitions.c.promotion_id,
    transitions.c.from_state,
    transitions.c.to_state,
    transitions.c.at,
    transitions.c.run_key,
    transitions.c.detail,
)


def run(row: RowMapping) -> Run:
    """Read a Run from a row that has the columns RUN."""
    return _record(Run, RUN, row)


def observation(row: RowMapping) -> Observation:
    """Read an Observation from a row that has the columns OBSERVATION."""
    return _record(Observation, OBSERVATION, row)


def decision(row: RowMapping) -> Decision:
    """Read a Decision, but for its promotions, from a row that has the columns DECISION."""
    return _record(Decision, DECISION, row)


def promotion(row: RowMapping) -> Promotion:
    """Read a Promotion from a row that has the columns PROMOTION."""
    return _record(Promotion, PROMOTION, row)


def transition(row: RowMapping) -> Transition:
    """Read a Transition from a row that has the columns TRANSITION."""
    return _record(Transition, TRANSITION, row)


def _record(kind: type[_Record], columns: _Columns, row: RowMapping) -> _Record:
    """Make a record; rows are read by column, so that rows of several records can be joined."""
    return kind(**{column.name: row[column] for column in columns})
