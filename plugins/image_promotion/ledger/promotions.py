"""The passage of each candidate to its target, as functions over a connection.

Every change of state reads the promotion with a lock on its row, asks ``lifecycle``, and writes the
new state and a transition together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from image_promotion.errors import LedgerError, Subject
from image_promotion.ledger import rows, runs, verdicts
from image_promotion.ledger.database import in_batches, insert_if_absent
from image_promotion.ledger.lifecycle import (
    FAILABLE,
    FINAL,
    PREDECESSORS,
    REVIVABLE,
    SUPERSEDABLE,
    UNFINISHED,
    has_reached,
)
from image_promotion.ledger.records import (
    Kind,
    NewPromotion,
    Promotion,
    Run,
    State,
    Step,
    TransferFigures,
    Transition,
)
from image_promotion.ledger.tables import (
    decision_promotions,
    decisions,
    observations,
    policy_versions,
    promotions,
    run_promotions,
    transitions,
)
from image_promotion.ledger.tables import runs as runs_table

_Key = tuple[int, str]
"""An observation's id and a target key: there is one promotion of each."""


def plan(
    connection: Connection,
    run: Run,
    new_promotions: Sequence[NewPromotion],
    at: datetime,
    *,
    rejected_too: bool = False,
) -> tuple[Promotion, ...]:
    """Plan promotions; see ``Ledger.plan``."""
    runs.lock_policy(connection, run.policy)
    wanted = {(new.observation_id, new.target_key): new for new in new_promotions}
    found = by_key(connection, wanted)
    insert_if_absent(
        connection,
        promotions,
        [
            {**asdict(new), "run_id": run.id, "state": State.PLANNED, "planned_at": at}
            for key, new in wanted.items()
            if key not in found
        ],
    )
    _repeat_observations(connection)
    rejected: frozenset[int] = frozenset()
    if rejected_too:
        given_up = [each.id for each in found.values() if each.state is REVIVABLE]
        rejected = verdicts.rejected(connection, given_up)
    for key, before in found.items():
        if before.state is State.FAILED or before.id in rejected:
            _plan_anew(connection, run, before, wanted[key], at)
    planned = by_key(connection, wanted)
    first_steps = [
        _step(planned[key].id, None, State.PLANNED, at=at, run_key=run.key)
        for key in wanted
        if key not in found
    ]
    if first_steps:
        connection.execute(insert(transitions), first_steps)
    if wanted:
        connection.execute(
            update(decisions)
            .where(decisions.c.id == bindparam("decided"))
            .values(target_key=bindparam("planned_for")),
            [
                {"decided": new.decision_id, "planned_for": new.target_key}
                for new in wanted.values()
            ],
        )
    insert_if_absent(
        connection,
        decision_promotions,
        [
            {"decision_id": new.decision_id, "promotion_id": planned[key].id}
            for key, new in wanted.items()
        ],
    )
    insert_if_absent(
        connection,
        run_promotions,
        [{"run_id": run.id, "promotion_id": promotion.id} for promotion in planned.values()],
    )
    return tuple(planned[key] for key in wanted)


def _repeat_observations(connection: Connection) -> None:
    """Write down beside each new promotion what it is of: its indexes go by that.

    Also beside those that a process of an earlier version planned in the meantime.
    """
    seen = observations

    def of_observation(column: Column[str]) -> ScalarSelect[str]:
        return select(column).where(seen.c.id == promotions.c.observation_id).scalar_subquery()

    connection.execute(
        update(promotions)
        .where(promotions.c.policy.is_(None))
        .values(
            policy=of_observation(seen.c.policy),
            source_repository=of_observation(seen.c.repository),
            source_tag=of_observation(seen.c.tag),
        )
    )


def _plan_anew(
    connection: Connection, run: Run, before: Promotion, new: NewPromotion, at: datetime
) -> None:
    """Send a failed or rejected promotion from its start again, as the present policy has it."""
    _move(
        connection,
        before,
        State.PLANNED,
        at=at,
        run_key=run.key,
        detail="planned anew",
        run_id=run.id,
        decision_id=new.decision_id,
        source_connection=new.source_connection,
        target_connection=new.target_connection,
        existing_tag=new.existing_tag,
        target_digest=new.target_digest,
        planned_at=at,
    )


