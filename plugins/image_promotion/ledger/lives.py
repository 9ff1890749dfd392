"""The life of a source tag as one policy saw it: all that the ledger has about it, read together.

A long life is told from its end: the last stays, decisions and promotions, and how many went
before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from image_promotion.ledger import decisions, promotions, rows
from image_promotion.ledger import tables as t
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.marks import (
    LOOK,
    NO_MARKS,
    Look,
    Marks,
    Override,
    read_marks,
    read_overrides,
    with_override,
)
from image_promotion.ledger.records import (
    Decision,
    HistoryEntry,
    Kind,
    Observation,
    Promotion,
    Transition,
)

MOST = 20
"""So many of the last stays, decisions and promotions of a tag are told."""

MOST_STEPS = 40
"""So many of the last steps of a promotion, and looks at it, are told."""


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run that had to do with the tag.

    Args:
        key: What names it outside the ledger.
        kind: How it came about.
        started_by: Who started it by hand; None where nobody did, or nobody knows.
    """

    key: str
    kind: str
    started_by: str | None


@dataclass(frozen=True, slots=True)
class Passage:
    """One promotion, step by step.

    Args:
        promotion: The promotion as it stands.
        steps: Its last steps, the oldest first.
        earlier_steps: How many went before these.
        marks: What else is known of it.
        looks: Its last rechecks, the oldest first.
        earlier_looks: How many went before these.
        asked_until: Until when a run waits for people's answer; None when none does.
    """

    promotion: Promotion
    steps: tuple[Transition, ...]
    earlier_steps: int
    marks: Marks
    looks: tuple[Look, ...]
    earlier_looks: int
    asked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One decision, and the runs that took it.

    Args:
        decision: The decision.
        run_key: The run that decided so first.
        last_run_key: The run that was answered so last.
        override: That it was overridden; None where it was not.
    """

    decision: Decision
    run_key: str
    last_run_key: str
    override: Override | None


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay of the tag at a digest, with what came of it.

    Args:
        observation: The stay.
        is_present: Whether the tag points there still, as far as scans know.
        gone_at: When it was found deleted; None where it was not.
        judgements: The last decisions about it, the oldest first.
        passages: The last promotions of it, the oldest first.
    """

    observation: Observation
    is_present: bool
    gone_at: datetime | None
    judgements: tuple[Judgement, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class TagLife:
    """All that one policy had to do with a tag of its source.

    Args:
        policy: The policy.
        repository: The source repository.
        tag: The tag.
        first_seen_at: When a scan saw it first.
        stays: Its last stays, the oldest first.
        earlier_stays: How many went before these.
        earlier_decisions: How many decisions are not told.
        earlier_promotions: How many promotions are not told.
        rollbacks: Rollbacks of the target tags it was promoted to, which came of other tags' stays.
        runs: The runs that are named, by their keys.
    """

    policy: str
    repository: str
    tag: str
    first_seen_at: datetime
    stays: tuple[Stay, ...]
    earlier_stays: int
    earlier_decisions: int
    earlier_promotions: int
    rollbacks: tuple[Promotion, ...]
    runs: Mapping[str, KnownRun]


class Lives:
    """What the ledger has about single tags; it is at ``Ledger.lives``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(self, policy: str, tag: str) -> tuple[str, ...]:
        """List the repositories in which a policy ever saw a tag.

        Args:
            policy: The policy.
            tag: The source tag.

        Returns:
            The repositories, in their order.
        """
        seen = t.observations
        query = select(seen.c.repository).distinct().where(seen.c.policy == policy)
        with self._database.reading() as connection:
            found = connection.execute(query.where(seen.c.tag == tag)).scalars()
            return tuple(sorted(found))

    def of_tag(self, policy: str, repository: str, tag: str) -> TagLife | None:
        """Tell the life of a tag.

        Args:
            policy: The policy.
            repository: The source repository.
            tag: The source tag.

        Returns:
            Its life; None when the policy never saw it.
        """
        with self._database.reading() as connection:
            return of_tag(connection, policy, repository, tag)

    def marks(self, entries: Sequence[HistoryEntry]) -> tuple[Marks, ...]:
        """Read what sets decisions and promotions apart.

        Args:
            entries: Decisions with what came of them.

        Returns:
            The marks of each, in the order of the entries.
        """
        ids = {each.promotion.id for each in entries if each.promotion}
        with self._database.reading() as connection:
            overridden = read_overrides(connection, {each.decision.id for each in entries})
            found = read_marks(connection, ids)
        return tuple(
            with_override(
                found.get(each.promotion.id, NO_MARKS) if each.promotion else NO_MARKS,
                overridden.get(each.decision.id),
            )
            for each in entries
        )


def of_tag(connection: Connection, policy: str, repository: str, tag: str) -> TagLife | None:
    """Tell the life of a tag; see ``Lives.of_tag``."""
    seen = t.observations
    is_tag = and_(seen.c.policy == policy, seen.c.repository == repository, seen.c.tag == tag)
    number, first_seen_at = connection.execute(
        select(func.count(), func.min(seen.c.first_seen_at)).where(is_tag)
    ).one()
    if not number:
        return None
    stays = _last_stays(connection, is_tag)
    judgements, decided = _judgements(connection, is_tag)
    promoted, planned = _promotions(connection, is_tag)
    passages = _passages(connection, promoted)
    rollbacks = _rollbacks(connection, promoted)
    by_stay: dict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_stay[judgement.decision.observation_id].append(judgement)
    carried: dict[int, list[Passage]] = defaultdict(list)
    for passage in passages:
        carried[passage.promotion.observation_id].append(passage)
    told = tuple(
        Stay(
            observation,
            is_present,
            gone_at,
            tuple(by_stay[observation.id]),
            tuple(carried[observation.id]),
        )
        for observation, is_present, gone_at in stays
    )
    keys = {step.run_key for each in passages for step in each.steps}
    keys |= {key for each in judgements for key in (each.run_key, each.last_run_key)}
    keys |= {each.run_key for each in rollbacks}
    keys |= {word.run_key for each in passages for word in each.marks.words}
    keys |= {look.run_key for each in passages for look in each.looks}
    return TagLife(
        policy=policy,
        repository=repository,
        tag=tag,
        first_seen_at=first_seen_at,
        stays=told,
        earlier_stays=number - len(told),
        earlier_decisions=decided - sum(len(each.judgements) for each in told),
        earlier_promotions=planned - sum(len(each.passages) for each in told),
        rollbacks=rollbacks,
        runs=_runs(connection, keys),
    )


def _last_stays(
    connection: Connection, is_tag: ColumnElement[bool]
) -> list[tuple[Observation, bool, datetime | None]]:
    seen = t.observations
    query = (
        select(*rows.OBSERVATION, seen.c.is_current, seen.c.gone_at)
        .where(is_tag)
        # Those that a rollback made were seen by no scan, and come in at the time they were made.
        .order_by(seen.c.first_seen_at.desc(), seen.c.id.desc())
        .limit(MOST)
    )
    found = [
        (
            rows.observation(row),
            bool(row[seen.c.is_current]) and row[seen.c.gone_at] is None,
            row[seen.c.gone_at],
        )
        for row in connection.execute(query).mappings()
    ]
    return found[::-1]


def _judgements(connection: Connection, is_tag: ColumnElement[bool]) -> tuple[list[Judgement], int]:
    """Return the last decisions about a tag, the oldest first, and how many there are at all."""
    seen = t.observations
    on = seen.c.id == t.decisions.c.observation_id
    number = connection.execute(
        select(func.count()).select_from(t.decisions).join(seen, on).where(is_tag)
    ).scalar_one()
    query = (
        decisions.selected()
        .join(seen, on)
        .where(is_tag)
        .order_by(t.decisions.c.id.desc())
        .limit(MOST)
    )
    found = decisions.read(connection, query)[::-1]
    ids = [each.id for each in found]
    overridden = read_overrides(connection, ids)
    keys = _run_keys(connection, ids)
    return [Judgement(each, *keys[each.id], overridden.get(each.id)) for each in found], number


def _run_keys(connection: Connection, ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """Return the first and the last run of decisions, by their ids."""
    first, last = t.runs.alias(), t.runs.alias()
    query = (
        select(t.decisions.c.id, first.c.key, last.c.key)
        .join(first, first.c.id == t.decisions.c.decided_run_id)
        .join(last, last.c.id == t.decisions.c.asked_run_id)
        .where(t.decisions.c.id.in_(ids))
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def _promotions(connection: Connection, is_tag: ColumnElement[bool]) -> tuple[list[Promotion], int]:
    """Return the last promotions of a tag, the oldest first, and how many there are at all."""
    seen = t.observations
    number = connection.execute(
        select(func.count())
        .select_from(t.promotions)
        .join(seen, seen.c.id == t.promotions.c.observation_id)
        .where(is_tag)
    ).scalar_one()
    query = promotions.selected().where(is_tag).order_by(t.promotions.c.id.desc()).limit(MOST)
    found = [rows.promotion(row) for row in connection.execute(query).mappings()]
    return found[::-1], number


def _rollbacks(connection: Connection, promoted: Sequence[Promotion]) -> tuple[Promotion, ...]:
    """Return the rollbacks of the same target tags that are none of these promotions."""
    if not promoted:
        return ()
    tags = {
        (each.target_registry, each.target_repository, each.target_tag): None for each in promoted
    }
    is_same_tag = or_(
        *(
            and_(
                t.promotions.c.target_registry == registry,
                t.promotions.c.target_repository == repository,
                t.promotions.c.target_tag == tag,
            )
            for registry, repository, tag in tags
        )
    )
    query = (
        promotions.selected()
        .where(
            t.promotions.c.kind == Kind.ROLLBACK,
            t.promotions.c.id.not_in([each.id for each in promoted]),
            is_same_tag,
        )
        .order_by(t.promotions.c.id.desc())
        .limit(MOST)
    )
    found = tuple(rows.promotion(row) for row in connection.execute(query).mappings())
    return found[::-1]


def _passages(connection: Connection, promoted: Sequence[Promotion]) -> list[Passage]:
    marked = read_marks(connection, {each.id for each in promoted})
    overridden = read_overrides(connection, {each.decision_id for each in promoted})
    asked = _asked_until(connection, [each.id for each in promoted])
    passages = []
    for each in promoted:
        steps, earlier_steps = _steps(connection, each.id)
        looks, earlier_looks = _looks(connection, each.id)
        passages.append(
            Passage(
                promotion=each,
                steps=steps,
                earlier_steps=earlier_steps,
                marks=with_override(
                    marked.get(each.id, NO_MARKS), overridden.get(each.decision_id)
                ),
                looks=looks,
                earlier_looks=earlier_looks,
                asked_until=asked.get(each.id),
            )
        )
    return passages


def _steps(connection: Connection, promotion_id: int) -> tuple[tuple[Transition, ...], int]:
    is_its = t.transitions.c.promotion_id == promotion_id
    number = connection.execute(
        select(func.count()).select_from(t.transitions).where(is_its)
    ).scalar_one()
    query = (
        select(*rows.TRANSITION).where(is_its).order_by(t.transitions.c.id.desc()).limit(MOST_STEPS)
    )
    found = tuple(rows.transition(row) for row in connection.execute(query).mappings())
    return found[::-1], number - len(found)


def _looks(connection: Connection, promotion_id: int) -> tuple[tuple[Look, ...], int]:
    is_its = t.rechecks.c.promotion_id == promotion_id
    number = connection.execute(
        select(func.count()).select_from(t.rechecks).where(is_its)
    ).scalar_one()
    query = select(*LOOK).where(is_its).order_by(t.rechecks.c.id.desc()).limit(MOST_STEPS)
    found = tuple(Look(*row) for row in connection.execute(query))
    return found[::-1], number - len(found)


def _asked_until(connection: Connection, ids: Collection[int]) -> dict[int, datetime]:
    requests = t.approval_requests
    query = (
        select(requests.c.promotion_id, func.max(requests.c.expires_at))
        .where(requests.c.promotion_id.in_(ids), requests.c.closed_at.is_(None))
        .group_by(requests.c.promotion_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _runs(connection: Connection, keys: Collection[str]) -> dict[str, KnownRun]:
    found: dict[str, KnownRun] = {}
    for batch in in_batches(keys):
        query = select(t.runs.c.key, t.runs.c.kind, t.runs.c.started_by).where(
            t.runs.c.key.in_(batch)
        )
        for row in connection.execute(query):
            found[row[0]] = KnownRun(*row)
    return found
