from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.promotion import pipeline
from sandbox.fault_proxy import FaultProxy
from sandbox.registry_process import RegistryProcess
from tests.support.passage import Passage, stages_noting_errors


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("dev"), name="dev") as process:
        yield process


@pytest.fixture(scope="session")
def qa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("qa"), name="qa") as process:
        yield process


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with nothing in it; copying it takes a tenth of the time of making one."""
    path = tmp_path_factory.mktemp("ledger") / "promotion_ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def ledger_url(tmp_path: Path, migrated: Path) -> str:
    path = shutil.copy(migrated, tmp_path / "promotion_ledger.db")
    return f"sqlite:///{path}"


@pytest.fixture
def passage(
    dev: RegistryProcess,
    qa: RegistryProcess,
    ledger_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Passage]:
    """A policy's way, whole until a test breaks it."""
    with (
        Ledger.open(ledger_url) as ledger,
        FaultProxy(dev.url) as source,
        FaultProxy(qa.url) as target,
    ):
        passage = Passage(dev, qa, source, target, ledger)
        monkeypatch.setattr(pipeline, "Stages", stages_noting_errors(passage))
        yield passage
