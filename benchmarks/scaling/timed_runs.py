"""Runs of policies in a real Airflow with two real registries, each timed by stage."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import yaml

from benchmarks.scaling.measurements import RunTook, StageTook
from benchmarks.scaling.processor_time import session_processor_s
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from sandbox.airflow_process import AirflowProcess
from sandbox.registry_process import RegistryProcess
from sandbox.registry_storage import RegistryStorage

PROJECT = Path(__file__).resolve().parents[2]

Say = Callable[[str], None]

_ENDED = frozenset({"success", "failed"})
_POLL_INTERVAL_S = 0.5
_DEADLINE_S = 1800.0
_PAGE = 100


class RunFailedError(Exception):
    """A run did not do what it was to do."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images that one policy promotes in one run.

    Attributes:
        policy: The policy's name, which its repositories bear too.
        images: How many images the source has.
    """

    policy: str
    images: int


class RunSite:
    """Two registries and an Airflow; make it with ``start``, and use it as a context manager.

    Args:
        airflow: Airflow.
        source: The registry with the images.
        target: The registry that is to get them.
        started: What ends them.
    """

    def __init__(
        self,
        airflow: AirflowProcess,
        source: RegistryProcess,
        target: RegistryProcess,
        started: ExitStack,
    ) -> None:
        self._airflow = airflow
        self._source = source
        self._target = target
        self._started = started

    @classmethod
    def start(cls, folder: Path, batches: Sequence[Batch], *, workers: int, say: Say) -> Self:
        """Fill the source, start everything, and wait until Airflow has read the policies.

        Args:
            folder: Where everything is kept; empty.
            batches: The images, and the policies that promote them.
            workers: How many tasks may run at a time at the most.
            say: Takes progress.

        Returns:
            The site.
        """
        policies = folder / "policies"
        policies.mkdir(parents=True)
        storage = RegistryStorage(folder / "dev" / "content")
        for batch in batches:
            for number in range(batch.images):
                content = f"{batch.policy} {number}".encode()
                storage.add_image(
                    f"dev/{batch.policy}", f"v{number}", layer=content, base=batch.policy.encode()
                )
            (policies / f"{batch.policy}.yaml").write_text(yaml.safe_dump(_policy(batch.policy)))
        say(f"{sum(each.images for each in batches):,} images are in the source")
        with ExitStack() as started:
            source, target = (
                started.enter_context(RegistryProcess.start(folder / name, name=name))
                for name in ("dev", "qa")
            )
            airflow = started.enter_context(
                AirflowProcess.start(
                    folder / "airflow",
                    project=PROJECT,
                    policies=policies,
                    connections={
                        f"{each.name}_registry": {
                            "conn_type": "container_registry",
                            "host": each.url,
                        }
                        for each in (source, target)
                    },
                    environment={"AIRFLOW__CORE__PARALLELISM": str(workers)},
                    say=say,
                )
            )
            for batch in batches:
                airflow.request("PATCH", f"/api/v2/dags/{batch.policy}", {"is_paused": False})
            return cls(airflow, source, target, started.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def set_workers(self, workers: int) -> None:
        """Let so many tasks run at a time."""
        path = "/api/v2/pools/default_pool?update_mask=slots"
        self._airflow.request("PATCH", path, {"pool": "default_pool", "slots": workers})

    def run(self, batch: Batch, *, images: int, workers: int) -> RunTook:
        """Run a policy, and see that everything it is about has arrived.

        Args:
            batch: The policy's.
            images: How many images it has to promote.
            workers: How many tasks may run at a time.

        Returns:
            What it took.

        Raises:
            RunFailedError: It failed, or promoted another number of images, or the target does not
                have every tag.
        """
        self.set_workers(workers)
        before = self._processor_s()
        verified_before = self._verified(batch)
        runs = f"/api/v2/dags/{batch.policy}/dagRuns"
        asked_at = time.time()
        started = self._airflow.request("POST", runs, {"logical_date": None})
        path = f"{runs}/{quote(started['dag_run_id'])}"
        deadline = time.monotonic() + _DEADLINE_S
        while (state := self._airflow.request("GET", path)["state"]) not in _ENDED:
            if time.monotonic() > deadline:
                raise RunFailedError(f"{batch.policy} does not end")
            time.sleep(_POLL_INTERVAL_S)
        after = self._processor_s()
        load = os.getloadavg()[0]
        tasks = self._tasks(path)
        stages = _stages(tasks, asked_at)
        promoted = self._verified(batch) - verified_before
        self._check(batch, state, promoted, images)
        return RunTook(
            images=images,
            workers=workers,
            promoted=promoted,
            verified_s=next((each.to_s for each in stages if each.task == "promote.verify"), None),
            wall_s=max(each.to_s for each in stages),
            processor_s={name: round(after[name] - before[name], 2) for name in after},
            stages=stages,
            load=round(load, 2),
        )

    def _check(self, batch: Batch, state: str, promoted: int, images: int) -> None:
        answer = httpx.get(
            f"{self._target.url}/v2/qa/{batch.policy}/tags/list?n=100000", trust_env=False
        )
        tags = len(answer.json()["tags"]) if answer.is_success else 0
        if (state, promoted, tags) != ("success", images, batch.images):
            raise RunFailedError(
                f"{batch.policy}: the run is a {state}, verified {promoted} of {images} images, "
                f"and the target has {tags} of {batch.images} tags"
            )

    def _verified(self, batch: Batch) -> int:
        file = self._airflow.home / "promotion_ledger.db"
        if not file.exists():
            return 0
        with Ledger.open(f"sqlite:///{file}") as ledger:
            entries = ledger.history(policy=batch.policy, limit=10 * batch.images)
        found = {each.promotion.id: each.promotion.state for each in entries if each.promotion}
        return sum(state is State.VERIFIED for state in found.values())

    def _tasks(self, path: str) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        while True:
            page = self._airflow.request(
                "GET", f"{path}/taskInstances?limit={_PAGE}&offset={len(tasks)}"
            )
            tasks += page["task_instances"]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                return tasks

    def _processor_s(self) -> Mapping[str, float]:
        leaders = {
            **self._airflow.pids,
            "source registry": self._source.pid,
            "target registry": self._target.pid,
        }
        return {name: session_processor_s(pid) for name, pid in leaders.items()}


def _policy(name: str) -> Mapping[str, object]:
    return {
        "name": name,
        "source": {"connection": "dev_registry", "repository": f"dev/{name}"},
        "target": {"connection": "qa_registry", "repository": f"qa/{name}"},
        "triggers": [{"tag": {"starts_with": "v"}}],
        "schedule": "manual",
    }


def _stages(tasks: Sequence[Mapping[str, Any]], asked_at: float) -> tuple[StageTook, ...]:
    """Sum up task instances by task, in the order in which the tasks began."""
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in tasks:
        if each["start_date"] and each["end_date"]:
            began, ended = (
                datetime.fromisoformat(each[name]).timestamp() - asked_at
                for name in ("start_date", "end_date")
            )
            spans[each["task_id"]].append((began, ended))
    stages = [
        StageTook(
            task,
            len(some),
            from_s=round(min(began for began, _ in some), 2),
            to_s=round(max(ended for _, ended in some), 2),
            busy_s=round(sum(ended - began for began, ended in some), 2),
        )
        for task, some in spans.items()
    ]
    return tuple(sorted(stages, key=lambda each: each.from_s))
