"""Opening the ledger's database, bringing its schema up to date, and transactions.

What differs between SQLite and PostgreSQL is here and nowhere else. A writing transaction of SQLite
takes its lock at once (BEGIN IMMEDIATE): two that read first and wrote later would dead-lock.
On PostgreSQL (READ COMMITTED) writers lock the rows that they compare before they write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Pool,
    Table,
    column,
    create_engine,
    event,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from image_promotion.errors import LedgerError
from image_promotion.ledger.failures import ledger_error
from image_promotion.ledger.location import parse_url, redacted
from image_promotion.ledger.tables import SCHEMA_REVISION, VERSION_TABLE

LOCK_TIMEOUT_S = 30
SHORT_LOCK_TIMEOUT_S = 0.5
"""So long does a transaction wait that may as well not take place."""
CONNECT_TIMEOUT_S = 10
BATCH_SIZE = 1000
"""Values in one IN list: SQLite before 3.32 and PostgreSQL both have limits on parameters."""

_BUSY_PAUSE_S = 0.05
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_MIGRATION_LOCK = 0x70726F6D6F7465
"""The key of the advisory lock under which PostgreSQL's schema is migrated; any number of ours."""

_WRITES = "ledger_writes"
"""The execution option that tells the transactions that write from those that only read."""

_SOON = "ledger_writes_soon"
"""The execution option of those that write, and rather fail than wait."""

_Item = TypeVar("_Item")

_migrating = threading.Lock()
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_of_the_parent: list[Pool] = []


class Database:
    """An open database of the current schema.

    Args:
        url: Where it is.
        engine: SQLAlchemy's engine for it.
    """

    def __init__(self, url: URL, engine: Engine) -> None:
        self._url = url
        self._reader = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._impatient = engine.execution_options(**{_WRITES: True, _SOON: True})

    @classmethod
    def open(cls, url: str) -> Database:
        """Open, create or migrate the database at this URL.

        Args:
            url: As ``location.parse_url`` reads it.

        Returns:
            The open database. Several processes may do this at once: one migrates, all go on.

        Raises:
            LedgerError: It cannot be opened, is no ledger, or is newer than this code.
        """
        parsed = parse_url(url)
        is_sqlite = parsed.drivername == "sqlite"
        if is_sqlite:
            _create_file(parsed)
        engine = _sqlite_engine(parsed) if is_sqlite else _postgresql_engine(parsed)
        _engines.add(engine)
        database = cls(parsed, engine)
        try:
            if is_sqlite:
                _write_ahead(engine)
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close every connection."""
        self._reader.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in a transaction that only reads."""
        with self._translating(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that writes; it is committed at the end."""
        with self._translating(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def writing_soon(self) -> Iterator[Connection]:
        """Give a connection as ``writing`` does, or fail where others write for long.

        Raises:
            LedgerError: Others were writing for ``SHORT_LOCK_TIMEOUT_S``, or as for all.
        """
        with self._translating(), self._impatient.begin() as connection:
            yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise ledger_error(error, self._url) from error

    def _migrate(self) -> None:
        with self.reading() as connection:
            if _revision(connection) == SCHEMA_REVISION:
                return
        # Alembic keeps the migration it is at in module variables: one thread at a time.
        with _migrating, self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
                )
            revision = _revision(connection)
            if revision == SCHEMA_REVISION:
                return
            # Alembic takes as long to import as everything else here; a task finds nothing to do.
            from image_promotion.ledger import migration  # noqa: PLC0415 - see above

            if revision is not None and revision not in migration.known_revisions():
                raise LedgerError(
                    f"the ledger at {redacted(self._url)} has schema {revision}, which is newer "
                    f"than this code knows ({SCHEMA_REVISION})",
                    advice="Upgrade image-promotion here, or give this one a ledger of its own.",
                )
            migration.upgrade(connection)


def insert_if_absent(
    connection: Connection, into: Table, rows: Sequence[Mapping[str, object]]
) -> None:
    """Insert those rows that break no unique constraint.

    Args:
        connection: A writing connection.
        into: The table.
        rows: The values of each row, by column name.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(into).on_conflict_do_nothing(), rows)
    else:
        connection.execute(sqlite.insert(into).on_conflict_do_nothing(), rows)


def in_batches(items: Collection[_Item], size: int = BATCH_SIZE) -> Iterator[Sequence[_Item]]:
    """Cut a collection into batches, by default such as an IN list can hold.

    Args:
        items: The values.
        size: How many there are in a batch, at most.

    Yields:
        The batches.
    """
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch


def _revision(connection: Connection) -> str | None:
    """Read which migration the database is at; None for one that holds no ledger yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = table(VERSION_TABLE, column("version_num"))
    revision: str | None = connection.execute(select(versions.c.version_num)).scalar()
    return revision


def _create_file(url: URL) -> None:
    """Create the file if it is not there, for its owner only."""
    path = Path(url.database or "")
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, _FILE_MODE))
    except OSError as error:
        raise LedgerError(
            f"the ledger at {redacted(url)} cannot be created: {error.strerror}",
            advice="Check that its path is a file in a folder that we may write to.",
        ) from error


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": LOCK_TIMEOUT_S},
        pool_timeout=LOCK_TIMEOUT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The module's own transactions begin too late, and not at all for reads and DDL.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        writes, is_impatient = options.get(_WRITES, False), options.get(_SOON, False)
        if is_impatient:
            _set_busy_timeout(connection, SHORT_LOCK_TIMEOUT_S)
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        finally:
            if is_impatient:
                # The connection goes back to a pool that others take it from.
                _set_busy_timeout(connection, LOCK_TIMEOUT_S)

    return engine


def _set_busy_timeout(connection: Connection, timeout_s: float) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {timeout_s * 1000:.0f}")


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        # Prepared statements do not survive the pooling of PgBouncer.
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "prepare_threshold": None},
        pool_pre_ping=True,
        pool_timeout=LOCK_TIMEOUT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Also when it only reads: a whole table is locked while its schema changes.
        is_impatient = connection.get_execution_options().get(_SOON, False)
        timeout_s = SHORT_LOCK_TIMEOUT_S if is_impatient else LOCK_TIMEOUT_S
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {timeout_s * 1000:.0f}")

    return engine


def _leave_connections_to_parent() -> None:
    """Put aside, in a forked child, the connections that its parent goes on using.

    They are kept, not closed: SQLite warns of closing a parent's connection, and closing one to
    PostgreSQL would say goodbye in the parent's name.

    Source: documentation of SQLAlchemy 2.1, "Using Connection Pools with Multiprocessing or
    os.fork()"; SQLite documentation, "How To Corrupt An SQLite Database File".
    """
    for engine in _engines:
        _of_the_parent.append(engine.pool)
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_connections_to_parent)


def _write_ahead(engine: Engine) -> None:
    """Let readers and a writer work at once; the file remembers it.

    The switch wants the file for itself for a moment and does not wait for others to leave it, so
    we do. Where it cannot be made the ledger works without; what else is wrong with the file shows
    in the next step.

    Source: SQLite documentation, "Write-Ahead Logging".
    """
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                return
        else:
            return
        time.sleep(_BUSY_PAUSE_S)
