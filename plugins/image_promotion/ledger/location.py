"""Where the ledger is: its URL, from the environment or the default.

URLs are SQLAlchemy's (documentation of SQLAlchemy 2.1, "Database URLs"); connections in the
environment are read as Airflow reads them (documentation of Airflow 3.3, "Managing Connections").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from image_promotion.errors import ConnectionSettingsError, LedgerError

CONNECTION_ID = "promotion_ledger"
URL_VARIABLE = "IMAGE_PROMOTION_LEDGER"
CONNECTION_VARIABLE = f"AIRFLOW_CONN_{CONNECTION_ID.upper()}"
FILE_NAME = "promotion_ledger.db"

_ALLOWED = "Allowed are sqlite:///PATH and postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_POSTGRESQL_DRIVER = "postgresql+psycopg"
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": _POSTGRESQL_DRIVER,
    "postgresql": _POSTGRESQL_DRIVER,
    "postgresql+psycopg": _POSTGRESQL_DRIVER,
    "postgresql+psycopg2": _POSTGRESQL_DRIVER,
}


def ledger_url(environ: Mapping[str, str]) -> str:
    """Find the ledger's URL.

    Args:
        environ: The environment. IMAGE_PROMOTION_LEDGER comes first, then the Airflow connection
            AIRFLOW_CONN_PROMOTION_LEDGER (a URI or JSON), then an SQLite file beside Airflow's own,
            in AIRFLOW_HOME or ``~/airflow``.

    Returns:
        A URL that names its driver. It may hold a password.

    Raises:
        LedgerError: IMAGE_PROMOTION_LEDGER is no URL of a database we can use.
        ConnectionSettingsError: The connection is none.
    """
    if text := environ.get(URL_VARIABLE, "").strip():
        url = parse_url(text)
    elif text := environ.get(CONNECTION_VARIABLE, "").strip():
        url = _from_connection(text)
    else:
        home = Path(environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
        url = URL.create("sqlite", database=str((home / FILE_NAME).absolute()))
    return url.render_as_string(hide_password=False)


def parse_url(text: str) -> URL:
    """Read a ledger's URL and name its driver.

    Args:
        text: The URL; ``postgres://`` and ``postgresql://`` mean psycopg.

    Returns:
        The URL with the driver that is used.

    Raises:
        LedgerError: It is no URL, of another database, or of one in memory. The text is not
            repeated, since a password cannot be told from the rest of what is no URL.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise LedgerError("the ledger's URL is no URL", advice=f"{_ALLOWED}.") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise LedgerError(f"the ledger cannot be kept in {url.drivername}", advice=f"{_ALLOWED}.")
    if driver == "sqlite" and url.database in {None, "", ":memory:"}:
        raise LedgerError(
            "the ledger cannot be kept in memory: its processes would not see each other's",
            advice=f"{_ALLOWED}.",
        )
    if driver == _POSTGRESQL_DRIVER and not url.database:
        raise LedgerError("the ledger's URL names no database", advice=f"{_ALLOWED}.")
    return url.set(drivername=driver)


def redacted(url: URL) -> str:
    """Render a URL for messages.

    Args:
        url: Any URL.

    Returns:
        The URL without its password, and without its query, which may hold one too.
    """
    return url.set(query={}).render_as_string(hide_password=True)


def _from_connection(text: str) -> URL:
    """Read the value of an AIRFLOW_CONN_ variable: JSON when it begins like it, else a URI."""
    if text.startswith("{"):
        return _from_json(text)
    try:
        url = parse_url(text)
        # A URI holds the extras that are no plain parameters as JSON in one named __extra__.
        extra = url.query.get("__extra__")
        if extra is None:
            return url
        parameters = {key: value for key, value in url.query.items() if key != "__extra__"}
        return url.set(query={**parameters, **_parameters(extra)})
    except LedgerError as error:
        raise _unusable(error.attempted, field="", advice=error.advice) from None


def _from_json(text: str) -> URL:
    try:
        fields = json.loads(text)
    except ValueError:
        raise _unusable(f"{CONNECTION_VARIABLE} is not JSON, although it begins like it") from None
    kind = _text(fields, "conn_type")
    if kind not in _DRIVERS:
        raise _unusable(
            "the ledger's connection is of a type that cannot hold it",
            field="conn_type",
            advice="Allowed are postgres and sqlite.",
        )
    if _DRIVERS[kind] == "sqlite":
        # As Airflow's own SqliteHook: the file is in the host field.
        return parse_url(URL.create("sqlite", database=_text(fields, "host")).render_as_string())
    port = fields.get("port")
    if port is not None and not str(port).isdigit():
        raise _unusable("the ledger's connection has a port that is no number", field="port")
    return parse_url(
        URL.create(
            "postgresql",
            username=_text(fields, "login"),
            password=_text(fields, "password"),
            host=_text(fields, "host"),
            port=None if port is None else int(port),
            database=_text(fields, "schema"),
            query=_parameters(fields.get("extra")),
        ).render_as_string(hide_password=False)
    )


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise _unusable(f"the ledger's connection has a {name} that is no text", field=name)
    return value or None


def _parameters(extra: object) -> dict[str, str]:
    """Take the connection parameters, such as sslmode, from an extra field."""
    if not extra:
        return {}
    try:
        parsed = json.loads(extra) if isinstance(extra, str) else extra
    except ValueError:
        parsed = None
    if not isinstance(parsed, Mapping):
        raise _unusable(
            "the ledger's connection has an extra that is no JSON object", field="extra"
        )
    return {str(key): str(value) for key, value in parsed.items()}


def _unusable(attempted: str, *, field: str = "", advice: str = "") -> ConnectionSettingsError:
    return ConnectionSettingsError(
        attempted, connection_id=CONNECTION_ID, field=field, advice=advice
    )
