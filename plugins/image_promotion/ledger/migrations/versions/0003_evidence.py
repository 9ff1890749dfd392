"""Evidence as it was gathered, by image and by what the policy says about evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ledger_evidence",
        sa.Column("id", _ID, nullable=False),
        sa.Column("registry", sa.String(length=255), nullable=False),
        sa.Column("repository", sa.String(length=512), nullable=False),
        sa.Column("digest", sa.String(length=256), nullable=False),
        sa.Column("configuration", sa.String(length=255), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("gathered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_evidence")),
        sa.UniqueConstraint(
            "registry",
            "repository",
            "digest",
            "configuration",
            name=op.f("uq_ledger_evidence_registry_repository_digest_configuration"),
        ),
    )


def downgrade() -> None:
    """Drop the table; what was gathered can be gathered again."""
    op.drop_table("ledger_evidence")
