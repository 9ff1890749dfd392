"""Tasks killed at any moment, by Airflow's own rules tried again, and each history checked."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from image_promotion.ledger.ledger import Ledger
from tests.soak import pool, worker
from tests.soak.killing import Executioner, WorkerTasks, kill_of, schedule_of
from tests.soak.performance import Witness
from tests.soak.rig import Rig
from tests.soak.scene import Scene
from tests.soak.timeline import Timeline

USUALLY = 200

_numbers = itertools.count(1)


def main(arguments: Sequence[str]) -> int:
    """Run ``scripts/soak kills``.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when every rule held after each kill.
    """
    options = pool.parser("kills", __doc__).parse_args(arguments)
    return pool.run("kills", open_place, options, usually=USUALLY)


@contextmanager
def open_place(folder: Path) -> Iterator[pool.Perform]:
    """Start registries and a ledger; give what kills at the moment of a seed."""
    url = f"sqlite:///{folder / 'promotion_ledger.db'}"
    with Rig.start(folder) as rig, Ledger.open(url) as ledger:
        environment = worker.environment_of(rig.environment, url)

        def perform(seed: int) -> pool.Told:
            schedule, timeline = schedule_of(seed), Timeline(is_real=True)
            scene = Scene(schedule, rig, f"k{seed}-{next(_numbers)}", timeline)
            executioner = Executioner(kill_of(seed, schedule), timeline)
            tasks = WorkerTasks(scene.policy, environment, timeline, executioner)
            scene.observers.append(executioner.observe)

            def runs() -> None:
                tasks.run("run-1")
                tasks.run("run-2")

            witness = Witness(scene, ledger)
            violations = witness.watch(runs, quiet=lambda: tasks.run("quiet"))
            violations += witness.surprises(tasks.surprises)
            violations += witness.check()
            told = tuple(map(str, violations))
            figures = Counter({"kills": len(tasks.killed), "tasks failed for good": tasks.gave_up})
            figures.update(f"kills of {task_id}" for task_id in tasks.killed)
            return pool.Told(seed, told, tuple(map(str, timeline.entries)) if told else (), figures)

        yield perform
