from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_promotion.web.form.saving import MAY_SAVE_VARIABLE
from tests.unit.web.pages.conftest import Pages, migrated, open_pages

__all__ = ["migrated"]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Forgive what Airflow and starlette's client do that is called deprecated."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(
                pytest.mark.filterwarnings(
                    "ignore::DeprecationWarning",
                    "ignore:Using `httpx` with `starlette.testclient`",
                    "error::DeprecationWarning:image_promotion.*",
                )
            )


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Pages]:
    """Open pages once for all tests: the application takes a while to make."""
    with open_pages(tmp_path_factory.mktemp("form"), migrated) as opened:
        yield opened


@pytest.fixture
def making(kept: Pages) -> Pages:
    """Show the pages, without any policies, to somebody who may make some."""
    for path in kept.folder.iterdir():
        path.unlink()
    kept.airflow.states.clear()
    kept.registries.missing.clear()
    kept.registries.results.clear()
    kept.registries.probed.clear()
    kept.saved.clear()
    kept.edits_connections = True
    return kept


@pytest.fixture
def saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page write policy files, as an operator does."""
    monkeypatch.setenv(MAY_SAVE_VARIABLE, "yes")
