"""What a long test shows while it runs: how far it is, what it has found, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_EVENTS_SHOWN = 400
_BETWEEN_LINES_S = 30.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is to be done: so many, or as many as a time allows.

    Attributes:
        first: The first number.
        count: How many there are; None for no limit.
        minutes: After how many minutes no further one is begun; None for no limit.
    """

    first: int
    count: int | None
    minutes: float | None

    def numbers(self) -> Iterator[int]:
        """Yield the numbers, as long as there is time."""
        until_s = None if self.minutes is None else time.monotonic() + 60 * self.minutes
        number = self.first
        while self.count is None or number < self.first + self.count:
            if until_s is not None and time.monotonic() > until_s:
                return
            yield number
            number += 1


class Display:
    """A bar on standard error with the violations so far; lines where nobody looks at a terminal.

    Args:
        title: What is under way.
        total: How many there are; None where nobody knows.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[violations]} violations[/red]"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, violations=0)
        self._total = total
        self._began_s = self._said_s = time.monotonic()
        self.done = 0
        self.failed: list[int] = []

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def passed(self) -> None:
        """Count one that held every rule."""
        self._advance()

    def found(
        self, number: int, violations: Sequence[str], repeat: str, log: Sequence[str]
    ) -> None:
        """Count one that broke a rule, and say how to repeat it.

        Args:
            number: Its number.
            violations: What did not hold.
            repeat: The command that repeats it.
            log: What happened.
        """
        self.failed.append(number)
        self._advance()
        lines = [*violations, f"repeat it: {repeat}", *log[-_EVENTS_SHOWN:]]
        self._console.print("\n".join(lines), markup=False)

    def summary(self) -> str:
        """Say what it came to."""
        took_s = time.monotonic() - self._began_s
        each_s = took_s / max(1, self.done)
        found = f"{len(self.failed)} with violations" if self.failed else "no violations"
        return f"{self.done} in {took_s:.0f} s ({each_s:.2f} s each), {found}"

    def _advance(self) -> None:
        self.done += 1
        if not self._console.is_terminal and time.monotonic() - self._said_s > _BETWEEN_LINES_S:
            self._said_s = time.monotonic()
            self._console.print(f"{self.summary()}{self._left()}")
        self._bar.update(self._task, advance=1, violations=len(self.failed))

    def _left(self) -> str:
        if self._total is None:
            return ""
        each_s = (time.monotonic() - self._began_s) / self.done
        return f", {each_s * (self._total - self.done):.0f} s left"
