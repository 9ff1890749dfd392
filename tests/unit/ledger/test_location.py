from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_promotion.errors import ConnectionSettingsError, LedgerError, PromotionError
from image_promotion.ledger.location import ledger_url, parse_url, redacted

SECRET = "canary-7f3a"


def test_the_variable_comes_before_the_connection_and_that_before_the_default() -> None:
    environ = {
        "IMAGE_PROMOTION_LEDGER": "sqlite:////one.db",
        "AIRFLOW_CONN_PROMOTION_LEDGER": "sqlite:////two.db",
        "AIRFLOW_HOME": "/three",
    }

    assert ledger_url(environ) == "sqlite:////one.db"
    environ["IMAGE_PROMOTION_LEDGER"] = "  "
    assert ledger_url(environ) == "sqlite:////two.db"
    del environ["AIRFLOW_CONN_PROMOTION_LEDGER"]
    assert ledger_url(environ) == "sqlite:////three/promotion_ledger.db"


def test_the_default_is_a_file_in_airflows_home() -> None:
    expected = Path("~/airflow/promotion_ledger.db").expanduser()

    assert ledger_url({}) == f"sqlite:///{expected}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg_however_the_url_names_it(scheme: str) -> None:
    found = ledger_url(
        {"IMAGE_PROMOTION_LEDGER": f"{scheme}://u:p%40w@db:5433/ledger?sslmode=require"}
    )

    assert found == "postgresql+psycopg://u:p%40w@db:5433/ledger?sslmode=require"


@pytest.mark.parametrize("extra", [{"sslmode": "require"}, '{"sslmode": "require"}'])
def test_a_connection_may_be_json(extra: object) -> None:
    connection = {
        "conn_type": "postgres",
        "host": "db",
        "port": 5433,
        "login": "u",
        "password": "p@/w",
        "schema": "ledger",
        "extra": extra,
    }

    found = parse_url(ledger_url({"AIRFLOW_CONN_PROMOTION_LEDGER": json.dumps(connection)}))

    assert (found.username, found.password, found.host, found.port) == ("u", "p@/w", "db", 5433)
    assert (found.database, dict(found.query)) == ("ledger", {"sslmode": "require"})


def test_a_connection_may_be_a_uri_with_extras_as_airflow_writes_them() -> None:
    uri = "postgres://u:p@db/ledger?__extra__=%7B%22sslmode%22%3A+%22require%22%7D"

    found = ledger_url({"AIRFLOW_CONN_PROMOTION_LEDGER": uri})

    assert found == "postgresql+psycopg://u:p@db/ledger?sslmode=require"


def test_an_sqlite_connection_names_its_file_as_host() -> None:
    connection = '{"conn_type": "sqlite", "host": "/data/ledger.db"}'

    found = ledger_url({"AIRFLOW_CONN_PROMOTION_LEDGER": connection})

    assert found == "sqlite:////data/ledger.db"


@pytest.mark.parametrize(
    "url",
    [
        f"nonsense {SECRET}",
        f"mysql://u:{SECRET}@db/ledger",
        f"postgresql://u:{SECRET}@db:port/ledger",
        f"postgresql://u:{SECRET}@db",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_cannot_hold_the_ledger_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(LedgerError) as refused:
        ledger_url({"IMAGE_PROMOTION_LEDGER": url})

    assert "sqlite:///PATH" in refused.value.advice
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ('{"conn_type": "postgres"', ""),
        ('{"conn_type": "http", "password": "canary-7f3a"}', "conn_type"),
        ('{"conn_type": "postgres", "host": "db", "schema": "l", "port": "x"}', "port"),
        ('{"conn_type": "postgres", "host": 7, "schema": "l"}', "host"),
        ('{"conn_type": "postgres", "host": "db", "schema": "l", "extra": "["}', "extra"),
        ('{"conn_type": "postgres", "host": "db", "schema": "l", "extra": [1]}', "extra"),
        (f"mysql://u:{SECRET}@db/ledger", ""),
    ],
)
def test_a_connection_that_cannot_hold_the_ledger_is_refused_by_its_field(
    value: str, field: str
) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        ledger_url({"AIRFLOW_CONN_PROMOTION_LEDGER": value})

    assert (refused.value.connection_id, refused.value.field) == ("promotion_ledger", field)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["{}", '{"conn_type": ["postgres"]}', '{"conn_type": "postgres"}']
)
def test_a_connection_with_too_little_in_it_is_an_error_of_ours(value: str) -> None:
    with pytest.raises(PromotionError):
        ledger_url({"AIRFLOW_CONN_PROMOTION_LEDGER": value})


def test_a_redacted_url_holds_neither_password_nor_query() -> None:
    url = parse_url(f"postgresql://u:{SECRET}@db:5433/ledger?sslpassword={SECRET}")

    assert redacted(url) == "postgresql+psycopg://u:***@db:5433/ledger"
