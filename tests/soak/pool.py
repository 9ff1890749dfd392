"""Numbered performances in several processes at once, each process with registries of its own."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path

from tests.soak.display import Display, Extent

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a performance.

    Attributes:
        number: Its number.
        violations: The rules that did not hold, each a sentence.
        log: What happened; empty where every rule held.
        figures: What there was, and how much of it.
    """

    number: int
    violations: tuple[str, ...]
    log: tuple[str, ...] = ()
    figures: Counter[str] = field(default_factory=Counter)


Perform = Callable[[int], Told]
Open = Callable[[Path], AbstractContextManager[Perform]]
"""Starts what performances need, in a folder, and gives what performs the one of a number."""


def run(name: str, open_stage: Open, options: argparse.Namespace, *, usually: int) -> int:
    """Perform as many as the options say, show how it goes, and sum up.

    Args:
        name: The command.
        open_stage: Called once in each process; a function of a module.
        options: Of a parser made by ``parser``.
        usually: How many there are where the options name neither a number nor a time.

    Returns:
        The exit status: 0 when every rule held in each of them.
    """
    count = options.count
    if count is None and options.minutes is None:
        count = usually
    figures: Counter[str] = Counter()
    with Display(name, count) as display:
        extent = Extent(options.seed, count, options.minutes)
        for told in _perform_all(extent, open_stage, options.processes):
            figures += told.figures
            if told.violations:
                repeat = f"scripts/soak {name} --seed {told.number} --count 1"
                display.found(told.number, told.violations, repeat, told.log)
            else:
                display.passed()
    said = "".join(f", {number} {what}" for what, number in figures.items())
    print(f"{name}: {display.summary()}{said}")  # noqa: T201 - a program prints
    return 1 if display.failed else 0


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command that performs numbered performances."""
    made = argparse.ArgumentParser(prog=f"scripts/soak {name}", description=description)
    made.add_argument("--seed", type=int, default=0, help="the first one (default: 0)")
    made.add_argument("--count", type=int, help="how many, one after another from there")
    made.add_argument("--minutes", type=float, help="begin none after so many minutes")
    made.add_argument("--processes", type=int, default=PROCESSES, help="how many work at once")
    return made


def _perform_all(extent: Extent, open_stage: Open, processes: int) -> Iterator[Told]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, _open, (open_stage,)) as pool:
        waiting = set()
        for number in extent.numbers():
            waiting.add(pool.submit(_perform, number))
            if len(waiting) >= 2 * processes:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        yield from (each.result() for each in waiting)


_opened = ExitStack()
_performers: list[Perform] = []


def _open(open_stage: Open) -> None:
    # `atexit` does not run in such a process.
    Finalize(None, _opened.close, exitpriority=0)
    folder = Path(_opened.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    _performers.append(_opened.enter_context(open_stage(folder)))
    # From now on, what is logged stands in the timeline too.
    logging.disable(logging.CRITICAL)


def _perform(number: int) -> Told:
    return _performers[0](number)
