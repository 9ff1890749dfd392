"""Second thoughts about what is promoted: when an image was looked at again, and what came of it.

A look that only repeats the last one about its promotion is the same row. Only what a target tag
still holds by the ledger's knowledge is looked at: the last promotion of a tag, by any policy, when
it is verified, was not undone and was not taken away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from image_promotion.ledger import promotions, rows, runs
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.records import Kind, Outcome, Promotion, Reason, Run, State
from image_promotion.ledger.tables import (
    decisions,
    observations,
    policy_versions,
    rechecks,
    removals,
)
from image_promotion.ledger.tables import promotions as table
from image_promotion.ledger.tables import runs as runs_table
from image_promotion.ledger.withdrawals import is_rolled_back

_DEFINITE = (Outcome.PROMOTE, Outcome.REJECT)
"""What says yes or no; the others say that nobody knows, and leave the last yes or no as it is."""


@dataclass(frozen=True, slots=True)
class NewRecheck:
    """A look to be recorded.

    Args:
        promotion_id: The promotion that was looked at.
        outcome: ``promote`` when it would be promoted today; ``reject`` when it would not;
            ``wait`` when that is not known; ``conflict`` when its target tag holds something else.
        reasons: One reason per trigger that was asked.
    """

    promotion_id: int
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Recheck:
    """A look at a promotion, as it is recorded.

    Args:
        id: Its number in the ledger.
        promotion: The promotion that was looked at.
        policy_hash: The version of the policy that was asked.
        outcome: As in NewRecheck.
        reasons: As in NewRecheck.
        first_at: When this was found first.
        last_at: When it was found last.
        run_key: The run that found it last.
    """

    id: int
    promotion: Promotion
    policy_hash: str
    outcome: Outcome
    reasons: tuple[Reason, ...]
    first_at: datetime
    last_at: datetime
    run_key: str


class Rechecks:
    """What the ledger knows of second thoughts; it is at ``Ledger.rechecks``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, policy: str, *, before: datetime, limit: int) -> tuple[Promotion, ...]:
        """List the promotions whose last look is older than a moment.

        The first look at a promotion is its decision. One that a person let through although a
        trigger did not hold is not looked at: what the triggers say of it is known.

        Args:
            policy: The policy that promoted them.
            before: The moment.
            limit: At most so many.

        Returns:
            The promotions, those looked at longest ago first.
        """
        with self._database.reading() as connection:
            return due(connection, policy, before=before, limit=limit)

    def record(self, run: Run, looks: Sequence[NewRecheck], at: datetime) -> tuple[Recheck, ...]:
        """Record looks.

        Args:
            run: The run that looked, of the version of the policy that was asked.
            looks: What it found, once for each promotion.
            at: Now.

        Returns:
            The recorded looks, in the order given.
        """
        with self._database.writing() as connection:
            return record(connection, run, looks, at)

    def of_run(self, run_key: str) -> tuple[Recheck, ...]:
        """List the looks that a run had last.

        Args:
            run_key: The run's key.

        Returns:
            The looks, by promotion.
        """
        with self._database.reading() as connection:
            query = _latest().where(rechecks.c.run_key == run_key)
            return _read(connection, query.order_by(rechecks.c.promotion_id))

    def failing(self, policy: str) -> tuple[Recheck, ...]:
        """List what a policy promoted, is still under its target tag, and would not go there today.

        Args:
            policy: The policy.

        Returns:
            For each such promotion the look that said so, by promotion.
        """
        with self._database.reading() as connection:
            return failing(connection, policy)

    def failed_digests(
        self, registry: str, repository: str, digests: Collection[str]
    ) -> Mapping[str, Recheck]:
        """Find images that are not to go on from a repository, since they would not come there now.

        An image has failed when the last look that said yes or no said no, and no promotion of it
        to the repository, by the same policy, was verified since. It stays so when its tag is taken
        away from it, and until a look says yes.

        Args:
            registry: The registry that they were promoted to, as promotions name it.
            repository: The repository that they were promoted to.
            digests: Digests as they are there.

        Returns:
            The look that says so, for each of the digests that failed.
        """
        with self._database.reading() as connection:
            return failed_digests(connection, registry, repository, digests)

    def unfinished_rollbacks(self, policy: str, *, started_by: str) -> tuple[Promotion, ...]:
        """List rollbacks that somebody began and that neither got through nor failed.

        Args:
            policy: The policy.
            started_by: Who began them.

        Returns:
            The rollbacks, by promotion.
        """
        with self._database.reading() as connection:
            return unfinished_rollbacks(connection, policy, started_by=started_by)

    def episodes(self, looks: Collection[Recheck]) -> Mapping[int, str]:
        """Name what is one failure although reasons come and go, so that it is told once.

        Args:
            looks: Looks that failed.

        Returns:
            A name for each promotion: the same one until a look at it has said yes.
        """
        with self._database.reading() as connection:
            return episodes(connection, looks)


