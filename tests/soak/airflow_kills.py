"""A real Airflow whose scheduler or API server is killed while a policy runs: all checked."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

from image_promotion.ledger.ledger import Ledger
from sandbox.airflow_process import AirflowRequestError
from sandbox.fault_proxy import Exchange
from sandbox.faults import Head
from tests.soak import pool
from tests.soak.killing import schedule_of
from tests.soak.performance import Witness
from tests.soak.rig import Rig
from tests.soak.scene import Scene
from tests.soak.timeline import Timeline
from tests.support.airflow_server import RunningAirflow, start

USUALLY = 6

VICTIMS = ("scheduler", "api-server")

_MOST_REQUESTS = 60
_PAUSE_S = 0.5
_DOWN_S = 3.0
_DEADLINE_S = 240.0

_IMPATIENT = {
    # Else a task whose scheduler died is taken for running for five minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
}

_numbers = itertools.count(1)


def main(arguments: Sequence[str]) -> int:
    """Run ``scripts/soak airflow``.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when every rule held after each kill.
    """
    parser = pool.parser("airflow", __doc__)
    parser.set_defaults(processes=1)
    return pool.run("airflow", open_place, parser.parse_args(arguments), usually=USUALLY)


@contextmanager
def open_place(folder: Path) -> Iterator[pool.Perform]:
    """Start an Airflow and registries; give what kills one of its programs."""
    rig_folder = folder / "rig"
    with (
        Rig.start(rig_folder) as rig,
        start(folder, _IMPATIENT) as airflow,
        Ledger.open(airflow.ledger_url) as ledger,
    ):
        # The policies of the scenes name the same connections as those that are there.
        for name, endpoint in rig.endpoints.items():
            fields = {"host": endpoint.url, "port": None, "login": None, "password": None}
            body = {"connection_id": name, "conn_type": "container_registry", **fields}
            airflow.process.request("PATCH", f"/api/v2/connections/{name}", body)

        def perform(seed: int) -> pool.Told:
            return kill_program(seed, rig, airflow, ledger)

        yield perform


def kill_program(seed: int, rig: Rig, airflow: RunningAirflow, ledger: Ledger) -> pool.Told:
    """Run a policy, kill the scheduler or the API server meanwhile, and check.

    Args:
        seed: Chooses the images, the program and the moment.
        rig: The registries.
        airflow: The Airflow.
        ledger: Its ledger.

    Returns:
        What came of it.
    """
    timeline = Timeline(is_real=True)
    scene = Scene(schedule_of(seed), rig, f"a{seed}-{next(_numbers)}", timeline)
    chance = random.Random(f"program {seed}")  # noqa: S311 - it has to be repeatable
    victim = VICTIMS[seed % len(VICTIMS)]
    killer = _Killer(airflow, victim, chance.randint(1, _MOST_REQUESTS), timeline)
    scene.observers.append(killer.observe)
    airflow.add_policy(scene.name, json.loads(scene.policy.document()))

    def run() -> None:
        run_id = airflow.trigger(scene.name)
        timeline.note("airflow", f"{run_id} begins")
        timeline.note("airflow", f"{run_id}: {_end_of(airflow, scene.name, run_id)}")

    def runs() -> None:
        run()
        killer.wait_for_restart()
        run()

    witness = Witness(scene, ledger)
    violations = witness.watch(runs, quiet=run)
    violations += witness.check()
    told = tuple(map(str, violations))
    figures = Counter({f"kills of the {victim}": int(killer.has_struck)})
    return pool.Told(seed, told, tuple(map(str, timeline.entries)) if told else (), figures)


def _end_of(airflow: RunningAirflow, dag_id: str, run_id: str) -> str:
    """Wait for the end of a run, also while Airflow does not answer."""
    deadline_s = time.monotonic() + _DEADLINE_S
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
    while time.monotonic() < deadline_s:
        with suppress(httpx.HTTPError, AirflowRequestError):
            state: str = airflow.get(path)["state"]
            if state in ("success", "failed"):
                return state
        time.sleep(_PAUSE_S)
    return "not over"


@dataclass
class _Killer:
    """Kills a program of Airflow's at a request of its tasks, and starts it again."""

    airflow: RunningAirflow
    victim: str
    request: int
    timeline: Timeline
    _requests: int = field(default=0, init=False)
    _restart: threading.Thread | None = field(default=None, init=False)

    @property
    def has_struck(self) -> bool:
        """Whether the moment came."""
        return self._restart is not None

    def observe(self, exchange: Exchange, head: Head | None) -> None:
        """Look at a request, and strike if it is the one."""
        self._requests += head is None
        if head is not None or self._requests != self.request or self._restart:
            return
        self.timeline.note("kill", f"SIGKILL of the {self.victim} at {exchange.line}")
        os.kill(self.airflow.process.pids[self.victim], signal.SIGKILL)
        self._restart = threading.Thread(target=self._start_again)
        self._restart.start()

    def wait_for_restart(self) -> None:
        """Wait until what was killed runs again."""
        if self._restart:
            self._restart.join()

    def _start_again(self) -> None:
        # Tasks that are on their way meet an Airflow that is not there.
        time.sleep(_DOWN_S)
        self.airflow.process.restart(self.victim)
        self.timeline.note("airflow", f"the {self.victim} is started again")
