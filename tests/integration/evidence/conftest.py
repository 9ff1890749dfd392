from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.registry_process import RegistryProcess


@pytest.fixture
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """An empty registry that lets anybody do anything."""
    with RegistryProcess.start(tmp_path_factory.mktemp("dev"), name="dev") as process:
        yield process
