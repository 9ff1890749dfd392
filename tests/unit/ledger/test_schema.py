"""Migrations, and how values lie in the tables; on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import column, inspect, table, update

from image_promotion.errors import LedgerError
from image_promotion.ledger import migration
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import PolicyVersion, State
from image_promotion.ledger.tables import SCHEMA_REVISION, VERSION_TABLE, metadata
from tests.support.ledger_story import Story

VERSION = PolicyVersion("website-to-qa", "sha256:1", "{}")


def test_the_revision_in_the_code_is_the_head_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(migration.configuration())

    assert scripts.get_current_head() == SCHEMA_REVISION


def test_the_migrations_make_the_tables_of_the_code(ledger: Ledger) -> None:
    with ledger._database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_migrations_can_be_taken_back(ledger: Ledger) -> None:
    with ledger._database.writing() as connection:
        config = migration.configuration()
        config.attributes[migration.CONNECTION] = connection
        command.downgrade(config, "base")

        assert inspect(connection).get_table_names() == [VERSION_TABLE]


def test_a_ledger_of_the_first_version_is_brought_up_with_the_digests_it_had(url: str) -> None:
    with Ledger.open(url) as ledger:
        story = Story(ledger)
        promotions = [
            story.promotion_in(state, tag=state.value) for state in (State.FAILED, State.VERIFIED)
        ]
        _take_back_to(ledger, "0001")
    with Ledger.open(url) as ledger:
        with ledger._database.reading() as connection:
            stored = connection.exec_driver_sql("SELECT target_digest FROM ledger_promotions")
            assert [digest for (digest,) in stored] == ["sha256:a", "sha256:a"]
        assert [ledger.promotion(each.id) for each in promotions] == promotions
        assert [len(ledger.transitions(each.id)) for each in promotions] == [2, 4]


def test_what_a_process_of_the_first_version_still_plans_has_the_digest_of_its_source(
    ledger: Ledger,
) -> None:
    promotion = Story(ledger).promotion_in(State.PLANNED)
    with ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE ledger_promotions SET target_digest = NULL")

    assert ledger.promotion(promotion.id) == promotion


def _take_back_to(ledger: Ledger, revision: str) -> None:
    with ledger._database.writing() as connection:
        config = migration.configuration()
        config.attributes[migration.CONNECTION] = connection
        command.downgrade(config, revision)
        columns = {each["name"] for each in inspect(connection).get_columns("ledger_promotions")}
        assert "target_digest" not in columns


def test_a_ledger_is_opened_again_with_what_it_holds(url: str) -> None:
    with Ledger.open(url) as ledger:
        run = Story(ledger).run(key="monday")

    with Ledger.open(url) as ledger:
        assert ledger.run("monday") == run


def test_a_ledger_newer_than_the_code_is_not_touched(url: str) -> None:
    with Ledger.open(url) as ledger, ledger._database.writing() as connection:
        connection.execute(
            update(table(VERSION_TABLE, column("version_num"))).values(version_num="9999")
        )

    with pytest.raises(LedgerError, match="newer than this code") as refused:
        Ledger.open(url)

    assert "Upgrade" in refused.value.advice
    assert not refused.value.retryable


def test_times_come_back_in_utc_to_the_microsecond(ledger: Ledger) -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    begun = ledger.begin_run(VERSION, key="monday", kind="manual", at=at)

    assert begun.started_at == at
    assert begun.started_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    naive = datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001 - what must not be

    with pytest.raises(LedgerError, match="naive"):
        ledger.begin_run(VERSION, key="monday", kind="manual", at=naive)
    assert ledger.run("monday") is None
