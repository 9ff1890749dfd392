"""The ledger's tables, and how its values lie in them.

The names begin with ``ledger_``, so that the ledger may share a PostgreSQL database. Nothing is
ever deleted. A change here needs a migration; a test compares the two.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from image_promotion.ledger.records import Kind, Outcome, Reason, State, Verdict

SCHEMA_REVISION = "0005"
"""The migration that makes these tables; a test holds it equal to Alembic's head."""

VERSION_TABLE = "image_promotion_alembic_version"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on both sides; SQLite keeps it without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime, and turn others to UTC."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the ledger")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC, whatever zone the database's session has."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FreeText(TypeDecorator[str]):
    """Text that others wrote, such as an error: what PostgreSQL refuses to keep is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        del dialect
        if value is None:
            return None
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


class Reasons(TypeDecorator[tuple[Reason, ...]]):
    """Reasons as ASCII JSON, which keeps any character and compares as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[Reason, ...] | None, dialect: Dialect) -> str | None:
        """Write JSON."""
        del dialect
        return json.dumps([asdict(reason) for reason in value or ()], separators=(",", ":"))

    def process_result_value(
        self, value: str | None, dialect: Dialect
    ) -> tuple[Reason, ...] | None:
        """Read JSON."""
        del dialect
        return _reasons(json.loads(value or "[]"))


def _reasons(items: list[dict[str, object]]) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            trigger=str(item["trigger"]),
            verdict=str(item["verdict"]),
            expected=str(item["expected"]),
            found=str(item["found"]),
            source=str(item["source"]),
            parts=_reasons(cast("list[dict[str, object]]", item["parts"])),
            # Reasons that were kept by an earlier version have neither.
            count=cast("int | None", item.get("count")),
            items=tuple(cast("list[str]", item.get("items", []))),
        )
        for item in items
    )


def _words(words: type[StrEnum], name: str, *, is_checked: bool = True) -> Enum:
    """Give the column type of an enumeration: its values as text, and a constraint if wanted."""
    return Enum(
        words,
        name=name,
        native_enum=False,
        create_constraint=is_checked,
        length=16,
        values_callable=lambda kind: [word.value for word in kind],
    )


# SQLite numbers rows by itself only where the type is INTEGER to the letter.
_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

