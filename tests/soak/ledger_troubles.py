"""A ledger that is down, locked, full, read-only or old, and clocks that jump: all checked."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from alembic import command
from alembic.script import ScriptDirectory

from image_promotion.errors import LedgerError
from image_promotion.ledger import migration
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from image_promotion.promotion.batches import Stage
from sandbox.fault_proxy import Exchange
from sandbox.faults import Head
from sandbox.postgresql_process import PostgresqlProcess
from tests.soak import pool
from tests.soak.checker import Rule, Violation
from tests.soak.killing import schedule_of
from tests.soak.ledger_databases import (
    LedgerDatabase,
    PostgresqlLedger,
    SmallDisk,
    SqliteLedger,
    Trouble,
)
from tests.soak.performance import Witness
from tests.soak.rig import Rig
from tests.soak.scene import Scene
from tests.soak.schedule import Schedule
from tests.soak.tasks import Tasks
from tests.soak.timeline import Timeline

USUALLY = 120

_numbers = itertools.count(1)


def main(arguments: Sequence[str]) -> int:
    """Run ``scripts/soak ledger``.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when every rule held after each trouble.
    """
    options = pool.parser("ledger", __doc__).parse_args(arguments)
    return pool.run("ledger", open_place, options, usually=USUALLY)


@contextmanager
def open_place(folder: Path) -> Iterator[pool.Perform]:
    """Start registries and databases; give what makes the trouble of a number."""
    with ExitStack() as stack:
        rig = stack.enter_context(Rig.start(folder))
        disk = stack.enter_context(SmallDisk.mounted(folder / "disk"))
        server = stack.enter_context(PostgresqlProcess.start())
        databases: tuple[LedgerDatabase, ...] = (
            stack.enter_context(SqliteLedger.made(folder, disk)),
            stack.enter_context(PostgresqlLedger.made(server, disk)),
        )
        plays = {name: play for each in databases for name, play in plays_on(each).items()}

        def perform(number: int) -> pool.Told:
            name = list(plays)[number % len(plays)]
            done = plays[name](number, rig)
            violations = done.violations()
            figures = Counter({name: 1, "tasks failed for good": done.tasks.gave_up})
            log = tuple(map(str, done.scene.timeline.entries)) if violations else ()
            return pool.Told(number, tuple(map(str, violations)), log, figures)

        yield perform


def plays_on(database: LedgerDatabase) -> Mapping[str, Play]:
    """Return what can be played on a database, by what people call it."""
    ledger = database.ledger
    troubles: dict[str, Play] = {
        f"{database} {trouble}": partial(trouble_at, database=database, trouble=trouble)
        for trouble in database.troubles
    }
    return troubles | {
        f"{database}, clock jumps": partial(jumping_clock, ledger=ledger),
        f"{database}, daylight saving time": partial(daylight_saving, ledger=ledger),
        f"{database} of the migration before": partial(upgraded, ledger=ledger),
    }


@dataclass
class Performance:
    """A policy's runs in a scene, and what was wrong.

    Attributes:
        scene: The scene.
        tasks: What ran in it.
        witness: Who watched.
        seen: What was seen to be wrong meanwhile.
        trusts_clocks: Whether the ledger's times mean anything.
    """

    scene: Scene
    tasks: Tasks
    witness: Witness
    seen: list[Violation] = field(default_factory=list)
    trusts_clocks: bool = True

    @classmethod
    def of(cls, schedule: Schedule, rig: Rig, ledger: Ledger, timeline: Timeline) -> Performance:
        """Set the scene of a schedule."""
        scene = Scene(schedule, rig, f"l{schedule.seed}-{next(_numbers)}", timeline)
        tasks = Tasks(scene.policy, rig, ledger, timeline)
        return cls(scene, tasks, Witness(scene, ledger))

    def watch(self, *runs: Callable[[], None]) -> Performance:
        """Let runs act, then one that ought to find nothing to do."""

        def all_runs() -> None:
            for run in runs:
                run()

        self.seen += self.witness.watch(all_runs, quiet=self.run("quiet"))
        return self

    def run(self, name: str) -> Callable[[], None]:
        """Return what runs the policy once."""
        return lambda: asyncio.run(_discarding(self.tasks, f"{self.scene.name}/{name}"))

    def violations(self) -> list[Violation]:
        """Return all that did not hold."""
        without_advice = [
            Violation(Rule.UNSURPRISED, f"no advice: {error}")
            for error in self.tasks.errors
            if isinstance(error, LedgerError) and not error.advice
        ]
        return [
            *self.seen,
            *self.witness.surprises(self.tasks.surprises),
            *without_advice,
            *self.witness.check(trusts_clocks=self.trusts_clocks),
        ]


class Play(Protocol):
    """Plays the trouble of a number in a rig."""

    def __call__(self, number: int, rig: Rig) -> Performance:
        """Play it."""


async def _discarding(tasks: Tasks, key: str) -> None:
    await tasks.run(key)


@dataclass
class Onset:
    """Brings trouble at a request of the product, and takes it away again.

    Args:
        database: What is given trouble.
        trouble: Which.
        request: At which request, from 1.
        lasts: After how many failures of tasks it is over; else when it is told to be.
    """

    database: LedgerDatabase
    trouble: Trouble
    request: int
    lasts: int
    timeline: Timeline
    _requests: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def observe(self, _exchange: Exchange, head: Head | None) -> None:
        """Count a request."""
        with self._lock:
            self._requests += head is None
            if self._requests == self.request and head is None:
                self._stack.enter_context(self.database.in_trouble(self.trouble))
                self.timeline.note("ledger", f"is {self.trouble} from now on")

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        if self._failures == self.lasts:
            self.over()

    def over(self) -> None:
        """Take it away."""
        self._stack.close()
        self.timeline.note("ledger", "is well from now on")


def trouble_at(number: int, rig: Rig, database: LedgerDatabase, trouble: Trouble) -> Performance:
    """Run a policy whose ledger has trouble from one of its requests on."""
    chance = random.Random(f"trouble {number}")  # noqa: S311 - it has to be repeatable
    done = Performance.of(schedule_of(number), rig, database.ledger, Timeline())
    onset = Onset(
        database, trouble, chance.randint(1, 50), chance.choice((1, 2, 3, 99)), done.scene.timeline
    )
    done.scene.observers.append(onset.observe)
    done.tasks.on_failure = onset.failed
    try:
        return done.watch(done.run("troubled"), onset.over, done.run("well"))
    finally:
        onset.over()


def jumping_clock(number: int, rig: Rig, ledger: Ledger) -> Performance:
    """Run a policy while faults and deeds happen and the clock jumps to and fro by days."""
    chance = random.Random(f"clock {number}")  # noqa: S311 - it has to be repeatable
    schedule = replace(Schedule.of(number), wants_tokens=False)
    done = Performance.of(schedule, rig, ledger, Timeline())
    done.trusts_clocks = False
    done.tasks.clock = lambda: (
        done.scene.timeline.now() + timedelta(hours=chance.choice((-49, -1, 0, 0, 1, 49)))
    )
    return done.watch(
        done.run("run-1"),
        done.scene.move_sources,
        done.run("run-2"),
        done.scene.heal,
        done.run("healed"),
    )


_CHANGES = (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC))
"""When the clocks of Europe are put forward, and back."""

_TEMPLATES = ("%n-%H%M", "%n-%H%M%Z", "%n-%j-%I%p", "%n-%Y%m%d%H%M%S")


def daylight_saving(number: int, rig: Rig, ledger: Ledger) -> Performance:
    """Run a policy before and after the clocks are changed, with faults and deeds."""
    chance = random.Random(f"clocks {number}")  # noqa: S311 - it has to be repeatable
    start = chance.choice(_CHANGES) - timedelta(minutes=chance.randint(1, 59))
    schedule = replace(Schedule.of(number), template=chance.choice(_TEMPLATES), wants_tokens=False)
    done = Performance.of(schedule, rig, ledger, Timeline(start=start))
    done.tasks.between_runs = timedelta(minutes=30)
    return done.watch(
        done.run("run-1"),
        done.scene.move_sources,
        done.run("run-2"),
        done.scene.heal,
        done.run("healed"),
        # By then a tag that was taken in the hour that came twice is another one.
        lambda: done.scene.timeline.skip(timedelta(days=1)),
        done.run("the day after"),
    )


def upgraded(number: int, rig: Rig, ledger: Ledger) -> Performance:
    """Break a run off between its stages, bring the ledger up from the migration before, go on."""
    done = Performance.of(schedule_of(number), rig, ledger, Timeline())
    before = list[tuple[int, State]]()

    def go_back_and_up() -> None:
        before.extend(_standing(done, ledger))
        _migrate_back_and_up(ledger)

    def compare() -> None:
        after = dict(_standing(done, ledger))
        done.seen += [
            Violation(Rule.TRUE, f"promotion {which} was {state} before the upgrade")
            for which, state in before
            if after.get(which) is not state
        ]

    return done.watch(
        lambda: asyncio.run(_half_run(number, done)), go_back_and_up, compare, done.run("after")
    )


async def _half_run(number: int, done: Performance) -> None:
    """Leave the images of a run at different stages."""
    chance = random.Random(f"upgrade {number}")  # noqa: S311 - it has to be repeatable
    key = f"{done.scene.name}/before"
    for batch in await done.tasks.plan(key) or ():
        for stage in list(Stage)[: chance.randint(0, 3)]:
            await done.tasks.stage(key, stage, batch.promotion_ids, "line")


def _standing(done: Performance, ledger: Ledger) -> list[tuple[int, State]]:
    history = ledger.history(policy=done.scene.name)
    return [(each.promotion.id, each.promotion.state) for each in history if each.promotion]


def _migrate_back_and_up(ledger: Ledger) -> None:
    """Take the last migration back, which makes the ledger of the version before, and redo it."""
    head = ScriptDirectory.from_config(migration.configuration()).get_revision("head")
    assert head is not None
    with ledger._database.writing() as connection:
        config = migration.configuration()
        config.attributes[migration.CONNECTION] = connection
        command.downgrade(config, str(head.down_revision))
    ledger._database._migrate()
