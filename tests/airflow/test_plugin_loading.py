"""What the plugin loads in which of Airflow's programs."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from image_promotion import operators
from tests.conftest import PROJECT

HEAVY = "image_promotion.operators.execution"


@pytest.fixture
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "promotion_plugin_under_test", PROJECT / "plugins" / "promotion_plugin.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loads_what_tasks_need(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> bool:
    """Let Airflow load the plugin in a program, and see what came with it."""
    if HEAVY in sys.modules:
        monkeypatch.setattr(operators, "execution", sys.modules[HEAVY], raising=False)
    monkeypatch.delitem(sys.modules, HEAVY, raising=False)
    monkeypatch.setattr(sys, "argv", ["airflow", *arguments])
    plugin.ImagePromotionPlugin.on_load()
    return HEAVY in sys.modules


def test_a_scheduler_whose_tasks_are_its_forks_loads_what_they_need(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    assert loads_what_tasks_need(plugin, monkeypatch, "scheduler", "--skip-serve-logs")


@pytest.mark.parametrize(
    ("executor", "program"),
    [
        ("LocalExecutor", "api-server"),
        ("LocalExecutor", "dag-processor"),
        ("KubernetesExecutor", "scheduler"),
        ("CeleryExecutor", "scheduler"),
    ],
)
def test_no_other_program_does(
    plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, executor: str, program: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert not loads_what_tasks_need(plugin, monkeypatch, program)
