from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from image_promotion.ledger.ledger import Ledger
from image_promotion.web.pages.access import readable_dags
from image_promotion.web.pages.airflow_state import DagState, LastRun, TaskKey
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.policy_shelf import PolicyShelf
from image_promotion.web.pages.routes import add_pages
from tests.support.ledger_story import START, Story

if TYPE_CHECKING:
    from starlette.testclient import TestClient

_HERE = Path(__file__).parent

POLICY = """\
name: {name}
description: Stable builds go to QA.
source:
  connection: {source[0]}
  repository: {source[1]}
target:
  connection: {target[0]}
  repository: {target[1]}
  tag: "%n-%Y"
triggers:
  - tag: {{ends_with: -stable}}
"""

NOW = START + timedelta(hours=2)


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


def _client(app: FastAPI, root_path: str) -> TestClient:
    from starlette.testclient import (  # noqa: PLC0415 - it warns, which only the tests forgive
        TestClient,
    )

    return TestClient(app, root_path=root_path)


@dataclass
class ScriptedAirflow:
    """An Airflow that knows what the test says."""

    states: dict[str, DagState] = field(default_factory=dict)
    indexes: dict[TaskKey, int] = field(default_factory=dict)

    def dags(self, dag_ids: object) -> Mapping[str, DagState]:
        assert isinstance(dag_ids, Mapping | list)
        return {name: state for name, state in self.states.items() if name in dag_ids}

    def map_indexes(self, runs: object) -> Mapping[TaskKey, int]:
        assert isinstance(runs, set)
        return {key: index for key, index in self.indexes.items() if key[:2] in runs}


@dataclass
class Pages:
    """The pages over a ledger and a folder of policies, as one user sees them."""

    app: FastAPI
    ledger: Ledger
    folder: Path
    airflow: ScriptedAirflow
    story: Story

    def write_policy(
        self,
        name: str = "website-to-qa",
        source: tuple[str, str] = ("dev_registry", "dev/website"),
        target: tuple[str, str] = ("qa_registry", "qa/website"),
    ) -> None:
        text = POLICY.format(name=name, source=source, target=target)
        (self.folder / f"{name}.yaml").write_text(text)
        self.airflow.states[name] = DagState(
            is_paused=False,
            next_run_at=NOW + timedelta(minutes=5),
            last_run=LastRun("manual__1", "success", NOW),
        )

    def seen_by(self, *dags: str) -> TestClient:
        """Give a client of somebody who may see these DAGs."""
        self.app.dependency_overrides[readable_dags] = lambda: frozenset(dags)
        return _client(self.app, "/airflow/image-promotion")

    def seen_by_nobody(self) -> TestClient:
        self.app.dependency_overrides.clear()
        return _client(self.app, "")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "promotion_ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def pages(tmp_path: Path, migrated: Path) -> Iterator[Pages]:
    folder = tmp_path / "policies"
    folder.mkdir()
    shutil.copy(migrated, tmp_path / "ledger.db")
    airflow = ScriptedAirflow()
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        app = FastAPI(openapi_url=None)
        add_pages(app, Site(lambda: ledger, airflow, PolicyShelf(folder), lambda: NOW))
        yield Pages(app, ledger, folder, airflow, Story(ledger))
