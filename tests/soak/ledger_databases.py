"""The ledger's databases, and what can be wrong with them for a while."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from unittest import mock

import psycopg
from sqlalchemy import event

from image_promotion.ledger import database
from image_promotion.ledger.ledger import Ledger
from sandbox.postgresql_process import PostgresqlProcess

LOCK_TIMEOUT_S = 0.2
"""In place of the product's half minute, so that nobody waits so long."""

_DISK_BYTES = 64 * 1024 * 1024
_FILLER_BYTES = 64 * 1024


class Trouble(StrEnum):
    """What is wrong with a ledger."""

    DOWN = "down"
    LOCKED = "locked"
    FULL = "on a full disk"
    READ_ONLY = "read-only"


class LedgerDatabase(Protocol):
    """A ledger in a database that can be given trouble."""

    @property
    def ledger(self) -> Ledger:
        """The ledger."""

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What trouble it can be given here."""

    def in_trouble(self, trouble: Trouble) -> AbstractContextManager[None]:
        """Give it trouble until the context is left, which another thread may do."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system in memory that is filled by one file.

    Attributes:
        folder: Where it is mounted.
    """

    folder: Path

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path) -> Iterator[SmallDisk | None]:
        """Mount one, if we may; only root may."""
        folder.mkdir()
        size = f"size={_DISK_BYTES}"
        mount = ["mount", "-t", "tmpfs", "-o", size, "small-disk", str(folder)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield cls(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=False)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no byte free until the context is left."""
        filler = self.folder / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * _FILLER_BYTES):
                pass
        try:
            yield
        finally:
            filler.unlink()


@dataclass
class SqliteLedger:
    """A ledger in a file; see `LedgerDatabase`.

    Attributes:
        ledger: The ledger.
        path: The file.
        disk: The disk it is on, where that can be filled; else SQLite is told that it is full.
    """

    ledger: Ledger
    path: Path
    disk: SmallDisk | None
    troubles: tuple[Trouble, ...] = (Trouble.LOCKED, Trouble.FULL, Trouble.READ_ONLY)
    _pragma: str = field(default="", init=False)

    def __str__(self) -> str:
        return "SQLite"

    @classmethod
    @contextmanager
    def made(cls, folder: Path, disk: SmallDisk | None = None) -> Iterator[SqliteLedger]:
        """Make it."""
        path = (disk.folder if disk else folder) / "promotion_ledger.db"
        with (
            mock.patch.object(database, "LOCK_TIMEOUT_S", LOCK_TIMEOUT_S),
            Ledger.open(f"sqlite:///{path}") as ledger,
        ):
            made = cls(ledger, path, disk)
            event.listen(ledger._database._reader, "connect", made._prepare)
            yield made

    @contextmanager
    def in_trouble(self, trouble: Trouble) -> Iterator[None]:
        """Give it trouble until the context is left."""
        with ExitStack() as stack:
            if trouble is Trouble.LOCKED:
                stack.enter_context(self._locked())
            elif trouble is Trouble.FULL and self.disk:
                stack.enter_context(self.disk.full())
            elif trouble is Trouble.FULL:
                stack.enter_context(self._with_pragma(f"max_page_count = {self._pages()}"))
            else:
                stack.enter_context(self._with_pragma("query_only = ON"))
            yield

    def _prepare(self, connection: sqlite3.Connection, _record: object) -> None:
        if self._pragma:
            connection.execute(f"PRAGMA {self._pragma}")

    @contextmanager
    def _with_pragma(self, pragma: str) -> Iterator[None]:
        """Limit all connections that are made from now on, and let those that are there go."""
        self._pragma = pragma
        self.ledger._database.close()
        try:
            yield
        finally:
            self._pragma = ""
            self.ledger._database.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            other.execute("PRAGMA busy_timeout = 60000")
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    def _pages(self) -> int:
        connection = sqlite3.connect(self.path)
        try:
            pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
        finally:
            connection.close()
        return pages


@dataclass
class PostgresqlLedger:
    """A ledger on a server; see `LedgerDatabase`.

    Attributes:
        ledger: The ledger.
        server: The server.
        disk: The disk that the database is on, where that can be filled.
    """

    ledger: Ledger
    server: PostgresqlProcess
    disk: SmallDisk | None
    name: str = "promotions"

    def __str__(self) -> str:
        return "PostgreSQL"

    @classmethod
    @contextmanager
    def made(
        cls, server: PostgresqlProcess, disk: SmallDisk | None = None
    ) -> Iterator[PostgresqlLedger]:
        """Make it."""
        url = server.create_database(cls.name)
        if disk is not None:
            space = disk.folder / "tablespace"
            space.mkdir()
            shutil.chown(space, "postgres")
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
                connection.execute(f"ALTER DATABASE {cls.name} SET TABLESPACE small")
        with (
            mock.patch.object(database, "LOCK_TIMEOUT_S", LOCK_TIMEOUT_S),
            Ledger.open(url) as ledger,
        ):
            yield cls(ledger, server, disk)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What trouble it can be given here."""
        some = (Trouble.DOWN, Trouble.LOCKED, Trouble.READ_ONLY)
        return (*some, Trouble.FULL) if self.disk else some

    @contextmanager
    def in_trouble(self, trouble: Trouble) -> Iterator[None]:
        """Give it trouble until the context is left."""
        match trouble:
            case Trouble.DOWN:
                self.server.crash()
                try:
                    yield
                finally:
                    self.server.restart()
            case Trouble.LOCKED:
                with psycopg.connect(self.server.url(self.name)) as connection:
                    connection.execute("LOCK TABLE ledger_policies, ledger_promotions")
                    yield
            case Trouble.READ_ONLY:
                self._let_write("off")
                try:
                    yield
                finally:
                    self._let_write("on")
            case Trouble.FULL:
                assert self.disk is not None, "nothing to fill"
                with self.disk.full():
                    yield

    def _let_write(self, switch: str) -> None:
        read_only = {"on": "off", "off": "on"}[switch]
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(
                f"ALTER DATABASE {self.name} SET default_transaction_read_only = {read_only}"
            )
            # It is for sessions that begin from now on.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [self.name],
            )