def advance(
    connection: Connection,
    promotion_id: int,
    to: State,
    *,
    at: datetime,
    run_key: str,
    detail: str,
    transfer: TransferFigures | None,
) -> Promotion:
    """Move a promotion one step on; see ``Ledger.advance``."""
    step = Step(promotion_id, to, at, run_key, detail, transfer)
    for refusal in advance_all(connection, [step]).values():
        raise refusal
    return read(connection, promotion_id)


def advance_all(connection: Connection, steps: Sequence[Step]) -> Mapping[int, LedgerError]:
    """Move many promotions one step on; see ``Ledger.advance_all``."""
    refused: dict[int, LedgerError] = {}
    found = _locked_all(connection, [step.promotion_id for step in steps])
    by_column: dict[tuple[str, ...], list[dict[str, object]]] = {}
    taken: list[dict[str, object]] = []
    for step in steps:
        promotion = found.get(step.promotion_id)
        if promotion is None:
            raise _unknown(step.promotion_id)
        if has_reached(promotion.state, step.to):
            continue
        if promotion.state is not PREDECESSORS.get(step.to):
            refused[promotion.id] = _illegal(promotion, step.to)
            continue
        changes: dict[str, object] = {f"{step.to.value}_at": step.at, "state": step.to}
        changes["ended_at"] = step.at if step.to in FINAL else None
        if step.transfer is not None:
            changes |= asdict(step.transfer)
        row = {"moved": promotion.id} | {f"new_{name}": each for name, each in changes.items()}
        by_column.setdefault(tuple(changes), []).append(row)
        taken.append(
            _step(
                promotion.id,
                promotion.state,
                step.to,
                at=step.at,
                run_key=step.run_key,
                detail=step.detail,
            )
        )
    for columns, rows_of_them in by_column.items():
        values: dict[str, object] = {name: bindparam(f"new_{name}") for name in columns}
        connection.execute(
            update(promotions)
            .where(promotions.c.id == bindparam("moved"))
            .values({"failed_in": None, "error": ""} | values),
            rows_of_them,
        )
    if taken:
        connection.execute(insert(transitions), taken)
    return refused


def read_all(connection: Connection, promotion_ids: Collection[int]) -> tuple[Promotion, ...]:
    """Read promotions; see ``Ledger.promotions``."""
    found: dict[int, Promotion] = {}
    for batch in in_batches(frozenset(promotion_ids)):
        query = selected().where(promotions.c.id.in_(batch))
        found |= {row.id: row for row in map(rows.promotion, connection.execute(query).mappings())}
    for promotion_id in promotion_ids:
        if promotion_id not in found:
            raise _unknown(promotion_id)
    return tuple(found[promotion_id] for promotion_id in promotion_ids)


def read_locked(connection: Connection, promotion_ids: Collection[int]) -> tuple[Promotion, ...]:
    """Read promotions, and keep others from changing them until this transaction ends."""
    found = _locked_all(connection, promotion_ids)
    return tuple(found[each] for each in promotion_ids if each in found)


def _locked_all(connection: Connection, promotion_ids: Collection[int]) -> dict[int, Promotion]:
    found: dict[int, Promotion] = {}
    for batch in in_batches(frozenset(promotion_ids)):
        query = (
            selected()
            .where(promotions.c.id.in_(batch))
            .order_by(promotions.c.id)  # all take their locks in one order
            .with_for_update(of=promotions, key_share=True)
        )
        found |= {row.id: row for row in map(rows.promotion, connection.execute(query).mappings())}
    return found


def fail(
    connection: Connection, promotion_id: int, *, error: str, at: datetime, run_key: str
) -> Promotion:
    """Note a failure; see ``Ledger.fail``."""
    promotion = _locked(connection, promotion_id)
    if promotion.state not in FAILABLE:
        return promotion
    _move(
        connection,
        promotion,
        State.FAILED,
        at=at,
        run_key=run_key,
        detail=error,
        failed_in=promotion.state,
        error=error,
    )
    return read(connection, promotion_id)


def resume(connection: Connection, promotion_id: int, *, at: datetime, run_key: str) -> Promotion:
    """Take back a failure; see ``Ledger.resume``."""
    promotion = _locked(connection, promotion_id)
    if promotion.failed_in is None:
        return promotion
    _move(connection, promotion, promotion.failed_in, at=at, run_key=run_key, detail="tried again")
    return read(connection, promotion_id)


