"""Airflow's distributed topology by real processes: what docker-compose.yaml starts, on loopback.

PostgreSQL holds Airflow's metadata and the ledger, Redis the queue of two Celery workers; beside
them run the API server, the scheduler, the DAG processor, the triggerer, and two registries. One
policy promotes many images across both workers, and in the end everything is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import yaml

from sandbox.airflow_process import (
    AirflowProcess,
    AirflowRequestError,
    AirflowUnavailableError,
    Program,
)
from sandbox.image_pusher import OCI_MANIFEST
from sandbox.postgresql_process import PostgresqlProcess, PostgresqlUnavailableError
from sandbox.redis_process import RedisProcess, RedisUnavailableError
from sandbox.registry_process import RegistryProcess, RegistryUnavailableError
from sandbox.registry_storage import RegistryStorage
from sandbox.worker_name import VARIABLE

PROJECT = Path(__file__).resolve().parents[1]
POLICY = "apps-to-qa"
WORKERS = ("worker-1", "worker-2")
TASKS_A_WORKER = 2

DONE, FAILED = 0, 1

_SOURCE, _TARGET = "dev/apps", "qa/apps"
_LOADED_ONCE = ("image_promotion.dag_builder", "image_promotion.operators.execution")
_STAGES = ("promote.copy", "promote.retag", "promote.verify")
_ENDED = frozenset({"success", "failed"})
_POLL_INTERVAL_S = 1.0
_DEADLINE_S = 3600.0
_PAGE = 100
_QUESTIONS_AT_ONCE = 8

Say = Callable[[str], None]

_POLICY: Mapping[str, object] = {
    "name": POLICY,
    "source": {"connection": "dev_registry", "repository": _SOURCE},
    "target": {"connection": "qa_registry", "repository": _TARGET},
    "triggers": [{"tag": {"starts_with": "v"}}],
    "schedule": "manual",
}

_COUNT = """
    SELECT p.target_tag, o.digest, count(*), min(p.state)
    FROM ledger_promotions p JOIN ledger_observations o ON o.id = p.observation_id
    GROUP BY p.target_tag, o.digest
