"""Ours as a contender: the whole product, and the client alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from benchmarks.contenders import Contender, Job
from sandbox.registry_process import RegistryProcess

OURS = "ours"
CLIENT_ALONE = "ours, copy only"

_CLIENT = Path(__file__).with_name("client_alone.py")


def whole(name: str = OURS) -> Contender:
    """Give the whole product: scan, evaluate, copy, retag, verify, ledger and report."""
    return Contender(name, sys.executable, _run, lambda _: True, ("--version",))


def alone(name: str = CLIENT_ALONE) -> Contender:
    """Give our registry client as a library: list, copy, set the tags; no ledger, no policy."""
    return Contender(name, sys.executable, _copy, lambda _: True, ("--version",))


def environment(job: Job, plugins: Path | None) -> Mapping[str, str]:
    """Give the environment of a run of ours.

    Args:
        job: The run.
        plugins: A folder with another version of the package; None for the installed one.

    Returns:
        The variables: two connections, the ledger, and the folder.
    """
    return python(plugins) | {
        "AIRFLOW_CONN_BENCHMARK_SOURCE": _connection(job.source),
        "AIRFLOW_CONN_BENCHMARK_TARGET": _connection(job.target),
        "IMAGE_PROMOTION_LEDGER": f"sqlite:///{job.folder / 'ledger.db'}",
    }


def python(plugins: Path | None) -> dict[str, str]:
    """Give the environment that Python needs.

    Args:
        plugins: A folder with another version of the package; None for the installed one.

    Returns:
        The variables. Compiled modules are kept, as with any installed program.
    """
    found = {} if plugins is None else {"PYTHONPATH": str(plugins)}
    return found | {"PYTHONDONTWRITEBYTECODE": ""}


def start() -> list[str]:
    """Give the command line that loads what a run needs, as a run does, and does nothing."""
    load = "with loaded_for_good(): import image_promotion.cli.commands"
    return [
        sys.executable,
        "-c",
        f"from image_promotion.cli.loading import loaded_for_good\n{load}",
    ]


def make_ledger(file: Path) -> None:
    """Make a ledger that has its tables and nothing in them: it is made once in its life."""
    from image_promotion.ledger.ledger import Ledger  # noqa: PLC0415 - the harness stays small

    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob(f"{file.name}*"):
        old.unlink()
    Ledger.open(f"sqlite:///{file}").close()


def lay_ledger(kept: Path, job: Job) -> None:
    """Give a run a copy of a ledger."""
    for part in kept.parent.glob(f"{kept.name}*"):
        shutil.copy(part, job.folder / part.name.replace(kept.name, "ledger.db"))


def _run(job: Job) -> list[str]:
    policy = {
        "name": "benchmark",
        "description": "Every image of a repository goes to another registry.",
        "source": {"connection": "benchmark_source", "repository": job.workload.repository},
        "target": {"connection": "benchmark_target", "repository": job.repository},
        "triggers": [{"tag": {"starts_with": "v"}}],
        "schedule": "manual",
    }
    file = job.folder / "benchmark.yaml"
    file.write_text(yaml.safe_dump(policy, sort_keys=False))
    return [sys.executable, "-m", "image_promotion.cli.main", "run", str(file)]


def _copy(job: Job) -> list[str]:
    return [
        sys.executable,
        str(_CLIENT),
        job.source.url,
        job.workload.repository,
        job.target.url,
        job.repository,
    ]


def _connection(registry: RegistryProcess) -> str:
    return json.dumps({"conn_type": "container_registry", "host": registry.url})
