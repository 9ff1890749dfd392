"""SQLite's own ways; what both databases do is in the other modules."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from image_promotion.errors import LedgerError
from image_promotion.ledger import database as database_module
from image_promotion.ledger.ledger import Ledger
from tests.support.ledger_story import Story


def test_a_new_ledger_is_made_with_its_folder_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "some" / "folder" / "ledger.db"

    Ledger.open(f"sqlite:///{path}").close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_of_a_ledger_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    path.chmod(0o660)

    Ledger.open(f"sqlite:///{path}").close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_readers_do_not_wait_for_a_writer(story: Story) -> None:
    with story.ledger._database.writing():
        assert story.ledger.history() == ()


def test_foreign_keys_hold_and_the_log_is_written_ahead(ledger: Ledger) -> None:
    with ledger._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_what_fails_half_way_leaves_nothing(story: Story) -> None:
    def write_and_break() -> None:
        with story.ledger._database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO ledger_policies VALUES ('p', '2026-01-01')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_break()

    with story.ledger._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM ledger_policies").scalar() == 0


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes\n" * 100)

    with pytest.raises(LedgerError, match="is no SQLite database") as refused:
        Ledger.open(f"sqlite:///{path}")

    assert str(path) in str(refused.value)
    assert refused.value.advice
    assert not refused.value.retryable
    assert path.read_text() == "these are notes\n" * 100


def test_a_path_that_is_a_folder_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened") as refused:
        Ledger.open(f"sqlite:///{tmp_path}")

    assert refused.value.advice


def test_a_folder_that_is_a_file_cannot_hold_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LedgerError, match="cannot be created") as refused:
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")

    assert refused.value.advice


def test_a_ledger_that_stays_locked_is_an_error_that_may_pass(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.open(url).close()
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_S", 0.05)

    with (
        closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other,
        Ledger.open(url) as ledger,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="is locked") as locked:
            Story(ledger).run()

        assert locked.value.retryable
        assert locked.value.advice
        other.rollback()
        assert Story(ledger).run().id == 1


@pytest.mark.parametrize(
    ("pragma", "said"),
    [("query_only = 1", "cannot be written"), ("max_page_count = 1", "has no space left")],
)
def test_a_ledger_that_cannot_be_written_says_what_to_do(url: str, pragma: str, said: str) -> None:
    with Ledger.open(url) as ledger:
        # The real thing needs a disk of our own; SQLite gives the same codes for these limits.
        with _each_connection(ledger, lambda connection: connection.execute(f"PRAGMA {pragma}")):
            story = Story(ledger)
            with pytest.raises(LedgerError, match=said) as refused:
                story.scan_tags(story.run(), {f"t{n}": "sha256:a" for n in range(1000)})

        assert refused.value.advice
        assert not refused.value.retryable
        assert ledger.history() == ()


def _each_connection(
    ledger: Ledger, prepare: Callable[[sqlite3.Connection], object]
) -> closing[Ledger]:
    """Prepare every connection the ledger opens from now on; closes it at the end."""
    engine = ledger._database._reader
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _record: prepare(connection))
    return closing(ledger)
