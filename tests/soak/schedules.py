"""Seeded schedules of misfortunes between two real registries, each one checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.soak import pool
from tests.soak.performance import Theatre
from tests.soak.schedule import Schedule

USUALLY = 1000


def main(arguments: Sequence[str]) -> int:
    """Run ``scripts/soak schedules``.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when every rule held in each of them.
    """
    options = pool.parser("schedules", __doc__).parse_args(arguments)
    return pool.run("schedules", open_theatre, options, usually=USUALLY)


@contextmanager
def open_theatre(folder: Path) -> Iterator[pool.Perform]:
    """Start the registries; give what performs the schedule of a seed."""
    with Theatre.start(folder) as theatre:

        def perform(seed: int) -> pool.Told:
            outcome = theatre.perform(Schedule.of(seed))
            return pool.Told(
                seed,
                tuple(map(str, outcome.violations)),
                tuple(map(str, outcome.entries)) if outcome.violations else (),
                Counter(
                    {
                        "promoted": outcome.promoted,
                        "requests with a fault": outcome.faults,
                        "tasks failed for good": outcome.gave_up,
                        "looks of the watch": outcome.looks,
                    }
                ),
            )

        yield perform
