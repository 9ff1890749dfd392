"""What a promotion's target tag gets: another digest than the source's where platforms are chosen.

Before, the two were always the same. The column may be empty in the end as well: a process of the
version before, which still runs, plans promotions without it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and say of what there is that the digest stayed."""
    # Not in a batch: that would drop the table, to which others refer, and make it again.
    op.add_column("ledger_promotions", sa.Column("target_digest", sa.String(length=256)))
    op.execute(
        "UPDATE ledger_promotions SET target_digest = (SELECT ledger_observations.digest"
        " FROM ledger_observations"
        " WHERE ledger_observations.id = ledger_promotions.observation_id)"
    )


def downgrade() -> None:
    """Drop the column; which digest a selection of platforms got is lost."""
    op.drop_column("ledger_promotions", "target_digest")
