"""What is to be decided and what was, as functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
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
    NewDecision,
    Outcome,
    Run,
    State,
)
from image_promotion.ledger.tables import decisions, observations, policy_versions, promotions

# The promotion planned for a decision is that of its observation to its target.
_PROMOTION_OF_DECISION = and_(
    promotions.c.observation_id == decisions.c.observation_id,
    promotions.c.target_key == decisions.c.target_key,
)
_VERSION_OF_DECISION = policy_versions.c.id == decisions.c.policy_version_id


def candidates(
    connection: Connection, run: Run, *, decide_again: bool, tags: Collection[str] | None
) -> tuple[Candidate, ...]:
    """List what a run has to decide; see ``Ledger.candidates``."""
    is_open = or_(
        decisions.c.id.is_(None),
        policy_versions.c.hash != run.policy_hash,
        decisions.c.outcome.in_((Outcome.WAIT, Outcome.CONFLICT)),
        and_(
            decisions.c.outcome == Outcome.PROMOTE,
            or_(promotions.c.id.is_(None), promotions.c.state.not_in(FINAL)),
        ),
    )
    if decide_again:
        is_open = or_(is_open, promotions.c.id.is_(None), promotions.c.state != State.VERIFIED)
    rank = case((decisions.c.id.is_(None), 0), (promotions.c.state == State.FAILED, 2), else_=1)
    query = (
        select(*rows.OBSERVATION, *rows.DECISION)
        .select_from(observations)
        .outerjoin(
            decisions,
            and_(decisions.c.observation_id == observations.c.id, decisions.c.is_latest),
        )
        .outerjoin(policy_versions, _VERSION_OF_DECISION)
        .outerjoin(promotions, _PROMOTION_OF_DECISION)
        .where(
            observations.c.policy == run.policy,
            observations.c.is_current,
            observations.c.gone_at.is_(None),
            # Runs are numbered upwards; what a later run saw in the meantime is seen.
            observations.c.last_run_id >= run.id,
            is_open,
        )
        .order_by(rank, decisions.c.asked_at, observations.c.id)
    )
    wanted = None if tags is None else frozenset(tags)
    return tuple(
        Candidate(
            observation=rows.observation(row),
            last=None if row[decisions.c.id] is None else rows.decision(row),
        )
        for row in connection.execute(query).mappings()
        if wanted is None or row[observations.c.tag] in wanted
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
                    if before.promotion_id is None
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
    query = (
        selected()
        .join(observations, observations.c.id == decisions.c.observation_id)
        .where(
            observations.c.policy == run.policy,
            decisions.c.decided_run_id <= run.id,
            decisions.c.asked_run_id >= run.id,
        )
        .order_by(decisions.c.id)
    )
    return tuple(rows.decision(row) for row in connection.execute(query).mappings())


def selected() -> Select[*tuple[Any, ...]]:
    """Select decisions, with all that makes a record of them."""
    return (
        select(*rows.DECISION)
        .select_from(decisions)
        .join(policy_versions, _VERSION_OF_DECISION)
        .outerjoin(promotions, _PROMOTION_OF_DECISION)
    )


def _latest(connection: Connection, observation_ids: Collection[int]) -> dict[int, Decision]:
    found: dict[int, Decision] = {}
    for batch in in_batches(observation_ids):
        query = selected().where(decisions.c.observation_id.in_(batch), decisions.c.is_latest)
        for row in connection.execute(query).mappings():
            found[row[decisions.c.observation_id]] = rows.decision(row)
    return found


def _is_repeated(before: Decision, new: NewDecision, run: Run) -> bool:
    return (before.outcome, before.reasons, before.policy_hash) == (
        new.outcome,
        new.reasons,
        run.policy_hash,
    )


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
