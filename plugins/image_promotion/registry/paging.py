"""Lists that come in pages, followed to their end: in no circle, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from image_promotion.registry.failures import Attempt, violation

MAX_PAGES = 10_000
"""The most pages of one list; of the shortest pages that registries give, 100,000 names."""

MAX_WAITING_S = 3600.0
"""How long the pages of one list are waited for altogether, in seconds."""

_LONGEST_MARK = 4096


class Paging:
    """Where a list has got to.

    Args:
        first: What marks the first page, where that is known before it comes.
    """

    def __init__(self, first: str = "") -> None:
        self._marks = {first}
        self._waited_s = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time in which a page is waited for."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._waited_s += time.monotonic() - began_s

    def turn(self, attempt: Attempt, mark: str, status: int) -> None:
        """Turn to the next page.

        Args:
            attempt: The request for this one.
            mark: What no other page has: its last name, or where the next one begins.
            status: The answer's status.

        Raises:
            ProtocolViolationError: The page was there before, or there is no end to them.
        """
        if mark in self._marks:
            raise violation(attempt, "its pages go round in a circle", status=status)
        endless = len(self._marks) >= MAX_PAGES or len(mark) > _LONGEST_MARK
        if endless or self._waited_s > MAX_WAITING_S:
            raise violation(
                attempt,
                f"its pages never end: {len(self._marks)} have come in {self._waited_s:.0f} s",
                status=status,
            )
        self._marks.add(mark)
