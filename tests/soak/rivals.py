"""Two schedulers and a command on one policy at once, on SQLite and PostgreSQL: one promotion."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from image_promotion.ledger.ledger import Ledger
from sandbox.postgresql_process import PostgresqlProcess
from tests.soak import pool, worker
from tests.soak.killing import WorkerTasks, schedule_of
from tests.soak.performance import Witness
from tests.soak.rig import Rig
from tests.soak.scene import Scene
from tests.soak.timeline import Timeline

USUALLY = 60

_TIMEOUT_S = 300.0

_numbers = itertools.count(1)


def main(arguments: Sequence[str]) -> int:
    """Run ``scripts/soak rivals``.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when every rule held in each contest.
    """
    options = pool.parser("rivals", __doc__).parse_args(arguments)
    return pool.run("rivals", open_place, options, usually=USUALLY)


@contextmanager
def open_place(folder: Path) -> Iterator[pool.Perform]:
    """Start registries and two ledgers; give what lets rivals loose, by turns over each of them."""
    with ExitStack() as stack:
        rig = stack.enter_context(Rig.start(folder))
        postgresql = stack.enter_context(PostgresqlProcess.start())
        urls = (f"sqlite:///{folder / 'promotion_ledger.db'}", postgresql.url())
        ledgers = [stack.enter_context(Ledger.open(url)) for url in urls]

        def perform(seed: int) -> pool.Told:
            which = seed % len(urls)
            return contest(seed, rig, ledgers[which], urls[which], folder)

        yield perform


def contest(seed: int, rig: Rig, ledger: Ledger, ledger_url: str, folder: Path) -> pool.Told:
    """Let two schedulers and a command run one policy at once, and check.

    Args:
        seed: Chooses images and policy.
        rig: The registries.
        ledger: The ledger.
        ledger_url: Where it is.
        folder: Takes the policy's file.

    Returns:
        What came of it.
    """
    timeline = Timeline(is_real=True)
    # Whether an occupied tag may be had is another question.
    schedule = replace(schedule_of(seed), occupied=frozenset())
    scene = Scene(schedule, rig, f"r{seed}-{next(_numbers)}", timeline)
    environment = worker.environment_of(rig.environment, ledger_url)
    schedulers = [WorkerTasks(scene.policy, environment, timeline) for _ in range(2)]
    command = _Command(scene, environment, folder)
    contestants = [command.run] + [
        _runner(tasks, f"scheduler-{number}") for number, tasks in enumerate(schedulers, 1)
    ]

    witness = Witness(scene, ledger)
    violations = witness.watch(
        lambda: _all_at_once(contestants), quiet=lambda: schedulers[0].run("quiet")
    )
    violations += witness.surprises(
        [*command.surprises, *(each for tasks in schedulers for each in tasks.surprises)]
    )
    violations += witness.check()
    told = tuple(map(str, violations))
    gave_up = sum(tasks.gave_up for tasks in schedulers)
    figures = Counter({f"on {ledger_url.partition(':')[0]}": 1, "tasks failed for good": gave_up})
    return pool.Told(seed, told, tuple(map(str, timeline.entries)) if told else (), figures)


def _runner(tasks: WorkerTasks, run_id: str) -> Callable[[], None]:
    return lambda: tasks.run(run_id)


def _all_at_once(contestants: Sequence[Callable[[], None]]) -> None:
    barrier = threading.Barrier(len(contestants))

    def start(contestant: Callable[[], None]) -> None:
        barrier.wait()
        contestant()

    threads = [threading.Thread(target=start, args=(each,)) for each in contestants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Command:
    """`promotion run`, as somebody at a terminal runs it.

    Args:
        scene: The policy.
        environment: Where connections and ledger are.
        folder: Takes the policy's file.

    Attributes:
        surprises: What it said when it ended as no run of a policy ends.
    """

    def __init__(self, scene: Scene, environment: Mapping[str, str], folder: Path) -> None:
        self._path = folder / f"{scene.name}.yaml"
        self._path.write_text(yaml.safe_dump(yaml.safe_load(scene.policy.document())))
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._environment = {**inherited, **environment}
        self._timeline = scene.timeline
        self.surprises: list[str] = []

    def run(self) -> None:
        """Run it to its end."""
        done = subprocess.run(
            [Path(sys.executable).with_name("promotion"), "run", self._path],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        self._timeline.note("command", f"promotion run ended with {done.returncode}")
        if "Traceback" in done.stderr:
            self.surprises.append(f"promotion run: {done.stderr}")
