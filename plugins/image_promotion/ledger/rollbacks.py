"""Target tags that are set back: what they held, what is withdrawn, and the rollbacks themselves.

A rollback is a promotion of its own kind. It is planned under a key of its own, so that it stands
beside the promotion that brought the image the first time, and under a decision of its own, which
is never the last one about its image: what a scan decides is another matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from image_promotion.ledger import promotions, runs, withdrawals
from image_promotion.ledger.database import Database, insert_if_absent
from image_promotion.ledger.lifecycle import SUPERSEDABLE, UNFINISHED
from image_promotion.ledger.records import (
    Kind,
    NewPromotion,
    Outcome,
    Promotion,
    Reason,
    Run,
    State,
)
from image_promotion.ledger.rows import promotion as record_of
from image_promotion.ledger.tables import decisions, observations, run_promotions
from image_promotion.ledger.tables import promotions as table

EXISTING_TAG = "overwrite"
"""What a rollback does to the target tag, once it has seen that the tag holds what it must."""

_UNDER_WAY_OR_DONE = (State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED)


@dataclass(frozen=True, slots=True)
class NewRollback:
    """A rollback to be planned.

    Args:
        source_repository: Where the image came from the first time.
        source_tag: The tag it had there.
        digest: What that tag pointed at.
        source_connection: As in NewPromotion.
        source_registry: As in NewPromotion.
        target_connection: As in NewPromotion.
        target_registry: As in NewPromotion.
        target_repository: As in NewPromotion.
        target_tag: The tag that is set back.
        target_digest: What it is set back to.
        former_digest: What it must hold just before; None for a free tag.
        reason: Who wants it, and why.
    """

    source_repository: str
    source_tag: str
    digest: str
    source_connection: str
    source_registry: str
    target_connection: str
    target_registry: str
    target_repository: str
    target_tag: str
    target_digest: str
    former_digest: str | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A repository that held an image once, as far as the ledger knows."""

    connection_id: str
    registry: str
    repository: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository} (connection {self.connection_id})"


