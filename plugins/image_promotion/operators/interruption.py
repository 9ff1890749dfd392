"""How Airflow ends a running task: at once, not when the network lets go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from airflow.sdk import BaseOperator

from image_promotion.errors import PromotionError

Result = TypeVar("Result")


class InterruptibleOperator(BaseOperator):
    """An operator whose asynchronous work ends when Airflow says so.

    Airflow sends SIGTERM to a task that is marked as failed, cleared or shut down, calls `on_kill`,
    and kills the process five seconds later. Five seconds of a copy that nobody wants any more are
    five seconds too many, and a killed process closes nothing.
    """

    _interrupt: Callable[[], object] | None = None

    def run_until_done(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in an event loop of its own, until it is done or Airflow ends the task.

        Args:
            work: The coroutine.

        Returns:
            Its result.

        Raises:
            PromotionError: The task was told to end; a retry goes on where it stood.
        """
        was_told_to_end = False

        async def interruptible() -> Result:
            loop = asyncio.get_running_loop()
            task = asyncio.current_task()

            def interrupt() -> None:
                nonlocal was_told_to_end
                was_told_to_end = True
                if task is not None:
                    # `on_kill` runs in a signal handler, in the middle of anything.
                    loop.call_soon_threadsafe(task.cancel)

            self._interrupt = interrupt
            return await work

        try:
            return asyncio.run(interruptible())
        except asyncio.CancelledError:
            if not was_told_to_end:
                raise
            raise PromotionError(
                "Airflow told the task to end before it was done",
                advice="What it had done stays done; when it runs again, it does the rest.",
                retryable=True,
            ) from None
        finally:
            self._interrupt = None

    def on_kill(self) -> None:
        """End the work that is under way; Airflow calls it when the task is to end."""
        if self._interrupt is not None:
            self._interrupt()
