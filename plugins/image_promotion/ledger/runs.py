"""Runs and the versions of policies they run, as functions over a connection."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, func, select, update

from image_promotion.errors import LedgerError
from image_promotion.ledger import rows
from image_promotion.ledger.database import insert_if_absent
from image_promotion.ledger.records import PolicyVersion, Run
from image_promotion.ledger.tables import policies, policy_versions, runs


def begin(
    connection: Connection,
    version: PolicyVersion,
    *,
    key: str,
    kind: str,
    at: datetime,
    started_by: str | None = None,
) -> Run:
    """Begin a run, or find it; see ``Ledger.begin_run``."""
    if (found := find(connection, key)) is None:
        version_id = _register(connection, version, at)
        insert_if_absent(
            connection,
            runs,
            [
                {
                    "policy_version_id": version_id,
                    "key": key,
                    "kind": kind,
                    "started_at": at,
                    "first_of_version": not was_evaluated(connection, version),
                    "started_by": started_by,
                }
            ],
        )
        found = find(connection, key)
    if found is None or found.policy != version.name:
        raise LedgerError(
            f"the run {key} of policy {version.name} cannot begin: the ledger has a run of this "
            "key for another policy",
            advice="Give each run a key of its own.",
        )
    return found


def find(connection: Connection, key: str) -> Run | None:
    """Find a run by its key; see ``Ledger.run``."""
    query = select(*rows.RUN).join_from(runs, policy_versions).where(runs.c.key == key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else rows.run(row)


def was_evaluated(connection: Connection, version: PolicyVersion) -> bool:
    """Say whether a run of a version was evaluated; see ``Ledger.was_evaluated``."""
    query = (
        select(runs.c.id)
        .join_from(runs, policy_versions)
        .where(
            policy_versions.c.policy == version.name,
            policy_versions.c.hash == version.hash,
            runs.c.evaluated_at.is_not(None),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def finish_evaluation(connection: Connection, run: Run, at: datetime) -> None:
    """Note the end of a run's evaluation; see ``Ledger.finish_evaluation``."""
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.evaluated_at.is_(None))
        .values(evaluated_at=at)
    )


def note_scan(
    connection: Connection, run: Run, *, tags_seen: int, tags_rejected_by_name: int, at: datetime
) -> None:
    """Note what a run's scan listed; the time of the first scan stays."""
    connection.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(
            scanned_at=func.coalesce(runs.c.scanned_at, at),
            tags_seen=tags_seen,
            tags_rejected_by_name=tags_rejected_by_name,
        )
    )


def lock_policy(connection: Connection, policy: str) -> None:
    """Let only one transaction at a time compare and write what belongs to this policy.

    SQLite's writing transactions exclude each other anyway, and SQLAlchemy leaves the clause out.
    """
    connection.execute(
        select(policies.c.name).where(policies.c.name == policy).with_for_update(key_share=True)
    )


def version_id(connection: Connection, run: Run) -> int:
    """Give the number of the policy version of a run."""
    query = select(runs.c.policy_version_id).where(runs.c.id == run.id)
    number: int = connection.execute(query).scalar_one()
    return number


def _register(connection: Connection, version: PolicyVersion, at: datetime) -> int:
    insert_if_absent(connection, policies, [{"name": version.name, "first_seen_at": at}])
    insert_if_absent(
        connection,
        policy_versions,
        [
            {
                "policy": version.name,
                "hash": version.hash,
                "document": version.document,
                "first_seen_at": at,
            }
        ],
    )
    is_version = and_(
        policy_versions.c.policy == version.name, policy_versions.c.hash == version.hash
    )
    # What does not decide, such as a limit or the description, may change within a version.
    connection.execute(
        update(policy_versions)
        .where(is_version, policy_versions.c.document != version.document)
        .values(document=version.document)
    )
    query = select(policy_versions.c.id).where(is_version)
    number: int = connection.execute(query).scalar_one()
    return number