class Rollbacks:
    """What the ledger knows of target tags that are set back; it is at ``Ledger.rollbacks``.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, run: Run, new: NewRollback, at: datetime) -> Promotion:
        """Plan a rollback; a run has one, so that planning it again finds it.

        What is under way to the same tag with the image that is to go, and earlier rollbacks of the
        tag that did not get through, are superseded.

        Args:
            run: The run that plans, of the policy whose tag it is.
            new: What to plan.
            at: Now.

        Returns:
            The promotion, of kind rollback.
        """
        with self._database.writing() as connection:
            return plan(connection, run, new, at)

    def tag_history(self, registry: str, repository: str, tag: str) -> tuple[Promotion, ...]:
        """List what set a target tag, of every policy and rollbacks among it.

        Args:
            registry: The target registry, as promotions name it.
            repository: The target repository.
            tag: The target tag.

        Returns:
            The promotions that set it, the first first.
        """
        with self._database.reading() as connection:
            return tag_history(connection, registry, repository, tag)

    def tags_set(self, policy: str, tag: str) -> tuple[KnownPlace, ...]:
        """List the target repositories in which a policy has set a tag.

        Args:
            policy: The policy.
            tag: The target tag.

        Returns:
            The places, each once.
        """
        with self._database.reading() as connection:
            return tags_set(connection, policy, tag)

    def first_of(self, promotion: Promotion) -> Promotion:
        """Return what brought the image of a rollback the first time; itself where nothing did."""
        with self._database.reading() as connection:
            query = (
                promotions.selected()
                .where(
                    table.c.observation_id == promotion.observation_id,
                    table.c.target_digest == promotion.target_digest,
                )
                .order_by(table.c.id)
            )
            row = connection.execute(query.limit(1)).mappings().one()
            return record_of(row)

    def unfinished(self, policy: str, place: KnownPlace, tag: str) -> Promotion | None:
        """Return the rollback of a tag that was begun last and is not through; None without one."""
        with self._database.reading() as connection:
            query = (
                promotions.selected()
                .where(
                    observations.c.policy == policy,
                    table.c.kind == Kind.ROLLBACK,
                    table.c.state.in_(UNFINISHED),
                    table.c.target_registry == place.registry,
                    table.c.target_repository == place.repository,
                    table.c.target_tag == tag,
                )
                .order_by(table.c.id.desc())
            )
            row = connection.execute(query.limit(1)).mappings().one_or_none()
            return None if row is None else record_of(row)

    def take_up(self, run: Run, promotion: Promotion) -> Promotion:
        """Note that a run goes on with a rollback that another one has begun."""
        with self._database.writing() as connection:
            row = {"run_id": run.id, "promotion_id": promotion.id}
            insert_if_absent(connection, run_promotions, [row])
            return promotions.read(connection, promotion.id)

    def rolled_back(self, promotion_ids: Collection[int]) -> frozenset[int]:
        """Say which promotions were undone, so that they count as verified no longer.

        A promotion is undone as soon as a rollback of its target tag away from its digest is
        planned, unless that rollback failed before it set the tag, or was superseded. It counts
        again when its digest is verified under that tag once more, which only a person brings
        about. Who selects promotions by a query adds
        ``~withdrawals.is_rolled_back(promotions)`` to it instead.

        Args:
            promotion_ids: The promotions.

        Returns:
            The ids of those that were undone.
        """
        with self._database.reading() as connection:
            return withdrawals.rolled_back(connection, promotion_ids)

    def withdrawn(
        self, registry: str, repository: str, digests: Collection[str]
    ) -> Mapping[str, Promotion]:
        """Find images that were rolled back in a target repository and are not to come by again.

        Args:
            registry: The target registry, as promotions name it.
            repository: The target repository.
            digests: What somebody wants to promote: source digests, target digests, or both.

        Returns:
            The rollback that withdrew each of those that were.
        """
        with self._database.reading() as connection:
            return withdrawals.withdrawn(connection, registry, repository, digests)

    def known_places(self, digest: str) -> tuple[KnownPlace, ...]:
        """List where an image was, as source or target of any policy.

        Args:
            digest: The image.

        Returns:
            The places, each once.
        """
        with self._database.reading() as connection:
            return known_places(connection, digest)

    def reason(self, promotion: Promotion) -> Reason:
        """Return who wanted a rollback, and why."""
        with self._database.reading() as connection:
            query = select(decisions.c.reasons).where(decisions.c.id == promotion.decision_id)
            reasons: tuple[Reason, ...] = connection.execute(query).scalar_one()
            return reasons[0]

    def note_former(self, promotion_id: int, former_digest: str | None) -> None:
        """Note what a target tag holds just before it is set; see ``note_former``."""
        with self._database.writing() as connection:
            note_former(connection, promotion_id, former_digest)


def plan(connection: Connection, run: Run, new: NewRollback, at: datetime) -> Promotion:
    """Plan a rollback; see ``Rollbacks.plan``."""
    runs.lock_policy(connection, run.policy)
    for planned in promotions.of_run(connection, run):
        if planned.kind is Kind.ROLLBACK:
            return planned
    observation_id = _observation(connection, run, new, at)
    decision_id: int = connection.execute(
        insert(decisions)
        .values(
            observation_id=observation_id,
            policy_version_id=runs.version_id(connection, run),
            outcome=Outcome.PROMOTE,
            reasons=(new.reason,),
            target_tag=new.target_tag,
            decided_at=at,
            asked_at=at,
            times_asked=1,
            decided_run_id=run.id,
            asked_run_id=run.id,
            is_latest=False,
        )
        .returning(decisions.c.id)
    ).scalar_one()
    _supersede_rivals(connection, run, new, at)
    (promotion,) = promotions.plan(
        connection,
        run,
        [
            NewPromotion(
                observation_id=observation_id,
                decision_id=decision_id,
                source_connection=new.source_connection,
                source_registry=new.source_registry,
                target_connection=new.target_connection,
                target_registry=new.target_registry,
                target_repository=new.target_repository,
                target_tag=new.target_tag,
                target_key=(
                    f"rollback/{run.id}/{new.target_connection}/"
                    f"{new.target_repository}:{new.target_tag}"
                ),
                existing_tag=EXISTING_TAG,
                target_digest=new.target_digest,
                kind=Kind.ROLLBACK,
                former_digest=new.former_digest,
            )
        ],
        at,
    )
    return promotion


def _observation(connection: Connection, run: Run, new: NewRollback, at: datetime) -> int:
    """Find the last stay of the image at its tag, or make one that no scan has seen."""
    is_tag = and_(
        observations.c.policy == run.policy,
        observations.c.repository == new.source_repository,
        observations.c.tag == new.source_tag,
    )
    last = (
        select(observations.c.id)
        .where(is_tag, observations.c.digest == new.digest)
        .order_by(observations.c.ordinal.desc())
    )
    found: int | None = connection.execute(last.limit(1)).scalar()
    if found is not None:
        return found
    lowest: int | None = connection.execute(
        select(func.min(observations.c.ordinal)).where(is_tag)
    ).scalar()
    made: int = connection.execute(
        insert(observations)
        .values(
            policy=run.policy,
            repository=new.source_repository,
            tag=new.source_tag,
            digest=new.digest,
            # Upwards is for scans, which count on from the present stay.
            ordinal=min(1 if lowest is None else lowest, 1) - 1,
            first_seen_at=at,
            last_seen_at=at,
            last_run_id=run.id,
            is_current=False,
        )
        .returning(observations.c.id)
    ).scalar_one()
    return made


def _supersede_rivals(connection: Connection, run: Run, new: NewRollback, at: datetime) -> None:
    query = (
        select(table.c.id)
        .where(
            table.c.target_registry == new.target_registry,
            table.c.target_repository == new.target_repository,
            table.c.target_tag == new.target_tag,
            table.c.state.in_(SUPERSEDABLE),
            or_(table.c.kind == Kind.ROLLBACK, table.c.target_digest == new.former_digest),
        )
        .order_by(table.c.id)
        # Else one that is tagged meanwhile could not be superseded, and this would fail.
        .with_for_update(key_share=True)
    )
    for rival in connection.execute(query).scalars().all():
        promotions.supersede(
            connection, rival, reason="the target tag is rolled back", at=at, run_key=run.key
        )


def tag_history(
    connection: Connection, registry: str, repository: str, tag: str
) -> tuple[Promotion, ...]:
    """List what set a target tag; see ``Rollbacks.tag_history``."""
    query = (
        promotions.selected()
        .where(
            table.c.target_registry == registry,
            table.c.target_repository == repository,
            table.c.target_tag == tag,
            table.c.tagged_at.is_not(None),
        )
        .order_by(table.c.tagged_at, table.c.id)
    )
    return tuple(record_of(row) for row in connection.execute(query).mappings())


def tags_set(connection: Connection, policy: str, tag: str) -> tuple[KnownPlace, ...]:
    """List where a policy has set a tag; see ``Rollbacks.tags_set``."""
    query = (
        select(table.c.target_connection, table.c.target_registry, table.c.target_repository)
        .join(observations, observations.c.id == table.c.observation_id)
        .where(
            observations.c.policy == policy,
            table.c.target_tag == tag,
            table.c.tagged_at.is_not(None),
        )
        .order_by(table.c.id)
    )
    return tuple({KnownPlace(*row): None for row in connection.execute(query)})


def known_places(connection: Connection, digest: str) -> tuple[KnownPlace, ...]:
    """List where an image was; see ``Rollbacks.known_places``."""
    is_it = or_(table.c.target_digest == digest, observations.c.digest == digest)
    joined = table.join(observations, observations.c.id == table.c.observation_id)
    targets = select(
        table.c.target_connection, table.c.target_registry, table.c.target_repository
    ).select_from(joined)
    sources = select(
        table.c.source_connection, table.c.source_registry, observations.c.repository
    ).select_from(joined)
    found: dict[KnownPlace, None] = {}
    for query in (
        targets.where(table.c.target_digest == digest, table.c.copied_at.is_not(None)),
        sources.where(is_it),
    ):
        found |= {KnownPlace(*row): None for row in connection.execute(query.distinct())}
    return tuple(found)


def note_former(connection: Connection, promotion_id: int, former_digest: str | None) -> None:
    """Note what a target tag holds just before it is set, to be known when it was overwritten.

    Args:
        connection: A writing connection.
        promotion_id: The promotion. Of a rollback it is known already, and stays; likewise once
            the tag is set, since a late repetition finds the promotion's own digest there.
        former_digest: What the tag holds; None for a free one.
    """
    connection.execute(
        update(table)
        .where(
            table.c.id == promotion_id,
            table.c.state == State.COPIED,
            or_(table.c.kind.is_(None), table.c.kind != Kind.ROLLBACK),
        )
        .values(former_digest=former_digest)
    )
