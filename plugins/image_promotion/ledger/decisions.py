"""What is to be decided and what was, as functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from image_promotion.ledger import rows, runs
from image_promotion.ledger.database import in_batches
from image_promotion.ledger.lifecycle import FINAL
from image_promotion.ledger.records import (
    Candidate,
    Decision,
    Kind,
    NewDecision,
    Outcome,
    Run,
    State,
)
from image_promotion.ledger.tables import (
    decision_promotions,
    decisions,
    observations,
    policy_versions,
    promotions,
)

_LINKS = decision_promotions.join(promotions, promotions.c.id == decision_promotions.c.promotion_id)
_VERSION_OF_DECISION = policy_versions.c.id == decisions.c.policy_version_id


def candidates(
    connection: Connection, run: Run, *, decide_again: bool, tags: Collection[str] | None
) -> tuple[Candidate, ...]:
    """List what a run has to decide; see ``Ledger.candidates``."""
    is_unfinished = or_(~_has_promotion(), _has_promotion(promotions.c.state.not_in(FINAL)))
    is_open = or_(
        decisions.c.id.is_(None),
        policy_versions.c.hash != run.policy_hash,
        decisions.c.outcome.in_((Outcome.WAIT, Outcome.CONFLICT)),
        and_(decisions.c.outcome == Outcome.PROMOTE, is_unfinished),
    )
    if decide_again:
        is_open = or_(
            is_open, ~_has_promotion(), _has_promotion(promotions.c.state != State.VERIFIED)
        )
    has_failed = _has_promotion(promotions.c.state == State.FAILED)
    rank = case((decisions.c.id.is_(None), 0), (has_failed, 2), else_=1)
    query = (
        select(*rows.OBSERVATION, *rows.DECISION)
        .select_from(observations)
        .outerjoin(
            decisions,
            and_(decisions.c.observation_id == observations.c.id, decisions.c.is_latest),
        )
        .outerjoin(policy_versions, _VERSION_OF_DECISION)
        .where(
            observations.c.policy == run.policy,
            observations.c.is_current,
            observations.c.gone_at.is_(None),
            # Runs are numbered upwards; what a later run saw in the meantime is seen.
            observations.c.last_run_id >= run.id,
            is_open,
            ~_is_verified_override(),
        )
        .order_by(rank, decisions.c.asked_at, observations.c.id)
    )
    wanted = None if tags is None else frozenset(tags)
    found = [
        row
        for row in connection.execute(query).mappings()
        if wanted is None or row[observations.c.tag] in wanted
    ]
    last = {
        each.id: each
        for each in _with_promotions(
            connection, [rows.decision(row) for row in found if row[decisions.c.id] is not None]
        )
    }
    return tuple(
        Candidate(observation=rows.observation(row), last=last.get(row[decisions.c.id]))
        for row in found
    )


def _is_verified_override() -> ColumnElement[bool]:
    """Say whether a person promoted it, and it arrived: no later run decides about that again."""
    return and_(
        # In the outer join there may be no decision, and a NULL would make all of this one.
        func.coalesce(decisions.c.overridden_by, "") != "",
        _has_promotion(),
        ~_has_promotion(promotions.c.state != State.VERIFIED),
    )


def overridden_tags(connection: Connection, policy: str) -> frozenset[tuple[str, str]]:
    """List the tags that are there and promoted by an override; see ``Ledger.overridden_tags``."""
    query = (
        select(observations.c.repository, observations.c.tag)
        .join_from(observations, decisions, decisions.c.observation_id == observations.c.id)
        .where(
            observations.c.policy == policy,
            observations.c.is_current,
            observations.c.gone_at.is_(None),
            decisions.c.is_latest,
            decisions.c.overridden_by.is_not(None),
        )
    )
    return frozenset((row.repository, row.tag) for row in connection.execute(query))


def _has_promotion(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Say whether a decision has a promotion, or one of a kind."""
    return exists(
        select(decision_promotions.c.promotion_id)
        .select_from(_LINKS)
        .where(decision_promotions.c.decision_id == decisions.c.id, *conditions)
    )


