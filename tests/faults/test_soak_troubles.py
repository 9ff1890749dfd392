"""A part of the other commands of `scripts/soak`: kills, rivals, and a ledger in trouble."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from sandbox.postgresql_process import PostgresqlProcess
from tests.soak import kills, rivals
from tests.soak.killing import Phase, kill_of, schedule_of
from tests.soak.ledger_databases import PostgresqlLedger, SqliteLedger
from tests.soak.ledger_troubles import Play, plays_on
from tests.soak.pool import Perform
from tests.soak.rig import Rig

PLAYS = (
    *("SQLite locked", "SQLite, clock jumps", "SQLite, daylight saving time"),
    *("PostgreSQL down", "PostgreSQL locked", "PostgreSQL of the migration before"),
)

KILLS = (0, 2, 6, 11)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the stages say stands in the timeline as well."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(scope="module")
def kill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Perform]:
    with kills.open_place(tmp_path_factory.mktemp("kills")) as perform:
        yield perform


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlProcess]:
    with PostgresqlProcess.start() as started:
        yield started


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig.start(tmp_path_factory.mktemp("rig")) as started:
        yield started


@pytest.fixture(scope="module")
def plays(
    tmp_path_factory: pytest.TempPathFactory, server: PostgresqlProcess
) -> Iterator[dict[str, Play]]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("ledgers")
        sqlite = stack.enter_context(SqliteLedger.made(folder))
        postgresql = stack.enter_context(PostgresqlLedger.made(server))
        yield {**plays_on(sqlite), **plays_on(postgresql)}


def test_the_kills_of_this_part_are_of_each_kind() -> None:
    assert {kill_of(seed, schedule_of(seed)).phase for seed in KILLS} == set(Phase)


@pytest.mark.parametrize("seed", KILLS)
def test_a_killed_task_is_tried_again_and_each_image_is_promoted_once(
    kill: Perform, seed: int
) -> None:
    told = kill(seed)

    assert told.violations == (), "\n".join(told.log)
    assert told.figures["kills"] == 1


@pytest.mark.parametrize("name", PLAYS)
def test_a_ledger_in_trouble_is_told_clearly_and_nothing_is_lost(
    plays: dict[str, Play], rig: Rig, name: str
) -> None:
    done = plays[name](PLAYS.index(name), rig)

    assert done.violations() == [], "\n".join(map(str, done.scene.timeline.entries))


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_of_two_schedulers_and_a_command_at_once_one_promotes(
    server: PostgresqlProcess, rig: Rig, tmp_path: Path, where: str
) -> None:
    path = tmp_path / "promotion_ledger.db"
    url = f"sqlite:///{path}" if where == "sqlite" else server.create_database("rivals")

    with Ledger.open(url) as ledger:
        told = rivals.contest(1, rig, ledger, url, tmp_path)

    assert told.violations == (), "\n".join(told.log)
