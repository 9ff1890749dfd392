"""How far copies have come that run now; and indexes of what is counted and looked up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLE = "ledger_progress"
_PROMOTIONS = "ledger_promotions"
_RECHECKS = "ledger_rechecks"
_COUNTED = ("state", "verified_at", "policy")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def _index(columns: tuple[str, ...]) -> str:
    return op.f(f"ix_{_PROMOTIONS}_{'_'.join(columns)}")


def upgrade() -> None:
    """Add the table and an index, and make another anew with one column more."""
    op.create_index(op.f(f"ix_{_RECHECKS}_promotion_id"), _RECHECKS, ["promotion_id"])
    op.create_index(_index((*_COUNTED, "kind")), _PROMOTIONS, [*_COUNTED, "kind"])
    op.drop_index(_index(_COUNTED), table_name=_PROMOTIONS)
    op.create_table(
        _TABLE,
        sa.Column("promotion_id", _ID, nullable=False),
        sa.Column("run_key", sa.String(length=512), nullable=False),
        sa.Column("blobs", sa.Integer(), nullable=False),
        sa.Column("blobs_done", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f(f"pk_{_TABLE}")),
    )


def downgrade() -> None:
    """Drop the table, which holds nothing that lasts, and leave the indexes as they were."""
    op.drop_index(op.f(f"ix_{_RECHECKS}_promotion_id"), table_name=_RECHECKS)
    op.create_index(_index(_COUNTED), _PROMOTIONS, list(_COUNTED))
    op.drop_index(_index((*_COUNTED, "kind")), table_name=_PROMOTIONS)
    op.drop_table(_TABLE)
