from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from image_promotion.cli import commands
from image_promotion.cli.policies import find_policy
from image_promotion.promotion.stores import Stores
from tests.unit.cli.test_policies import write


def test_sigterm_ends_what_is_under_way_between_two_steps_and_closes_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEV", "QA"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_REGISTRY", "container-registry://localhost:1")
    policy = find_policy(str(write(tmp_path, "website")), tmp_path)
    happened = []

    async def act(stores: Stores) -> None:
        store = stores.of("qa_registry")
        os.kill(os.getpid(), signal.SIGTERM)
        happened.append("the step went to its end")
        try:
            await asyncio.sleep(60)
        finally:
            happened.append(f"and {store.name} was still open")

    before = signal.signal(signal.SIGTERM, _torn)
    try:
        with pytest.raises(KeyboardInterrupt):
            commands.with_stores(policy, act)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert happened == ["the step went to its end", "and localhost:1 was still open"]


def _torn(_number: int, _frame: object) -> None:
    raise AssertionError("the step was torn")
