"""One clock for all that happens in a schedule, so that it can be told what came before what."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, and when."""

    at: datetime
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.who:7} {self.what}"


@dataclass
class Timeline:
    """Gives each event a moment of its own, and remembers it.

    Args:
        is_real: Whether it is the time of day; else it goes on by itself, so that a schedule has
            the same times whenever it is repeated.
        start: When it begins, unless it is the time of day.
    """

    is_real: bool = False
    start: datetime = START
    _entries: list[Entry] = field(default_factory=list, init=False)
    _now: datetime = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._now = self.start

    def now(self) -> datetime:
        """Return a moment later than all before."""
        with self._lock:
            return self._tick()

    def note(self, who: str, what: str) -> datetime:
        """Remember an event; return its moment."""
        with self._lock:
            entry = Entry(self._tick(), who, what)
            self._entries.append(entry)
        return entry.at

    def skip(self, time: timedelta) -> None:
        """Let time pass, which costs none."""
        with self._lock:
            self._now += time

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All events, in their order."""
        with self._lock:
            return tuple(self._entries)

    def _tick(self) -> datetime:
        self._now = datetime.now(UTC) if self.is_real else self._now + _TICK
        return self._now
