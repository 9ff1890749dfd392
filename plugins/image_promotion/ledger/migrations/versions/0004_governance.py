"""Several targets, people's word, proof, second thoughts, rollbacks and what people were told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_OUTCOMES = ("promote", "reject", "wait", "conflict")
_TABLES = (
    "ledger_notices",
    "ledger_removals",
    "ledger_rechecks",
    "ledger_attestations",
    "ledger_approvals",
    "ledger_approval_requests",
    "ledger_decision_promotions",
)
_COLUMNS = (
    ("ledger_decisions", "overridden_by", sa.String(length=255)),
    ("ledger_decisions", "override_reason", sa.Text()),
    ("ledger_promotions", "kind", sa.String(length=16)),
    ("ledger_promotions", "former_digest", sa.String(length=256)),
    ("ledger_runs", "started_by", sa.String(length=255)),
    ("ledger_promotions", "policy", sa.String(length=255)),
    ("ledger_promotions", "source_repository", sa.String(length=512)),
    ("ledger_promotions", "source_tag", sa.String(length=128)),
)
_INDEXES = (
    ("ledger_promotions", ("planned_at",)),
    ("ledger_promotions", ("policy", "planned_at")),
    ("ledger_promotions", ("policy", "state", "planned_at")),
    ("ledger_promotions", ("state", "planned_at")),
    ("ledger_promotions", ("source_repository", "planned_at")),
    ("ledger_promotions", ("target_repository", "planned_at")),
    ("ledger_promotions", ("source_tag", "planned_at")),
    ("ledger_promotions", ("target_tag", "planned_at")),
    ("ledger_promotions", ("target_digest",)),
    ("ledger_promotions", ("state", "verified_at", "policy")),
    ("ledger_observations", ("digest",)),
    ("ledger_decisions", ("outcome", "is_latest", "observation_id")),
    ("ledger_evidence", ("digest",)),
)


def _words(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=16)


def _table(
    name: str, *columns: sa.Column[object], refers: dict[str, str], unique: tuple[str, ...] = ()
) -> None:
    """Make a table with a number of its own, references, and what there is once."""
    constraints: list[sa.Constraint] = [
        sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{name}_{column}"))
        for column, target in refers.items()
    ]
    constraints.append(sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")))
    if unique:
        constraints.append(sa.UniqueConstraint(*unique, name=op.f(f"uq_{name}_{'_'.join(unique)}")))
    op.create_table(name, sa.Column("id", _ID, nullable=False), *columns, *constraints)


def _index(table: str, columns: tuple[str, ...]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"


def upgrade() -> None:
    """Add tables and columns, and tie the promotions there are to their decisions."""
    for table, column, kind in _COLUMNS:
        op.add_column(table, sa.Column(column, kind))
    for copy, original in (
        ("policy", "policy"),
        ("source_repository", "repository"),
        ("source_tag", "tag"),
    ):
        op.execute(
            f"UPDATE ledger_promotions SET {copy} = (SELECT o.{original}"  # noqa: S608 - names of ours
            " FROM ledger_observations o WHERE o.id = ledger_promotions.observation_id)"
        )
    for table, columns in _INDEXES:
        op.create_index(op.f(_index(table, columns)), table, list(columns))
    op.create_table(
        "ledger_decision_promotions",
        sa.Column("decision_id", _ID, nullable=False),
        sa.Column("promotion_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["ledger_decisions.id"],
            name=op.f("fk_ledger_decision_promotions_decision_id"),
        ),
        sa.ForeignKeyConstraint(
            ["promotion_id"],
            ["ledger_promotions.id"],
            name=op.f("fk_ledger_decision_promotions_promotion_id"),
        ),
        sa.PrimaryKeyConstraint(
            "decision_id", "promotion_id", name=op.f("pk_ledger_decision_promotions")
        ),
    )
    op.execute(
        "INSERT INTO ledger_decision_promotions (decision_id, promotion_id)"
        " SELECT d.id, p.id FROM ledger_decisions d JOIN ledger_promotions p"
        " ON p.observation_id = d.observation_id AND p.target_key = d.target_key"
    )
    _table(
        "ledger_approval_requests",
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
        refers={"promotion_id": "ledger_promotions.id", "run_id": "ledger_runs.id"},
        unique=("promotion_id", "run_id"),
    )
    _table(
        "ledger_approvals",
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("verdict", _words("verdict", ("approved", "rejected")), nullable=False),
        sa.Column("who", sa.String(length=255), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        refers={"promotion_id": "ledger_promotions.id", "run_id": "ledger_runs.id"},
        unique=("promotion_id", "run_id", "who"),
    )
    _table(
        "ledger_attestations",
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("digest", sa.String(length=256), nullable=False),
        sa.Column("key_id", sa.String(length=255), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("run_key", sa.String(length=512), nullable=False),
        refers={"promotion_id": "ledger_promotions.id"},
        unique=("promotion_id",),
    )
    _table(
        "ledger_rechecks",
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("run_key", sa.String(length=512), nullable=False),
        sa.Column("policy_version_id", _ID, nullable=False),
        sa.Column("outcome", _words("outcome", _OUTCOMES), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        refers={
            "promotion_id": "ledger_promotions.id",
            "policy_version_id": "ledger_policy_versions.id",
        },
    )
    op.create_index(
        "uq_ledger_rechecks_latest",
        "ledger_rechecks",
        ["promotion_id"],
        unique=True,
        sqlite_where=sa.text("is_latest"),
        postgresql_where=sa.text("is_latest"),
    )
    _table(
        "ledger_removals",
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("run_key", sa.String(length=512), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("removed_at", _TIME),
        refers={"promotion_id": "ledger_promotions.id"},
        unique=("promotion_id",),
    )
    _table(
        "ledger_notices",
        sa.Column("policy", sa.String(length=255), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        refers={"policy": "ledger_policies.name"},
        unique=("policy", "event", "subject"),
    )


def downgrade() -> None:
    """Drop them; what people said, proofs and rechecks are lost."""
    op.drop_index("uq_ledger_rechecks_latest", table_name="ledger_rechecks")
    for table in _TABLES:
        op.drop_table(table)
    for table, columns in _INDEXES:
        op.drop_index(op.f(_index(table, columns)), table_name=table)
    for table, column, _ in _COLUMNS:
        op.drop_column(table, column)