def unfinished_rollbacks(
    connection: Connection, policy: str, *, started_by: str
) -> tuple[Promotion, ...]:
    """List rollbacks that are under way; see ``Rechecks.unfinished_rollbacks``."""
    query = (
        promotions.selected()
        .where(
            observations.c.policy == policy,
            table.c.kind == Kind.ROLLBACK,
            table.c.state.in_((State.PLANNED, State.COPIED, State.TAGGED)),
            runs_table.c.started_by == started_by,
        )
        .order_by(table.c.id)
    )
    return tuple(map(rows.promotion, connection.execute(query).mappings()))


def due(
    connection: Connection, policy: str, *, before: datetime, limit: int
) -> tuple[Promotion, ...]:
    """List the promotions to look at; see ``Rechecks.due``."""
    last = rechecks.alias()
    looked_at = func.coalesce(last.c.last_at, table.c.verified_at)
    query = (
        promotions.selected()
        .outerjoin(last, and_(last.c.promotion_id == table.c.id, last.c.is_latest))
        .where(
            observations.c.policy == policy,
            _is_in_place(),
            decisions.c.overridden_by.is_(None),
            looked_at < before,
        )
        .order_by(looked_at, table.c.id)
        .limit(limit)
    )
    return tuple(map(rows.promotion, connection.execute(query).mappings()))


def record(
    connection: Connection, run: Run, looks: Sequence[NewRecheck], at: datetime
) -> tuple[Recheck, ...]:
    """Record looks; see ``Rechecks.record``."""
    runs.lock_policy(connection, run.policy)
    ids = [look.promotion_id for look in looks]
    before = _latest_of(connection, ids)
    repeated, replaced, new = [], [], []
    version_id = runs.version_id(connection, run)
    for look in looks:
        last = before.get(look.promotion_id)
        if last is not None and (last.outcome, last.reasons, last.policy_hash) == (
            look.outcome,
            look.reasons,
            run.policy_hash,
        ):
            repeated.append(last.id)
            continue
        if last is not None:
            replaced.append(last.id)
        new.append(
            {
                "promotion_id": look.promotion_id,
                "run_key": run.key,
                "policy_version_id": version_id,
                "outcome": look.outcome,
                "reasons": look.reasons,
                "first_at": at,
                "last_at": at,
                "is_latest": True,
            }
        )
    for batch in in_batches(repeated):
        connection.execute(
            update(rechecks).where(rechecks.c.id.in_(batch)).values(last_at=at, run_key=run.key)
        )
    for batch in in_batches(replaced):
        connection.execute(update(rechecks).where(rechecks.c.id.in_(batch)).values(is_latest=False))
    if new:
        connection.execute(insert(rechecks), new)
    recorded = _latest_of(connection, ids)
    return tuple(recorded[each] for each in ids)


def failing(connection: Connection, policy: str) -> tuple[Recheck, ...]:
    """List what would not be promoted today; see ``Rechecks.failing``."""
    query = (
        _selected()
        .where(observations.c.policy == policy, _is_in_place(), _is_last_word())
        .where(rechecks.c.outcome == Outcome.REJECT)
        .order_by(rechecks.c.promotion_id)
    )
    return _read(connection, query)


