"""The event loop of a command: it ends between two steps, also when it is asked to end early."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")


def run_to_end(act: Callable[[], Awaitable[Result]]) -> Result:
    """Run something in an event loop of its own; SIGTERM ends it as Ctrl-C does.

    Args:
        act: What to run.

    Returns:
        Its result.

    Raises:
        KeyboardInterrupt: It was asked to end, and has let go of what it held.
    """

    async def within() -> Result:
        if task := asyncio.current_task():
            # As asyncio treats Ctrl-C: nothing is torn out of the middle of a step.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await act()

    try:
        return asyncio.run(within())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
