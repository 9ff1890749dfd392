"""Looks at registries while somebody waits: few at once, bounded in time, one of each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from image_promotion.errors import BusyError, TimeUpError

AT_ONCE = 6
TIME_S = 20.0
GRACE_S = 2.0
"""How long a look that was told to stop may take to close its connections."""

Turn = tuple[str, str]
"""Who looks, and at which policy."""

Result = TypeVar("Result")


class Looks:
    """Looks in threads of their own, so that the server's event loop waits for none.

    Each look has an event loop of its own: reading the ledger blocks.

    Args:
        at_once: How many there may be in this process; one more is refused, not kept waiting.
        time_s: How long each may take, in seconds.
    """

    def __init__(self, *, at_once: int = AT_ONCE, time_s: float = TIME_S) -> None:
        self.time_s = time_s
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="promotion-look")
        self._lock = Lock()
        self._under_way = 0
        self._turns: set[Turn] = set()

    async def take(
        self, turn: Turn | None, look: Callable[[], Coroutine[None, None, Result]]
    ) -> Result:
        """Look, and wait for what was seen.

        Args:
            turn: Of whom nobody else's look may be under way; None where it does not matter.
            look: Called in the thread, outside of any event loop; what it returns is run in one.

        Returns:
            What was seen.

        Raises:
            BusyError: The same look, or as many as there may be, are under way.
            TimeUpError: It took too long.
            PromotionError: Whatever the look raises.
        """
        self._begin(turn)
        try:
            future = self._pool.submit(self._look, look)
        except BaseException:
            self._end(turn)
            raise
        # Not before the thread is through: a look that does not stop keeps its place.
        future.add_done_callback(lambda _: self._end(turn))
        return await self._answer(future)

    async def _answer(self, future: Future[Result]) -> Result:
        waiting = asyncio.shield(asyncio.wrap_future(future))
        try:
            return await asyncio.wait_for(waiting, self.time_s + GRACE_S)
        except TimeoutError:
            raise self._time_up() from None

    def _look(self, look: Callable[[], Coroutine[None, None, Result]]) -> Result:
        coroutine = look()

        async def in_time() -> Result:
            async with asyncio.timeout(self.time_s):
                return await coroutine

        try:
            return asyncio.run(in_time())
        except TimeoutError:
            raise self._time_up() from None

    def _time_up(self) -> TimeUpError:
        return TimeUpError(
            f"the registries had not answered everything after {self.time_s:.0f} seconds",
            advice="Ask about one tag, or about fewer; or trigger the Dag with dry_run, which has "
            "all the time it needs.",
        )

    def _begin(self, turn: Turn | None) -> None:
        with self._lock:
            if turn is not None and turn in self._turns:
                raise BusyError(
                    f"you are looking at {turn[1]} already",
                    advice="Wait until that has answered, and ask again.",
                )
            if self._under_way >= self._at_once:
                raise BusyError(
                    f"{self._under_way} looks at registries are under way",
                    advice="Ask again in a moment.",
                )
            self._under_way += 1
            if turn is not None:
                self._turns.add(turn)

    def _end(self, turn: Turn | None) -> None:
        with self._lock:
            self._under_way -= 1
            if turn is not None:
                self._turns.discard(turn)