def supersede(
    connection: Connection, promotion_id: int, *, reason: str, at: datetime, run_key: str
) -> Promotion:
    """Give a promotion up; see ``Ledger.supersede``."""
    promotion = _locked(connection, promotion_id)
    if promotion.state is State.SUPERSEDED:
        return promotion
    if promotion.state not in SUPERSEDABLE:
        raise _illegal(promotion, State.SUPERSEDED)
    _move(connection, promotion, State.SUPERSEDED, at=at, run_key=run_key, detail=reason)
    return read(connection, promotion_id)


def supersede_stale(
    connection: Connection, run: Run, at: datetime, *, moved_on: str = "the source tag moved on"
) -> None:
    """Give up what is under way for stays that ended, in all of the run's policy.

    Not what failed when its tag was to be set: a registry may have done what it did not answer, and
    a tag that can be seen has to stand in the ledger; see ``uncertain``.

    Args:
        connection: A writing connection.
        run: The run that found out.
        at: Now.
        moved_on: Why stays ended whose tag is there still.
    """
    query = (
        selected()
        .where(
            observations.c.policy == run.policy,
            promotions.c.state.in_(SUPERSEDABLE),
            ~_may_be_tagged(),
            # What a tag is set back to has mostly left its source tag long ago.
            or_(promotions.c.kind.is_(None), promotions.c.kind != Kind.ROLLBACK),
            or_(observations.c.is_current.is_(False), observations.c.gone_at.is_not(None)),
        )
        .order_by(promotions.c.id)
        .with_for_update(of=promotions, key_share=True)
        .add_columns(observations.c.is_current)
    )
    for row in connection.execute(query).mappings().all():
        why = "the source tag is gone" if row[observations.c.is_current] else moved_on
        _move(
            connection,
            rows.promotion(row),
            State.SUPERSEDED,
            at=at,
            run_key=run.key,
            detail=why,
        )


def uncertain(connection: Connection, policy: str) -> tuple[Promotion, ...]:
    """List what may be tagged although it failed, of stays that ended; see ``Ledger.uncertain``."""
    query = (
        selected()
        .where(
            observations.c.policy == policy,
            _may_be_tagged(),
            or_(promotions.c.kind.is_(None), promotions.c.kind != Kind.ROLLBACK),
            or_(observations.c.is_current.is_(False), observations.c.gone_at.is_not(None)),
        )
        .order_by(promotions.c.id)
    )
    return tuple(rows.promotion(row) for row in connection.execute(query).mappings())


def _may_be_tagged() -> ColumnElement[bool]:
    """Say that a promotion failed between its copy and its tag."""
    return and_(
        promotions.c.state == State.FAILED,
        func.coalesce(promotions.c.failed_in, State.PLANNED) == State.COPIED,
    )


def read(connection: Connection, promotion_id: int) -> Promotion:
    """Read a promotion; see ``Ledger.promotion``."""
    return _one(connection, selected(), promotion_id)


def of_run(connection: Connection, run: Run) -> tuple[Promotion, ...]:
    """List what a run planned; see ``Ledger.run_promotions``."""
    query = (
        selected()
        .join(run_promotions, run_promotions.c.promotion_id == promotions.c.id)
        .where(run_promotions.c.run_id == run.id)
        .order_by(promotions.c.id)
    )
    return tuple(rows.promotion(row) for row in connection.execute(query).mappings())


def tag_claims(
    connection: Connection,
    target_connection_or_registry: str,
    repository: str,
    tags: Collection[str],
) -> Mapping[str, tuple[Promotion, ...]]:
    """Find who claims target tags; see ``Ledger.tag_claims``."""
    claims: dict[str, tuple[Promotion, ...]] = {}
    for batch in in_batches(frozenset(tags)):
        query = (
            selected()
            .where(
                or_(
                    promotions.c.target_connection == target_connection_or_registry,
                    promotions.c.target_registry == target_connection_or_registry,
                ),
                promotions.c.target_repository == repository,
                promotions.c.target_tag.in_(batch),
                promotions.c.state.in_(UNFINISHED),
                or_(
                    and_(
                        or_(promotions.c.kind.is_(None), promotions.c.kind != Kind.ROLLBACK),
                        observations.c.is_current,
                        observations.c.gone_at.is_(None),
                    ),
                    # One that failed is tried again by a person, if at all.
                    and_(promotions.c.kind == Kind.ROLLBACK, promotions.c.state != State.FAILED),
                ),
            )
            .order_by(promotions.c.id)
        )
        for row in connection.execute(query).mappings():
            promotion = rows.promotion(row)
            claims[promotion.target_tag] = (*claims.get(promotion.target_tag, ()), promotion)
    return claims