def failed_digests(
    connection: Connection, registry: str, repository: str, digests: Collection[str]
) -> Mapping[str, Recheck]:
    """Find images that failed; see ``Rechecks.failed_digests``."""
    found: dict[tuple[str, str], Recheck] = {}
    for batch in in_batches(frozenset(digests)):
        there = and_(
            table.c.target_registry == registry,
            table.c.target_repository == repository,
            table.c.target_digest.in_(batch),
        )
        said = _selected().where(there, _is_last_word()).order_by(rechecks.c.last_at, rechecks.c.id)
        found |= {
            (each.promotion.policy, each.promotion.target_digest): each
            for each in _read(connection, said)
        }
        since = promotions.selected().where(there, table.c.state == State.VERIFIED)
        for row in connection.execute(since).mappings():
            promotion = rows.promotion(row)
            look = found.get((promotion.policy, promotion.target_digest))
            if look and promotion.verified_at and promotion.verified_at > look.last_at:
                del found[promotion.policy, promotion.target_digest]
    return {digest: look for (_, digest), look in found.items() if look.outcome is Outcome.REJECT}


def episodes(connection: Connection, looks: Collection[Recheck]) -> Mapping[int, str]:
    """Name failures; see ``Rechecks.episodes``."""
    passed: dict[int, int] = {}
    for batch in in_batches({look.promotion.id for look in looks}):
        query = (
            select(rechecks.c.promotion_id, func.max(rechecks.c.id).label("last"))
            .where(rechecks.c.promotion_id.in_(batch), rechecks.c.outcome == Outcome.PROMOTE)
            .group_by(rechecks.c.promotion_id)
        )
        passed |= {row.promotion_id: row.last for row in connection.execute(query)}
    return {
        look.promotion.id: f"{look.promotion.id}/{passed.get(look.promotion.id, 0)}"
        for look in looks
    }


def _is_in_place() -> ColumnElement[bool]:
    """Say that a promotion is the last one of its target tag, and what it set is there."""
    later = table.alias()
    return and_(
        table.c.state == State.VERIFIED,
        ~exists().where(
            later.c.target_registry == table.c.target_registry,
            later.c.target_repository == table.c.target_repository,
            later.c.target_tag == table.c.target_tag,
            later.c.tagged_at.is_not(None),
            or_(
                later.c.tagged_at > table.c.tagged_at,
                and_(later.c.tagged_at == table.c.tagged_at, later.c.id > table.c.id),
            ),
        ),
        ~exists().where(removals.c.promotion_id == table.c.id),
        ~is_rolled_back(table),
    )


def _is_last_word() -> ColumnElement[bool]:
    """Say that a look is the last one at its promotion that said yes or no."""
    later = rechecks.alias()
    return and_(
        rechecks.c.outcome.in_(_DEFINITE),
        ~exists().where(
            later.c.promotion_id == rechecks.c.promotion_id,
            later.c.outcome.in_(_DEFINITE),
            later.c.id > rechecks.c.id,
        ),
    )


_LOOK = (
    rechecks.c.id,
    rechecks.c.promotion_id,
    rechecks.c.outcome,
    rechecks.c.reasons,
    rechecks.c.first_at,
    rechecks.c.last_at,
    rechecks.c.run_key,
)


def _selected() -> Select[*tuple[Any, ...]]:
    """Select looks with their promotions' ids; what a promotion is, is read afterwards."""
    return (
        select(*_LOOK, policy_versions.c.hash.label("policy_hash"))
        .select_from(rechecks)
        .join(policy_versions, policy_versions.c.id == rechecks.c.policy_version_id)
        .join(table, table.c.id == rechecks.c.promotion_id)
        .join(observations, observations.c.id == table.c.observation_id)
    )


def _latest() -> Select[*tuple[Any, ...]]:
    return _selected().where(rechecks.c.is_latest)


def _latest_of(connection: Connection, promotion_ids: Collection[int]) -> dict[int, Recheck]:
    found: dict[int, Recheck] = {}
    for batch in in_batches(frozenset(promotion_ids)):
        looks = _read(connection, _latest().where(rechecks.c.promotion_id.in_(batch)))
        found |= {look.promotion.id: look for look in looks}
    return found


def _read(connection: Connection, query: Select[*tuple[Any, ...]]) -> tuple[Recheck, ...]:
    found = connection.execute(query).all()
    ids = list(dict.fromkeys(row.promotion_id for row in found))
    by_id = {each.id: each for each in promotions.read_all(connection, ids)}
    return tuple(
        Recheck(
            id=row.id,
            promotion=by_id[row.promotion_id],
            policy_hash=row.policy_hash,
            outcome=row.outcome,
            reasons=row.reasons,
            first_at=row.first_at,
            last_at=row.last_at,
            run_key=row.run_key,
        )
        for row in found
    )
