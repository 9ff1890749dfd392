"""Progress of a copy as lines of a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from logging import Logger

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.passage import BlobOutcome

MEGABYTE = 1_000_000


class LogProgress:
    """Reports a copy to a log every few seconds: bytes, blobs, rate, time left.

    Implements registry.transfer.TransferProgress.

    Args:
        log: Where the lines go.
        label: What is being copied.
        interval_s: The shortest time between two lines, in seconds.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        log: Logger,
        label: str,
        *,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._label = label
        self._interval_s = interval_s
        self._clock = clock
        self._began = self._last_line = clock()
        self._blobs = self._blobs_done = 0
        self._size_bytes = self._bytes_done = 0

    def planned(self, blobs: int, size_bytes: int) -> None:
        """Note how much there is to copy: what the target does not have yet.

        Args:
            blobs: How many more blobs there are to copy.
            size_bytes: How large they are together.
        """
        self._blobs += blobs
        self._size_bytes += size_bytes
        self._log.info("%s: %d blobs to copy, %.1f MB", self._label, blobs, size_bytes / MEGABYTE)

    def advanced(self, size_bytes: int) -> None:
        """Note that so many more bytes went over; negative when a broken blob starts anew."""
        self._bytes_done += size_bytes
        now = self._clock()
        if now - self._last_line >= self._interval_s:
            self._last_line = now
            self._log.info("%s: %s", self._label, self._state(now - self._began))

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        """Note that one blob is in the target."""
        if how is BlobOutcome.COPIED:
            self._blobs_done += 1
        self._log.debug("%s: blob %s %s", self._label, blob.digest, how)

    def _state(self, elapsed_s: float) -> str:
        rate = self._bytes_done / elapsed_s if elapsed_s else 0.0
        left = self._size_bytes - self._bytes_done
        time_left = f", about {left / rate:.0f} s left" if rate and left > 0 else ""
        return (
            f"{self._bytes_done / MEGABYTE:.1f} of {self._size_bytes / MEGABYTE:.1f} MB, "
            f"{self._blobs_done} of {self._blobs} blobs, {rate / MEGABYTE:.1f} MB/s{time_left}"
        )
