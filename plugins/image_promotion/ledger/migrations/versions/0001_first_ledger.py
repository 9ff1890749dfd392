"""The first ledger: policies, runs, observations, decisions, promotions, transitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OUTCOMES = ("promote", "reject", "wait", "conflict")
_STATES = ("planned", "copied", "tagged", "verified", "failed", "superseded")


def _words(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=16)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "ledger_policies",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ledger_policies")),
    )
    op.create_table(
        "ledger_policy_versions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("policy", sa.String(length=255), nullable=False),
        sa.Column("hash", sa.String(length=255), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy"], ["ledger_policies.name"], name=op.f("fk_ledger_policy_versions_policy")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_policy_versions")),
        sa.UniqueConstraint("policy", "hash", name=op.f("uq_ledger_policy_versions_policy_hash")),
    )
    op.create_table(
        "ledger_runs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("policy_version_id", _ID, nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_of_version", sa.Boolean(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tags_seen", sa.Integer(), nullable=False),
        sa.Column("tags_rejected_by_name", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version_id"],
            ["ledger_policy_versions.id"],
            name=op.f("fk_ledger_runs_policy_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_runs")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_runs_key")),
    )
    op.create_index(
        op.f("ix_ledger_runs_policy_version_id"), "ledger_runs", ["policy_version_id"], unique=False
    )
    op.create_table(
        "ledger_observations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("policy", sa.String(length=255), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("tag", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=256), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_run_id", _ID, nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["last_run_id"], ["ledger_runs.id"], name=op.f("fk_ledger_observations_last_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["policy"], ["ledger_policies.name"], name=op.f("fk_ledger_observations_policy")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_observations")),
        sa.UniqueConstraint(
            "policy",
            "repository",
            "tag",
            "ordinal",
            name=op.f("uq_ledger_observations_policy_repository_tag_ordinal"),
        ),
    )
    op.create_index(
        "uq_ledger_observations_current",
        "ledger_observations",
        ["policy", "repository", "tag"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )
    op.create_table(
        "ledger_decisions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("observation_id", _ID, nullable=False),
        sa.Column("policy_version_id", _ID, nullable=False),
        sa.Column("outcome", _words("outcome", _OUTCOMES), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target_tag", sa.String(length=128), nullable=True),
        sa.Column("target_key", sa.String(length=1024), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times_asked", sa.Integer(), nullable=False),
        sa.Column("decided_run_id", _ID, nullable=False),
        sa.Column("asked_run_id", _ID, nullable=False),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asked_run_id"], ["ledger_runs.id"], name=op.f("fk_ledger_decisions_asked_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["decided_run_id"], ["ledger_runs.id"], name=op.f("fk_ledger_decisions_decided_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["ledger_observations.id"],
            name=op.f("fk_ledger_decisions_observation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["policy_version_id"],
            ["ledger_policy_versions.id"],
            name=op.f("fk_ledger_decisions_policy_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_decisions")),
    )
    op.create_index(
        op.f("ix_ledger_decisions_observation_id"),
        "ledger_decisions",
        ["observation_id"],
        unique=False,
    )
    op.create_index(
        "uq_ledger_decisions_latest",
        "ledger_decisions",
        ["observation_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    op.create_table(
        "ledger_promotions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("observation_id", _ID, nullable=False),
        sa.Column("decision_id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("source_connection", sa.String(length=255), nullable=False),
        sa.Column("source_registry", sa.String(length=255), nullable=False),
        sa.Column("target_connection", sa.String(length=255), nullable=False),
        sa.Column("target_registry", sa.String(length=255), nullable=False),
        sa.Column("target_repository", sa.String(length=512), nullable=False),
        sa.Column("target_tag", sa.String(length=128), nullable=False),
        sa.Column("target_key", sa.String(length=1024), nullable=False),
        sa.Column("existing_tag", sa.String(length=16), nullable=False),
        sa.Column("state", _words("state", _STATES), nullable=False),
        sa.Column("failed_in", _words("failed_in", _STATES), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("copied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tagged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bytes_copied", sa.BigInteger(), nullable=True),
        sa.Column("bytes_skipped", sa.BigInteger(), nullable=True),
        sa.Column("bytes_mounted", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["ledger_decisions.id"], name=op.f("fk_ledger_promotions_decision_id")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["ledger_observations.id"],
            name=op.f("fk_ledger_promotions_observation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["ledger_runs.id"], name=op.f("fk_ledger_promotions_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_promotions")),
        sa.UniqueConstraint(
            "observation_id",
            "target_key",
            name=op.f("uq_ledger_promotions_observation_id_target_key"),
        ),
    )
    op.create_index(
        op.f("ix_ledger_promotions_state"), "ledger_promotions", ["state"], unique=False
    )
    op.create_index(
        op.f("ix_ledger_promotions_target_repository_target_tag"),
        "ledger_promotions",
        ["target_repository", "target_tag"],
        unique=False,
    )
    op.create_table(
        "ledger_run_promotions",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("promotion_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["promotion_id"],
            ["ledger_promotions.id"],
            name=op.f("fk_ledger_run_promotions_promotion_id"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["ledger_runs.id"], name=op.f("fk_ledger_run_promotions_run_id")
        ),
        sa.PrimaryKeyConstraint("run_id", "promotion_id", name=op.f("pk_ledger_run_promotions")),
    )
    op.create_table(
        "ledger_transitions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("from_state", _words("from_state", _STATES), nullable=True),
        sa.Column("to_state", _words("to_state", _STATES), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_key", sa.String(length=512), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["promotion_id"],
            ["ledger_promotions.id"],
            name=op.f("fk_ledger_transitions_promotion_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transitions")),
    )
    op.create_index(
        op.f("ix_ledger_transitions_promotion_id"),
        "ledger_transitions",
        ["promotion_id"],
        unique=False,
    )


def downgrade() -> None:
    """Drop the tables, and everything in them."""
    for name in (
        "ledger_transitions",
        "ledger_run_promotions",
        "ledger_promotions",
        "ledger_decisions",
        "ledger_observations",
        "ledger_runs",
        "ledger_policy_versions",
        "ledger_policies",
    ):
        op.drop_table(name)
