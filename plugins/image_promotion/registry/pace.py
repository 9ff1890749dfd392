"""How hard a registry may be asked: so often, so many bytes, so much at a time.

The first two are what people say in a connection; the third is learnt from the registry's answers.
None of it knows HTTP.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

_SHORTEST_PAUSE_S = 0.002
"""What would be a shorter pause is owed, and waited for together with the next one."""

_LARGEST_PART_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Pace:
    """The most that one client asks of one registry.

    Args:
        requests_per_second: How many requests, evenly spread; None for any number.
        bytes_per_second: How many bytes of blobs, read and written together; None for any number.

    Raises:
        ValueError: One of them is not a positive number.
    """

    requests_per_second: float | None = None
    bytes_per_second: float | None = None

    def __post_init__(self) -> None:
        for limit in (self.requests_per_second, self.bytes_per_second):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"a limit is a positive number, not {limit}")


NO_LIMIT = Pace()


class Pacer:
    """Keeps a pace.

    Args:
        pace: The pace.
        sleep: Waits for some seconds; another one in tests.
        clock: Gives seconds from any fixed moment on; another one in tests.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = pace
        self._sleep = sleep
        self._clock = clock
        self._next_request_s = -math.inf
        self._next_bytes_s = -math.inf

    async def before_request(self) -> None:
        """Wait until the next request may be made."""
        if self._pace.requests_per_second is None:
            return
        start_s = max(self._clock(), self._next_request_s)
        self._next_request_s = start_s + 1 / self._pace.requests_per_second
        await self._wait_until(start_s)

    def cut(self, piece: bytes) -> Iterator[bytes]:
        """Cut a piece into parts, none of which should pass at once with another one.

        Args:
            piece: Some bytes.

        Yields:
            The parts; the whole piece where any number of bytes may pass.
        """
        if self._pace.bytes_per_second is None or len(piece) <= _LARGEST_PART_BYTES:
            yield piece
            return
        for start in range(0, len(piece), _LARGEST_PART_BYTES):
            yield piece[start : start + _LARGEST_PART_BYTES]

    async def before_bytes(self, size_bytes: int) -> None:
        """Wait until so many bytes more may pass."""
        if self._pace.bytes_per_second is None:
            return
        start_s = max(self._clock(), self._next_bytes_s)
        self._next_bytes_s = start_s + size_bytes / self._pace.bytes_per_second
        await self._wait_until(start_s)

    async def _wait_until(self, moment_s: float) -> None:
        pause_s = moment_s - self._clock()
        if pause_s >= _SHORTEST_PAUSE_S:
            await self._sleep(pause_s)


class AdaptiveLimit:
    """How many requests may be under way at a time, as the registry shows that it can bear.

    Each time it asks to slow down, half as many as were under way then may be; and for each full
    round that went well, one more. Requests that were sent before the last such change tell nothing
    about the new limit, so that one burst that is turned down counts once.

    Args:
        most: How many at most, and at first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = most
        self._inside = 0
        self._went_well = 0
        self._changes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return self._limit

    async def enter(self) -> int:
        """Wait for a place.

        Returns:
            What ``slow_down`` wants to know of a request that holds it.
        """
        while self._inside >= self._limit:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._wake()  # it was this one's turn, and is the next one's now
                raise
        self._inside += 1
        return self._changes

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1
        self._wake()

    def went_well(self) -> None:
        """Learn that a request was not turned down."""
        if self._limit == self._most:
            return
        self._went_well += 1
        if self._went_well >= self._limit:
            self._went_well = 0
            self._limit += 1
            self._wake()

    def slow_down(self, entered_at: int) -> None:
        """Learn that a request was turned down, before it gives its place back.

        Args:
            entered_at: What ``enter`` returned to it.
        """
        self._went_well = 0
        if entered_at == self._changes:
            self._changes += 1
            self._limit = max(1, min(self._limit, self._inside) // 2)

    def _wake(self) -> None:
        free = self._limit - self._inside
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