def steps(connection: Connection, promotion_id: int) -> tuple[Transition, ...]:
    """List the steps of a promotion's life; see ``Ledger.transitions``."""
    query = (
        select(*rows.TRANSITION)
        .where(transitions.c.promotion_id == promotion_id)
        .order_by(transitions.c.id)
    )
    return tuple(rows.transition(row) for row in connection.execute(query).mappings())


def selected() -> Select[*tuple[Any, ...]]:
    """Select promotions, with all that makes a record of them."""
    return (
        select(*rows.PROMOTION)
        .select_from(promotions)
        .join(observations, observations.c.id == promotions.c.observation_id)
        .join(decisions, decisions.c.id == promotions.c.decision_id)
        .join(policy_versions, policy_versions.c.id == decisions.c.policy_version_id)
        .join(runs_table, runs_table.c.id == promotions.c.run_id)
    )


def by_key(connection: Connection, keys: Collection[_Key]) -> dict[_Key, Promotion]:
    """Find the promotions of observations to targets, by the observation's id and the target key.

    Args:
        connection: Any connection.
        keys: Observations' ids, each with a target key.

    Returns:
        Those there are, by these keys.
    """
    found: dict[_Key, Promotion] = {}
    for batch in in_batches({observation_id for observation_id, _ in keys}):
        query = selected().where(promotions.c.observation_id.in_(batch))
        for row in connection.execute(query).mappings():
            promotion = rows.promotion(row)
            found[promotion.observation_id, promotion.target_key] = promotion
    return {key: found[key] for key in keys if key in found}


def _locked(connection: Connection, promotion_id: int) -> Promotion:
    """Read a promotion, and keep others from changing it until this transaction ends."""
    query = selected().with_for_update(of=promotions, key_share=True)
    return _one(connection, query, promotion_id)


def _one(connection: Connection, query: Select[*tuple[Any, ...]], promotion_id: int) -> Promotion:
    row = connection.execute(query.where(promotions.c.id == promotion_id)).mappings().one_or_none()
    if row is None:
        raise _unknown(promotion_id)
    return rows.promotion(row)


def _unknown(promotion_id: int) -> LedgerError:
    return LedgerError(
        f"the ledger has no promotion {promotion_id}",
        advice="Look it up in the history; is this the ledger it was planned in?",
    )


def _move(
    connection: Connection,
    promotion: Promotion,
    to: State,
    *,
    at: datetime,
    run_key: str,
    detail: str,
    **changes: object,
) -> None:
    """Write a new state, what goes with it, and the transition; the caller asked ``lifecycle``."""
    ended_at = at if to in FINAL or to is State.FAILED else None
    values = {"failed_in": None, "error": "", "ended_at": ended_at, "state": to} | changes
    connection.execute(
        update(promotions)
        .where(and_(promotions.c.id == promotion.id, promotions.c.state == promotion.state))
        .values(values)
    )
    connection.execute(
        insert(transitions),
        [_step(promotion.id, promotion.state, to, at=at, run_key=run_key, detail=detail)],
    )


def _step(
    promotion_id: int,
    from_state: State | None,
    to_state: State,
    *,
    at: datetime,
    run_key: str,
    detail: str = "",
) -> dict[str, object]:
    return {
        "promotion_id": promotion_id,
        "from_state": from_state,
        "to_state": to_state,
        "at": at,
        "run_key": run_key,
        "detail": detail,
    }


def _illegal(promotion: Promotion, to: State) -> LedgerError:
    advice = {
        State.FAILED: "Resume it first.",
        State.SUPERSEDED: "The source tag moved on; the next scan sees where to.",
    }.get(promotion.state, "Run the steps between first, in their order.")
    if to is State.SUPERSEDED:
        advice = "Its target tag is set; it can only be verified, or fail."
    return LedgerError(
        f"promotion {promotion.id} is {promotion.state} and cannot become {to}",
        subject=Subject(
            promotion.target_registry,
            promotion.target_repository,
            promotion.target_tag,
            promotion.target_digest,
        ),
        advice=advice,
    )
