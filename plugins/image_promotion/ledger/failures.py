"""From what a database driver raises to LedgerError: what happened, and what to do about it.

Sources: SQLite documentation, "Result and Error Codes"; PostgreSQL 15 documentation, appendix A,
"PostgreSQL Error Codes". Codes decide, never the text of a message.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from image_promotion.errors import LedgerError
from image_promotion.ledger.location import redacted

_PRIMARY_CODE = 0xFF
"""The low byte of an extended SQLite result code is the primary one."""


@dataclass(frozen=True, slots=True)
class _Kind:
    happened: str
    advice: str
    retryable: bool = False


_LOCKED = _Kind(
    "is locked by another process",
    "Try again; if it stays so, find who holds it open, or use PostgreSQL for many workers.",
    retryable=True,
)
_READ_ONLY = _Kind(
    "cannot be written", "Let the user that runs Airflow's tasks write to it and to its folder."
)
_FULL = _Kind("has no space left", "Free space on its disk; nothing that was recorded is lost.")
_UNREACHABLE = _Kind(
    "cannot be reached",
    "Check that the server runs, and the host, port, user and password of the URL.",
    retryable=True,
)
_REFUSED = _Kind("does not let us in", "Check the user, the password and the rights of the URL.")

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _Kind(
        "cannot be opened", "Check that its path is a file in a folder that we may use."
    ),
    sqlite3.SQLITE_NOTADB: _Kind(
        "is no SQLite database", "Move that file away, or name another in the URL."
    ),
    sqlite3.SQLITE_CORRUPT: _Kind("is damaged", "Restore it from a backup."),
    sqlite3.SQLITE_IOERR: _Kind("cannot be read or written", "Check its disk."),
}

# By the code, else by its class, the first two characters.
_POSTGRESQL = {
    "08": _UNREACHABLE,
    "28": _REFUSED,
    "42501": _REFUSED,
    "3D000": _Kind("does not exist", "Create the database, or name another in the URL."),
    "25006": _Kind("cannot be written", "Name the primary server in the URL, not a replica."),
    "53": _Kind("is short of resources", "Try again when the server is less busy.", True),
    "53100": _FULL,
    "40": _Kind("gave way to another transaction", "Try again.", True),
    "55P03": _LOCKED,
    "57": _Kind("interrupted us: it is starting, stopping or told to", "Try again.", True),
}


def ledger_error(error: SQLAlchemyError, url: URL) -> LedgerError:
    """Translate an error of SQLAlchemy or of a driver under it.

    Args:
        error: The error.
        url: The ledger's URL; it is named without password.

    Returns:
        The error to raise: retryable when the ledger was locked, busy or not reached.
    """
    kind = _kind(error)
    said = str(error.orig if isinstance(error, StatementError) else error).strip()
    said = " ".join(said.split()).rstrip(".")
    return LedgerError(
        f"the ledger at {redacted(url)} {kind.happened}: {said}",
        advice=kind.advice,
        retryable=kind.retryable,
    )


def _kind(error: SQLAlchemyError) -> _Kind:
    unknown = _Kind("refused what was asked of it", "")
    if isinstance(error, PoolTimeoutError):
        return _LOCKED
    if not isinstance(error, DBAPIError):
        return unknown
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return unknown if code is None else _SQLITE.get(code & _PRIMARY_CODE, unknown)
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # Without a code there was no answer: psycopg could not connect, or lost the connection.
        return _UNREACHABLE if isinstance(error, OperationalError) else unknown
    return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2]) or unknown
