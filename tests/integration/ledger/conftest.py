from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from image_promotion.ledger.ledger import Ledger
from sandbox.postgresql_process import PostgresqlProcess
from tests.support.ledger_story import Story


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresqlProcess]:
    with PostgresqlProcess.start() as started:
        started.create_database("ledger")
        yield started


@pytest.fixture
def url(server: PostgresqlProcess) -> str:
    """The URL of an empty database: emptied, since making one takes longer and 8 MB."""
    with psycopg.connect(server.url("ledger"), autocommit=True) as connection:
        connection.execute("ALTER DATABASE ledger RESET default_transaction_read_only")
        connection.execute("SET client_min_messages = warning")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return server.url("ledger")


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as opened:
        yield opened


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)
