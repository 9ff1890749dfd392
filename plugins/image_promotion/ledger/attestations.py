"""What the ledger knows for an attestation, and which promotions have theirs.

An attestation is the signed statement that a verified promotion leaves in the target.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from image_promotion.ledger import promotions, rows, verdicts
from image_promotion.ledger.database import Database, in_batches
from image_promotion.ledger.records import PolicyVersion, Promotion, Reason, Run, State
from image_promotion.ledger.tables import (
    attestations,
    decision_promotions,
    decisions,
    observations,
    policy_versions,
)
from image_promotion.ledger.tables import promotions as promotions_table
from image_promotion.ledger.tables import runs as runs_table
from image_promotion.ledger.verdicts import Word


@dataclass(frozen=True, slots=True)
class Attestation:
    """That a promotion has its signed statement in the target.

    Args:
        promotion_id: Whose.
        digest: Of the manifest that holds it, in the target repository.
        key_id: The key it is signed by.
        at: When that was noted.
        run_key: The run that noted it.
    """

    promotion_id: int
    digest: str
    key_id: str
    at: datetime
    run_key: str


@dataclass(frozen=True, slots=True)
class Background:
    """What lies behind a promotion: why it was decided, by whom, and in which run.

    Args:
        run: The run that planned it.
        policy_hash: The version of the policy that decided.
        first_seen_at: When a scan saw the source tag at this digest first.
        decided_at: When it was decided.
        reasons: One for each trigger.
        overridden_by: Who promoted it although a trigger did not hold; None where nobody did.
        override_reason: Why they did.
        words: What people said when they were asked, in the order of their answers.
    """

    run: Run
    policy_hash: str
    first_seen_at: datetime
    decided_at: datetime
    reasons: tuple[Reason, ...]
    overridden_by: str | None
    override_reason: str | None
    words: tuple[Word, ...]


class Attestations:
    """The part of the ledger that attestations need; each method is one short transaction.

    Args:
        database: The ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_promotions(self, promotion_ids: Collection[int]) -> Mapping[int, Attestation]:
        """Find which promotions have their attestation.

        Args:
            promotion_ids: The promotions' ids.

        Returns:
            The attestations by promotion; those that have none are not in it.
        """
        found: dict[int, Attestation] = {}
        with self._database.reading() as connection:
            for batch in in_batches(frozenset(promotion_ids)):
                query = select(
                    attestations.c.promotion_id,
                    attestations.c.digest,
                    attestations.c.key_id,
                    attestations.c.at,
                    attestations.c.run_key,
                ).where(attestations.c.promotion_id.in_(batch))
                found |= {
                    row.promotion_id: Attestation(
                        row.promotion_id, row.digest, row.key_id, row.at, row.run_key
                    )
                    for row in connection.execute(query)
                }
        return found

    def note(self, attestation: Attestation) -> None:
        """Note that a promotion has its attestation; of two notes the last one counts.

        Args:
            attestation: The attestation.
        """
        with self._database.writing() as connection:
            _note(connection, attestation)

    def background(self, promotion: Promotion) -> Background:
        """Read what lies behind a promotion.

        Args:
            promotion: The promotion.

        Returns:
            What is known; the same each time, once the promotion is verified.
        """
        with self._database.reading() as connection:
            return _background(connection, promotion)

    def policy_versions(self, policy: str) -> tuple[PolicyVersion, ...]:
        """List the versions of a policy by which anything was decided.

        Args:
            policy: The policy's name.

        Returns:
            The versions, the oldest first.
        """
        query = (
            select(policy_versions.c.policy, policy_versions.c.hash, policy_versions.c.document)
            .where(policy_versions.c.policy == policy)
            .order_by(policy_versions.c.id)
        )
        with self._database.reading() as connection:
            return tuple(PolicyVersion(*row) for row in connection.execute(query))

    def missing(self, policy: str, hashes: Collection[str]) -> tuple[Promotion, ...]:
        """List the verified promotions of a policy that have no attestation.

        Args:
            policy: The policy's name.
            hashes: Only what these versions of it decided.

        Returns:
            The promotions, by id.
        """
        query = (
            promotions.selected()
            .outerjoin(attestations, attestations.c.promotion_id == promotions_table.c.id)
            .where(
                observations.c.policy == policy,
                policy_versions.c.hash.in_(sorted(hashes)),
                promotions_table.c.state == State.VERIFIED,
                attestations.c.id.is_(None),
            )
            .order_by(promotions_table.c.id)
        )
        with self._database.reading() as connection:
            return tuple(rows.promotion(row) for row in connection.execute(query).mappings())


def _note(connection: Connection, attestation: Attestation) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {
        "digest": attestation.digest,
        "key_id": attestation.key_id,
        "at": attestation.at,
        "run_key": attestation.run_key,
    }
    statement = dialect.insert(attestations).values(promotion_id=attestation.promotion_id, **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["promotion_id"],
            set_={name: statement.excluded[name] for name in values},
            # A repetition finds what is noted already, and says nothing new.
            where=attestations.c.digest != statement.excluded.digest,
        )
    )


def _background(connection: Connection, promotion: Promotion) -> Background:
    decided = connection.execute(_decision_of(promotion)).mappings().one()
    run = (
        connection.execute(
            select(*rows.RUN)
            .join_from(runs_table, policy_versions)
            .where(runs_table.c.key == promotion.run_key)
        )
        .mappings()
        .one()
    )
    return Background(
        run=rows.run(run),
        policy_hash=decided["hash"],
        first_seen_at=decided["first_seen_at"],
        decided_at=decided["decided_at"],
        reasons=decided["reasons"],
        overridden_by=decided["overridden_by"],
        override_reason=decided["override_reason"],
        words=verdicts.words(connection, [promotion.id]).get(promotion.id, ()),
    )


def _decision_of(promotion: Promotion) -> Select[*tuple[Any, ...]]:
    """Select the last decision that asked for a promotion before it was carried out.

    One that people hold up is decided again meanwhile, such as with an override; what is decided
    after the copy, such as by another version of the policy, did not bring the image here.
    """
    linked = select(decision_promotions.c.decision_id).where(
        decision_promotions.c.promotion_id == promotion.id
    )
    is_first = decisions.c.id == promotion.decision_id
    asked_for_it = is_first
    if promotion.copied_at is not None:
        in_time = decisions.c.decided_at <= promotion.copied_at
        asked_for_it = or_(is_first, and_(decisions.c.id.in_(linked), in_time))
    return (
        select(
            decisions.c.decided_at,
            decisions.c.reasons,
            decisions.c.overridden_by,
            decisions.c.override_reason,
            observations.c.first_seen_at,
            policy_versions.c.hash,
        )
        .join_from(decisions, policy_versions)
        .join(observations, observations.c.id == promotion.observation_id)
        .where(asked_for_it)
        .order_by(decisions.c.id.desc())
        .limit(1)
    )