"""


class ClusterFailedError(Exception):
    """The cluster did not do what it was to do."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run over the cluster came to.

    Attributes:
        seconds: From the question for the run to its end.
        images_by_worker: How many images each worker took through each stage.
        faults: What is wrong in the end; empty when each image is there exactly once.
    """

    seconds: float
    images_by_worker: Mapping[str, Mapping[str, int]]
    faults: Sequence[str]


class Cluster:
    """All processes of it.

    Args:
        folder: Where they keep everything; empty.
        images: How many images the dev registry gets.
        started: What it starts is put here, to be ended.
        say: Takes progress.
    """

    def __init__(self, folder: Path, images: int, started: ExitStack, say: Say) -> None:
        self._images = images
        self._say = say
        storage = RegistryStorage(folder / "dev" / "content")
        self._digests = {
            image.tag: image.digest
            for image in (
                storage.add_image(_SOURCE, f"v{n}", layer=f"app {n}".encode(), base=b"base")
                for n in range(images)
            )
        }
        say(f"{images:,} images are in the dev registry")
        postgresql = started.enter_context(PostgresqlProcess.start())
        self._ledger_url = postgresql.create_database("ledger")
        metadata_url = postgresql.create_database("airflow").replace(
            "postgresql://", "postgresql+psycopg://"
        )
        redis = started.enter_context(RedisProcess.start(folder / "redis"))
        say("PostgreSQL and Redis answer")
        dev, self._qa = (
            started.enter_context(RegistryProcess.start(folder / name, name=name))
            for name in ("dev", "qa")
        )
        policies = folder / "policies"
        policies.mkdir()
        (policies / f"{POLICY}.yaml").write_text(yaml.safe_dump(_POLICY))
        self._airflow = started.enter_context(
            AirflowProcess.start(
                folder / "airflow",
                project=PROJECT,
                policies=policies,
                environment={
                    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                    "AIRFLOW__CORE__PARALLELISM": "16",
                    "AIRFLOW__CELERY__BROKER_URL": redis.url(),
                    # Tasks are forked from a worker, which has then loaded what they need.
                    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps({"imports": _LOADED_ONCE}),
                    "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(TASKS_A_WORKER),
                    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url,
                    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": metadata_url,
                    "IMAGE_PROMOTION_LEDGER": self._ledger_url,
                },
                connections={
                    f"{registry.name}_registry": {
                        "conn_type": "container_registry",
                        "host": registry.url,
                    }
                    for registry in (dev, self._qa)
                },
                workers={name: _worker(name) for name in WORKERS},
                triggerer=True,
                say=say,
            )
        )

    def promote(self) -> Figures:
        """Run the policy over everything, and count.

        Raises:
            ClusterFailedError: The run does not end.
        """
        self._airflow.request("PATCH", f"/api/v2/dags/{POLICY}", {"is_paused": False})
        runs = f"/api/v2/dags/{POLICY}/dagRuns"
        began = time.monotonic()
        run_id = self._airflow.request("POST", runs, {"logical_date": None})["dag_run_id"]
        path = f"{runs}/{quote(run_id)}"
        state = self._wait(path, began)
        seconds = time.monotonic() - began
        tasks = self._tasks(path)
        faults = self._faults()
        if state != "success":
            faults.insert(0, f"the run is a {state}")
        by_worker: dict[str, Counter[str]] = {name: Counter() for name in WORKERS}
        for task in tasks:
            if task["task_id"] in _STAGES and task["state"] == "success":
                stage = task["task_id"].removeprefix("promote.")
                by_worker.setdefault(task["hostname"], Counter())[stage] += self._images_of(
                    path, task
                )
        return Figures(seconds, by_worker, faults)

    def _wait(self, path: str, began: float) -> str:
        said = ""
        while True:
            state = str(self._airflow.request("GET", path)["state"])
            if state in _ENDED:
                return state
            if not self._airflow.running:
                raise ClusterFailedError("a program of Airflow has ended")
            line = (
                f"of {self._images:,} images {self._count('copied_at IS NOT NULL'):,} are copied, "
                f"{self._count('tagged_at IS NOT NULL'):,} tagged, "
                f"{self._count('verified_at IS NOT NULL'):,} verified"
            )
            if line != said:
                said = line
                self._say(line)
            if time.monotonic() - began > _DEADLINE_S:
                raise ClusterFailedError("the run does not end")
            time.sleep(_POLL_INTERVAL_S)

    def _count(self, condition: str) -> int:
        query = f"SELECT count(*) FROM ledger_promotions WHERE {condition}"  # noqa: S608 - ours
        try:
            with psycopg.connect(self._ledger_url) as connection:
                row = connection.execute(query.encode()).fetchone()
        except psycopg.errors.UndefinedTable:  # the first task makes the ledger
            return 0
        return 0 if row is None else int(row[0])

    def _tasks(self, path: str) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        while True:
            page = self._airflow.request(
                "GET", f"{path}/taskInstances?limit={_PAGE}&offset={len(tasks)}"
            )
            tasks += page["task_instances"]
            if not page["task_instances"] or len(tasks) >= page["total_entries"]:
                return tasks

    def _images_of(self, path: str, task: Mapping[str, Any]) -> int:
        """Ask how many images a task instance did, which is in what it returned."""
        entry = self._airflow.request(
            "GET",
            f"{path}/taskInstances/{task['task_id']}/xcomEntries/return_value"
            f"?map_index={task['map_index']}&deserialize=true",
        )
        return int(entry["value"]["done"])

    def _faults(self) -> list[str]:
        """Compare the ledger and the QA registry with what is in the dev registry."""
        with psycopg.connect(self._ledger_url) as connection:
            rows = connection.execute(_COUNT).fetchall()
        faults = []
        recorded = {tag: digest for tag, digest, count, state in rows}
        for tag, digest, count, state in rows:
            if (count, state, digest) != (1, "verified", self._digests.get(tag)):
                faults.append(f"{tag}: recorded {count} times, {state}, {digest}")
        faults += [f"{tag} is not recorded" for tag in self._digests if tag not in recorded]
        with httpx.Client(base_url=self._qa.url, trust_env=False) as client:
            there = client.get(f"/v2/{_TARGET}/tags/list?n=100000").json().get("tags") or []
            faults += [f"{tag} is not in QA" for tag in self._digests.keys() - set(there)]
            faults += [
                f"{tag} is in QA, and not in dev" for tag in set(there) - self._digests.keys()
            ]

            def digest_of(tag: str) -> str:
                answer = client.head(
                    f"/v2/{_TARGET}/manifests/{tag}", headers={"Accept": OCI_MANIFEST}
                )
                return str(answer.headers.get("Docker-Content-Digest"))

            with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
                for tag, digest in zip(there, pool.map(digest_of, there), strict=True):
                    if digest != self._digests.get(tag):
                        faults.append(f"{tag} is {digest} in QA")
        return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cluster.

    Args:
        arguments: What follows the program's name; None for this process's own.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="scripts/cluster", description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="how many are promoted (1000)")
    options = parser.parse_args(arguments)
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {line}\n")
        sys.stdout.flush()

    try:
        with tempfile.TemporaryDirectory(prefix="cluster-") as folder, ExitStack() as started:
            figures = Cluster(Path(folder), options.images, started, say).promote()
            say(f"the run took {figures.seconds:.1f} s (load average {os.getloadavg()[0]:.1f})")
            for worker, images in sorted(figures.images_by_worker.items()):
                did = ", ".join(f"{stage} {count:,}" for stage, count in sorted(images.items()))
                say(f"{worker}: {did or 'nothing'}")
    except (
        AirflowRequestError,
        AirflowUnavailableError,
        ClusterFailedError,
        PostgresqlUnavailableError,
        RedisUnavailableError,
        RegistryUnavailableError,
        httpx.HTTPError,
    ) as error:
        sys.stderr.write(f"scripts/cluster: {error}\n")
        return FAILED
    for fault in figures.faults:
        say(fault)
    idle = [name for name in WORKERS if not figures.images_by_worker[name]]
    if idle:
        say(f"did nothing: {', '.join(idle)}")
    if not figures.faults:
        say(f"each of {options.images:,} images is in QA exactly once, and verified once")
    return FAILED if figures.faults or idle else DONE


def _worker(name: str) -> Program:
    return Program(
        ("celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs"),
        {
            # Both are on one machine; the task instances are to say which of them ran them.
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "sandbox.worker_name.worker_name",
            "PYTHONPATH": str(PROJECT),
            VARIABLE: name,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
