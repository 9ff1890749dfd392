from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from image_promotion.ledger.ledger import Ledger
from image_promotion.web.connection_states import ConnectionStates
from image_promotion.web.form.audit import SavedPolicy
from image_promotion.web.pages.access import (
    connection_rights,
    pausable_dags,
    readable_dags,
    runnable_dags,
    user_name,
)
from image_promotion.web.pages.airflow_state import DagState, LastRun
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.policy_shelf import PolicyShelf
from image_promotion.web.pages.routes import add_pages
from image_promotion.web.pages.task_lines import Lines, RunName
from tests.support.ledger_story import START, Story
from tests.support.memory_store import MemoryStore
from tests.unit.web.pages.doubles import ScriptedDags, ScriptedRegistries, ScriptedRights

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
    carried: dict[RunName, Lines] = field(default_factory=dict)

    def dags(self, dag_ids: object) -> Mapping[str, DagState]:
        assert isinstance(dag_ids, Mapping | list)
        return {name: state for name, state in self.states.items() if name in dag_ids}

    def lines(self, runs: object) -> Mapping[RunName, Lines]:
        assert isinstance(runs, set)
        return {run: lines for run, lines in self.carried.items() if run in runs}


@dataclass
class Pages:
    """The pages over a ledger and a folder of policies, as one user sees them."""

    app: FastAPI
    ledger: Ledger
    folder: Path
    airflow: ScriptedAirflow
    story: Story
    edits_connections: bool = False
    triggers: bool = True
    saved: list[SavedPolicy] = field(default_factory=list)
    dags: ScriptedDags = field(default_factory=ScriptedDags)
    registries: ScriptedRegistries = field(default_factory=ScriptedRegistries)
    stores: dict[str, MemoryStore] = field(default_factory=dict)

    def begin(self, ledger: Ledger) -> None:
        """Begin anew: no policies, and everything as it is where a test says nothing."""
        for path in self.folder.iterdir():
            path.unlink()
        self.ledger, self.story = ledger, Story(ledger)
        self.edits_connections, self.triggers = False, True
        self.airflow.states.clear()
        self.airflow.carried.clear()
        self.dags.standings.clear()
        self.dags.told.clear()
        self.dags.refusal = None
        self.registries.missing.clear()
        self.registries.results.clear()
        self.registries.probed.clear()
        self.saved.clear()
        self.stores |= {name: MemoryStore(name, name) for name in self.stores}
        self.app.dependency_overrides.clear()

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
        runnable = frozenset(dags if self.triggers else ())
        self.app.dependency_overrides |= {
            readable_dags: lambda: frozenset(dags),
            runnable_dags: lambda: runnable,
            pausable_dags: lambda: runnable,
            connection_rights: lambda: ScriptedRights(self.edits_connections),
            user_name: lambda: "ada",
        }
        return _client(self.app, "/airflow/image-promotion")

    def seen_by_nobody(self) -> TestClient:
        self.app.dependency_overrides.clear()
        return _client(self.app, "")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "promotion_ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@contextmanager
def open_pages(folder: Path, ledger_file: Path) -> Iterator[Pages]:
    """Open pages over an empty ledger and no policies.

    Args:
        folder: Where both go.
        ledger_file: A migrated ledger, to be copied.

    Yields:
        The pages.
    """
    policies = folder / "policies"
    policies.mkdir()
    shutil.copy(ledger_file, folder / "ledger.db")
    airflow, dags, registries = ScriptedAirflow(), ScriptedDags(), ScriptedRegistries()
    saved: list[SavedPolicy] = []
    stores = {name: MemoryStore(name, name) for name in ("dev_registry", "qa_registry", "prod")}
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        app = FastAPI(openapi_url=None)
        site = Site(
            lambda: opened.ledger,
            airflow,
            PolicyShelf(policies),
            lambda: NOW,
            registries=registries,
            # A clock that runs far ahead at each look lets it keep nothing.
            connection_states=ConnectionStates(count(0, 1000).__next__, waited_s=60),
            dags=dags,
            probe_side=registries.probe,
            note_saved_policy=saved.append,
            open_store=lambda endpoint: stores.get(endpoint.connection_id, MemoryStore()),
        )
        add_pages(app, site)
        story = Story(ledger)
        opened = Pages(app, ledger, policies, airflow, story, dags=dags, registries=registries)
        opened.saved, opened.stores = saved, stores
        yield opened


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Pages]:
    """Open pages once for all tests: making so many routes takes longer than most tests do."""
    with open_pages(tmp_path_factory.mktemp("stage"), migrated) as opened:
        yield opened


@pytest.fixture
def pages(stage: Pages, tmp_path: Path, migrated: Path) -> Iterator[Pages]:
    shutil.copy(migrated, tmp_path / "ledger.db")
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        stage.begin(ledger)
        yield stage
