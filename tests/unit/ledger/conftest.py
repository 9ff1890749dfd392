from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from tests.support.ledger_story import Story


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a new, empty database; tests/integration/ledger has its own."""
    return f"sqlite:///{tmp_path / 'promotion_ledger.db'}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with nothing in it; copying it takes a tenth of the time of making one."""
    path = tmp_path_factory.mktemp("ledger") / "promotion_ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def ledger(url: str, migrated: Path) -> Iterator[Ledger]:
    shutil.copy(migrated, url.removeprefix("sqlite:///"))
    with Ledger.open(url) as opened:
        yield opened


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)
