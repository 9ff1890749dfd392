"""Alembic's entry: it is executed, not imported, for every command (see ``ledger.migration``)."""

from __future__ import annotations

from alembic import context

from image_promotion.ledger.migration import CONNECTION
from image_promotion.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes[CONNECTION],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
)
# The transaction, and its end, are the caller's.
with context.begin_transaction():
    context.run_migrations()