policies = Table(
    "ledger_policies",
    metadata,
    # Writing transactions that read, compare and write lock their policy's row here.
    Column("name", String(255), primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
)

policy_versions = Table(
    "ledger_policy_versions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("policy", ForeignKey(policies.c.name), nullable=False),
    Column("hash", String(255), nullable=False),
    Column("document", Text, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    UniqueConstraint("policy", "hash"),
)

runs = Table(
    "ledger_runs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("policy_version_id", ForeignKey(policy_versions.c.id), nullable=False, index=True),
    Column("key", String(512), nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("first_of_version", Boolean, nullable=False),
    Column("scanned_at", UtcDateTime),
    Column("evaluated_at", UtcDateTime),
    Column("tags_seen", Integer, nullable=False, default=0),
    Column("tags_rejected_by_name", Integer, nullable=False, default=0),
    # Who started it by hand; empty where nobody did.
    Column("started_by", String(255)),
)

observations = Table(
    "ledger_observations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("policy", ForeignKey(policies.c.name), nullable=False),
    Column("repository", String(512), nullable=False),
    Column("tag", String(128), nullable=False),
    Column("digest", String(256), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("last_run_id", ForeignKey(runs.c.id), nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("gone_at", UtcDateTime),
    UniqueConstraint("policy", "repository", "tag", "ordinal"),
    Index(None, "digest"),
)

# A tag is at one digest at a time.
Index(
    "uq_ledger_observations_current",
    observations.c.policy,
    observations.c.repository,
    observations.c.tag,
    unique=True,
    sqlite_where=text("is_current"),
    postgresql_where=text("is_current"),
)

decisions = Table(
    "ledger_decisions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("observation_id", ForeignKey(observations.c.id), nullable=False, index=True),
    Column("policy_version_id", ForeignKey(policy_versions.c.id), nullable=False),
    Column("outcome", _words(Outcome, "outcome"), nullable=False),
    Column("reasons", Reasons, nullable=False),
    Column("wait_until", UtcDateTime),
    Column("target_tag", String(128)),
    # With the observation, names the promotion that was planned for this decision.
    Column("target_key", String(1024)),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("times_asked", Integer, nullable=False),
    Column("decided_run_id", ForeignKey(runs.c.id), nullable=False),
    Column("asked_run_id", ForeignKey(runs.c.id), nullable=False),
    Column("is_latest", Boolean, nullable=False),
    # Who promotes it although a trigger does not hold, and why; empty where nobody does.
    Column("overridden_by", String(255)),
    Column("override_reason", FreeText),
    Index(None, "outcome", "is_latest", "observation_id"),
)

# An observation has one last decision.
Index(
    "uq_ledger_decisions_latest",
    decisions.c.observation_id,
    unique=True,
    sqlite_where=text("is_latest"),
    postgresql_where=text("is_latest"),
)

promotions = Table(
    "ledger_promotions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("observation_id", ForeignKey(observations.c.id), nullable=False),
    Column("decision_id", ForeignKey(decisions.c.id), nullable=False),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("source_connection", String(255), nullable=False),
    Column("source_registry", String(255), nullable=False),
    Column("target_connection", String(255), nullable=False),
    Column("target_registry", String(255), nullable=False),
    Column("target_repository", String(512), nullable=False),
    Column("target_tag", String(128), nullable=False),
    Column("target_key", String(1024), nullable=False),
    Column("existing_tag", String(16), nullable=False),
    # Empty where a process of an earlier version planned it: then it is the observation's digest.
    Column("target_digest", String(256)),
    Column("state", _words(State, "state"), nullable=False),
    Column("failed_in", _words(State, "failed_in")),
    Column("error", FreeText, nullable=False, default=""),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("copied_at", UtcDateTime),
    Column("tagged_at", UtcDateTime),
    Column("verified_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("bytes_copied", BigInteger),
    Column("bytes_skipped", BigInteger),
    Column("bytes_mounted", BigInteger),
    Column("seconds", Float),
    # Empty where a process of an earlier version planned it: then it is a promotion.
    Column("kind", _words(Kind, "kind", is_checked=False)),
    # What the target tag held before it was set; empty where it was free.
    Column("former_digest", String(256)),
    # What the observation says, once more, for the indexes below; empty where a process of an
    # earlier version planned it, until the next plan.
    Column("policy", String(255)),
    Column("source_repository", String(512)),
    Column("source_tag", String(128)),
    UniqueConstraint("observation_id", "target_key"),
    Index(None, "target_repository", "target_tag"),
    Index(None, "state"),
    # Each leads to the newest of a kind, however many there are; see ``chronicle``.
    Index(None, "planned_at"),
    Index(None, "policy", "planned_at"),
    Index(None, "policy", "state", "planned_at"),
    Index(None, "state", "planned_at"),
    Index(None, "source_repository", "planned_at"),
    Index(None, "target_repository", "planned_at"),
    Index(None, "source_tag", "planned_at"),
    Index(None, "target_tag", "planned_at"),
    Index(None, "target_digest"),
    # All that is counted for the overview is in it, so that no row is looked up.
    Index(None, "state", "verified_at", "policy", "kind"),
)

run_promotions = Table(
    "ledger_run_promotions",
    metadata,
    Column("run_id", ForeignKey(runs.c.id), primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), primary_key=True),
)

# A decision has several targets, and one promotion may be asked for by decision after decision.
decision_promotions = Table(
    "ledger_decision_promotions",
    metadata,
    Column("decision_id", ForeignKey(decisions.c.id), primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), primary_key=True),
)

transitions = Table(
    "ledger_transitions",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False, index=True),
    Column("from_state", _words(State, "from_state")),
    Column("to_state", _words(State, "to_state"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("run_key", String(512), nullable=False),
    Column("detail", FreeText, nullable=False),
)

# Not of one policy: those that ask the same sources and signers share it.
evidence = Table(
    "ledger_evidence",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("registry", String(255), nullable=False),
    Column("repository", String(512), nullable=False),
    Column("digest", String(256), nullable=False),
    Column("configuration", String(255), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("gathered_at", UtcDateTime, nullable=False),
    UniqueConstraint("registry", "repository", "digest", "configuration"),
    Index(None, "digest"),
)

# That a run waits for people's answer about a promotion, so that another one does not ask as well.
approval_requests = Table(
    "ledger_approval_requests",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    UniqueConstraint("promotion_id", "run_id"),
)

approvals = Table(
    "ledger_approvals",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False),
    Column("run_id", ForeignKey(runs.c.id), nullable=False),
    Column("verdict", _words(Verdict, "verdict"), nullable=False),
    Column("who", String(255), nullable=False),
    Column("comment", FreeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    # One person has one word in one run.
    UniqueConstraint("promotion_id", "run_id", "who"),
)

attestations = Table(
    "ledger_attestations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False, unique=True),
    # Of the manifest that holds the statement, in the target repository.
    Column("digest", String(256), nullable=False),
    Column("key_id", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("run_key", String(512), nullable=False),
)

rechecks = Table(
    "ledger_rechecks",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False),
    Column("run_key", String(512), nullable=False),
    Column("policy_version_id", ForeignKey(policy_versions.c.id), nullable=False),
    Column("outcome", _words(Outcome, "outcome"), nullable=False),
    Column("reasons", Reasons, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("is_latest", Boolean, nullable=False),
    Index(None, "promotion_id"),
)

# A promotion has one last recheck.
Index(
    "uq_ledger_rechecks_latest",
    rechecks.c.promotion_id,
    unique=True,
    sqlite_where=text("is_latest"),
    postgresql_where=text("is_latest"),
)

# Target tags that retention took away.
removals = Table(
    "ledger_removals",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("promotion_id", ForeignKey(promotions.c.id), nullable=False, unique=True),
    Column("run_key", String(512), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("detail", FreeText, nullable=False),
    # Empty as long as it is not known to be gone: `at` is when it was begun.
    Column("removed_at", UtcDateTime),
)

# What people have been told, so that they are told once.
notices = Table(
    "ledger_notices",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("policy", ForeignKey(policies.c.name), nullable=False),
    Column("event", String(32), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("policy", "event", "subject"),
)

# How far the copies have come that run now. It refers to nothing: on PostgreSQL a reference would
# lock the promotion's row, which the copy itself writes to.
progress = Table(
    "ledger_progress",
    metadata,
    Column("promotion_id", _Id, primary_key=True, autoincrement=False),
    Column("run_key", String(512), nullable=False),
    Column("blobs", Integer, nullable=False),
    Column("blobs_done", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("bytes_done", BigInteger, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
