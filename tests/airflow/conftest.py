from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.utils.db import initdb

from sandbox.registry_process import RegistryProcess
from tests.support.policy_runs import PolicyRuns

_HERE = Path(__file__).parent

# Airflow uses what its own libraries call deprecated. In a later one of these, ours stays an error.
_WARNINGS = (
    "ignore::DeprecationWarning",
    "ignore:Using `httpx` with `starlette.testclient`",
    "error::DeprecationWarning:image_promotion.*",
)

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Forgive Airflow's warnings in the tests of this folder."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.filterwarnings(*_WARNINGS))


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    """Make the metadata database of the Airflow in this process."""
    initdb()


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("dev"), name="dev") as process:
        yield process


@pytest.fixture(scope="session")
def qa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("qa"), name="qa") as process:
        yield process


@pytest.fixture
def policy(
    dev: RegistryProcess,
    qa: RegistryProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> PolicyRuns:
    """A policy of the test's own, written, with its connections and an empty ledger."""
    folder = tmp_path / "policies"
    folder.mkdir()
    ledger_url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("IMAGE_PROMOTION_POLICIES", str(folder))
    monkeypatch.setenv("IMAGE_PROMOTION_LEDGER", ledger_url)
    policy = PolicyRuns(f"site{next(_numbers)}", folder, ledger_url, dev.url, qa.url, monkeypatch)
    policy.connect("dev_registry", dev.url)
    policy.connect("qa_registry", qa.url)
    policy.write()
    return policy