def decide(
    connection: Connection, run: Run, new_decisions: Sequence[NewDecision], at: datetime
) -> tuple[Decision, ...]:
    """Record decisions; see ``Ledger.decide``."""
    runs.lock_policy(connection, run.policy)
    by_observation = {decision.observation_id: decision for decision in new_decisions}
    last = _latest(connection, by_observation)
    repeated = []
    replaced = []
    new = []
    version_id = runs.version_id(connection, run)
    for observation_id, decision in by_observation.items():
        before = last.get(observation_id)
        if before is not None and _is_repeated(before, decision, run):
            repeated.append(
                {
                    "decision_id": before.id,
                    "wait_until": decision.wait_until,
                    # The tag of what is planned was rendered then.
                    "target_tag": decision.target_tag
                    if not before.promotion_ids
                    else before.target_tag,
                }
            )
            continue
        if before is not None:
            replaced.append(before.id)
        new.append(
            {
                "observation_id": observation_id,
                "policy_version_id": version_id,
                "outcome": decision.outcome,
                "reasons": decision.reasons,
                "wait_until": decision.wait_until,
                "target_tag": decision.target_tag,
                "overridden_by": decision.overridden_by,
                "override_reason": decision.override_reason,
                "decided_at": at,
                "asked_at": at,
                "times_asked": 1,
                "decided_run_id": run.id,
                "asked_run_id": run.id,
                "is_latest": True,
            }
        )
    if repeated:
        connection.execute(_ask_again(run, at), repeated)
    for batch in in_batches(replaced):
        connection.execute(
            update(decisions).where(decisions.c.id.in_(batch)).values(is_latest=False)
        )
    if new:
        connection.execute(insert(decisions), new)
    recorded = _latest(connection, by_observation)
    return tuple(recorded[observation_id] for observation_id in by_observation)


def of_run(connection: Connection, run: Run) -> tuple[Decision, ...]:
    """List what a run decided; see ``Ledger.run_decisions``."""
    # A rollback's run decides about the rollback alone; it does not ask what lasts.
    began = decisions.c.decided_run_id
    query = (
        selected()
        .join(observations, observations.c.id == decisions.c.observation_id)
        .where(
            observations.c.policy == run.policy,
            began == run.id if run.kind == Kind.ROLLBACK else began <= run.id,
            decisions.c.asked_run_id >= run.id,
        )
        .order_by(decisions.c.id)
    )
    return read(connection, query)


def read(connection: Connection, query: Select[*tuple[Any, ...]]) -> tuple[Decision, ...]:
    """Read the decisions that a query selects, in its order.

    Args:
        connection: Any connection.
        query: A query with the columns of ``selected``.

    Returns:
        The decisions, with the promotions that were planned for each.
    """
    found = [rows.decision(row) for row in connection.execute(query).mappings()]
    return _with_promotions(connection, found)


def selected() -> Select[*tuple[Any, ...]]:
    """Select decisions, with all that makes a record of them but their promotions."""
    return select(*rows.DECISION).select_from(decisions).join(policy_versions, _VERSION_OF_DECISION)


def _with_promotions(connection: Connection, found: Sequence[Decision]) -> tuple[Decision, ...]:
    planned: dict[int, list[int]] = {}
    for batch in in_batches([each.id for each in found]):
        query = (
            select(decision_promotions.c.decision_id, decision_promotions.c.promotion_id)
            .where(decision_promotions.c.decision_id.in_(batch))
            .order_by(decision_promotions.c.promotion_id)
        )
        for decision_id, promotion_id in connection.execute(query):
            planned.setdefault(decision_id, []).append(promotion_id)
    return tuple(replace(each, promotion_ids=tuple(planned.get(each.id, ()))) for each in found)


def _latest(connection: Connection, observation_ids: Collection[int]) -> dict[int, Decision]:
    found: dict[int, Decision] = {}
    for batch in in_batches(observation_ids):
        query = selected().where(decisions.c.observation_id.in_(batch), decisions.c.is_latest)
        found |= {each.observation_id: each for each in read(connection, query)}
    return found


def _is_repeated(before: Decision, new: NewDecision, run: Run) -> bool:
    return (
        before.outcome,
        before.reasons,
        before.policy_hash,
        before.overridden_by,
        before.override_reason,
    ) == (new.outcome, new.reasons, run.policy_hash, new.overridden_by, new.override_reason)


def _ask_again(run: Run, at: datetime) -> Update:
    """Move on the decision ``decision_id``: once a run, however often its task is retried."""
    is_new_run = decisions.c.asked_run_id < run.id
    return (
        update(decisions)
        .where(decisions.c.id == bindparam("decision_id"))
        .values(
            wait_until=bindparam("wait_until"),
            target_tag=bindparam("target_tag"),
            asked_at=case((decisions.c.asked_at < at, at), else_=decisions.c.asked_at),
            times_asked=decisions.c.times_asked + case((is_new_run, 1), else_=0),
            asked_run_id=case((is_new_run, run.id), else_=decisions.c.asked_run_id),
        )
    )
