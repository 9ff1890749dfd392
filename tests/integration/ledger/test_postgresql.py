"""The ledger on a real PostgreSQL: what it does on SQLite too, and what is PostgreSQL's own."""

from __future__ import annotations

import psycopg
import pytest

from image_promotion.errors import LedgerError
from image_promotion.ledger import database as database_module
from image_promotion.ledger.ledger import Ledger
from sandbox.postgresql_process import PostgresqlProcess
from tests.support.ledger_story import Story

# The very test functions of SQLite; the fixtures of this folder give them PostgreSQL.
from tests.unit.ledger.test_aims import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_approvals import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_attestations import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_chronicle import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_concurrency import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_decisions import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_evidence import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_history import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_images import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_notices import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_observations import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_promotions import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_rechecks import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_removals import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_rollbacks import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_runs import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_schema import *  # noqa: F403 - collected from here again
from tests.unit.ledger.test_upstream import *  # noqa: F403 - collected from here again


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(LedgerError, match="cannot be reached") as refused:
        Ledger.open("postgresql://promotion:canary-7f3a@127.0.0.1:1/ledger")

    assert refused.value.retryable
    assert refused.value.advice
    assert "canary-7f3a" not in str(refused.value)


def test_a_wrong_password_is_not_repeated_in_the_error(server: PostgresqlProcess) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger.open(server.url().replace(server.password, "canary-7f3a"))

    assert "password authentication failed" in str(refused.value)
    assert "canary-7f3a" not in str(refused.value)


def test_a_database_that_does_not_exist_is_an_error(server: PostgresqlProcess) -> None:
    with pytest.raises(LedgerError, match="nowhere"):
        Ledger.open(server.url("nowhere"))


def test_a_connection_that_the_server_ended_is_replaced(
    server: PostgresqlProcess, story: Story
) -> None:
    run = story.run(key="monday")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'ledger%' AND pid <> pg_backend_pid()"
        )

    assert story.ledger.run("monday") == run


def test_a_promotion_that_stays_locked_is_an_error_that_may_pass(
    url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = story.run()
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 1)

    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM ledger_policies FOR UPDATE")
        with pytest.raises(LedgerError, match="is locked") as locked:
            story.scan(run, stable="sha256:a")

    assert locked.value.retryable
    assert story.scan(run, stable="sha256:a")["stable"].ordinal == 1


def test_a_reader_does_not_wait_forever_for_whoever_changes_the_tables(
    url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.run(key="monday")
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.1)

    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE ledger_runs")
        with pytest.raises(LedgerError, match="is locked") as locked:
            story.ledger.run("monday")

    assert locked.value.retryable
    assert story.ledger.run("monday")


def test_a_role_that_may_not_write_is_told_so(server: PostgresqlProcess, url: str) -> None:
    Ledger.open(url).close()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER DATABASE ledger SET default_transaction_read_only = on")

    with Ledger.open(url) as ledger, pytest.raises(LedgerError, match="cannot be written") as no:
        Story(ledger).run()

    assert "primary" in no.value.advice
    assert not no.value.retryable
