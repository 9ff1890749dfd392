"""When a failed request is made again, and after how long a pause.

Knows nothing of HTTP: whether an error may be retried is a field of the error, set where the
answer was understood (``failures``). The pauses are exponential with full jitter, so that many
workers that lost the same registry do not come back to it all at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from image_promotion.errors import PromotionError, RateLimitedError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and how patiently something is tried again.

    Args:
        attempts: How many attempts are made in all, the first one included; at least 1.
        base_s: The longest pause after the first failure, in seconds; it doubles each time.
        cap_s: No pause of our own choosing is longer than this, in seconds.
        longest_asked_s: A registry that asks for a longer pause than this, in seconds, is not
            waited for here: the error goes up with the time it asked for, and a later task
            attempt comes back. Neither is a worker slept away nor the registry disobeyed.
    """

    attempts: int = 5
    base_s: float = 0.2
    cap_s: float = 20.0
    longest_asked_s: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")

    def pause_s(self, failures: int, error: PromotionError, chance: float) -> float | None:
        """Decide about the pause before the next attempt.

        Args:
            failures: How many attempts have failed so far, from 1.
            error: How the last one failed.
            chance: A random number, 0 <= chance < 1.

        Returns:
            The pause in seconds; None when there shall be no further attempt.
        """
        if failures >= self.attempts or not error.retryable:
            return None
        backoff_s = chance * min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 64))
        if not isinstance(error, RateLimitedError) or error.retry_after_s is None:
            return backoff_s
        if error.retry_after_s > self.longest_asked_s:
            return None
        return error.retry_after_s + backoff_s


DEFAULT_RULES = RetryRules()
NO_RETRY = RetryRules(attempts=1)

ACHIEVEMENT_BYTES = 8 * 1024 * 1024
"""After so many bytes, a transfer that breaks is taken for one that gets on."""


async def call(
    rules: RetryRules,
    operation: Callable[[], Awaitable[Result]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> Result:
    """Do something, and do it again as long as its errors say that this may help.

    Calls may be nested. What an inner one has tried again in vain, an outer one does not: else the
    attempts, and the pauses a registry asks for, would multiply.

    Args:
        rules: How often, and with which pauses.
        operation: What is done; it must be safe to repeat.
        sleep: Waits for some seconds; another one in tests.
        chance: Gives random numbers, 0 <= number < 1; another one in tests.

    Returns:
        What the operation returned.

    Raises:
        PromotionError: The operation's last error.
    """
    failures = 0
    while True:
        try:
            return await operation()
        except PromotionError as error:
            failures += 1
            pause_s = None if error.was_retried else rules.pause_s(failures, error, chance())
            if pause_s is None:
                error.was_retried = failures > 1 or error.was_retried
                raise
        await sleep(pause_s)


class Persistence:
    """Goes on with something long that breaks now and then, as long as it gets on.

    What is continued where it broke may break more often, the longer it is. So only failures count
    between which hardly anything was achieved.

    Args:
        rules: How many failures, and with which pauses.
        sleep: Waits for some seconds; another one in tests.
        chance: Gives random numbers, 0 <= number < 1; another one in tests.
    """

    def __init__(
        self,
        rules: RetryRules,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._rules = rules
        self._sleep = sleep
        self._chance = chance
        self._failures = 0
        self._achieved_bytes = 0

    def advanced(self, size_bytes: int) -> None:
        """Learn that so many bytes more need not be sent again."""
        self._achieved_bytes += size_bytes

    async def pause(self, error: PromotionError) -> None:
        """Wait before going on after a failure.

        Args:
            error: How it failed.

        Raises:
            PromotionError: That very error, when there shall be no further attempt.
        """
        if self._achieved_bytes >= ACHIEVEMENT_BYTES:
            self._failures = 0
        self._achieved_bytes = 0
        self._failures += 1
        pause_s = None
        if not error.was_retried:
            pause_s = self._rules.pause_s(self._failures, error, self._chance())
        if pause_s is None:
            error.was_retried = self._failures > 1 or error.was_retried
            raise error
        await self._sleep(pause_s)


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Read the pause that a Retry-After field asks for.

    Args:
        text: The field's value, seconds or an HTTP date; None when it was not sent.
        now: The current time, aware, from which a date is counted.

    Returns:
        Seconds, never negative; None when there is no value or it means nothing.

    Source: RFC 9110, "Retry-After".
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


_MOST_DIGITS = 9  # thirty years; what is longer is noise, and float() of it could overflow
