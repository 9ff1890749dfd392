"""Bringing a database to the current schema, by Alembic; imported only when that is needed."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

CONNECTION = "connection"
"""The attribute by which ``migrations/env.py`` is given its connection."""


def configuration() -> Config:
    """Give Alembic's configuration for the ledger; it needs no file of its own.

    Returns:
        The configuration, whose scripts are those of the package ``migrations``.
    """
    config = Config()
    config.set_main_option("script_location", "image_promotion.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config


def known_revisions() -> frozenset[str]:
    """List the revisions this code has migrations for.

    Returns:
        Their names.
    """
    scripts = ScriptDirectory.from_config(configuration())
    return frozenset(script.revision for script in scripts.walk_revisions())


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database lacks, inside the connection's transaction.

    Args:
        connection: A writing connection, which holds the lock that lets only one migrate.
    """
    config = configuration()
    config.attributes[CONNECTION] = connection
    command.upgrade(config, "head")
