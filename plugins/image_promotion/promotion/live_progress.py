"""Progress of copies as notes in the ledger, by which the page shows what runs now.

A copy never waits for a note: they are written by a thread beside it, seldom, and given up where
the ledger is busy. What is copied in less time than lies between two notes costs none at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from image_promotion.errors import PromotionError
from image_promotion.ledger.progress import Progress, ProgressNotes
from image_promotion.promotion.clock import Clock
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.passage import BlobOutcome, TransferProgress

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
"""The time between two notes, in seconds."""

LAST_WAIT_S = 1.0
"""So long does the end of a stage wait for its last note, which takes the others away."""


class LiveProgress:
    """Notes how far the copies of a stage have come, as long as it is entered.

    Args:
        notes: Where they are noted.
        run_key: The run that copies.
        clock: The clock.
        interval_s: The time between two notes, in seconds.
    """

    def __init__(
        self,
        notes: ProgressNotes,
        run_key: str,
        clock: Clock,
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._notes = notes
        self._run_key = run_key
        self._clock = clock
        self._interval_s = interval_s
        self._running: dict[int, _Course] = {}
        self._noted: frozenset[int] = frozenset()
        self._has_failed = False
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(LAST_WAIT_S)

    @contextmanager
    def copying(self, promotion_id: int, told: TransferProgress) -> Iterator[TransferProgress]:
        """Follow one copy.

        Args:
            promotion_id: The promotion.
            told: Who is told too.

        Yields:
            Whom the copy is to tell.
        """
        course = _Course(promotion_id, self._run_key, self._clock, told)
        self._running[promotion_id] = course
        self._start()
        try:
            yield course
        finally:
            del self._running[promotion_id]

    def _start(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._note_on_and_on, name="live progress", daemon=True)
        # Where the system has no thread left, the copy goes on unseen.
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def _note_on_and_on(self) -> None:
        while not self._is_over.wait(self._interval_s):
            self._note(tuple(each.state() for each in tuple(self._running.values())))
        self._note(())

    def _note(self, running: tuple[Progress, ...]) -> None:
        numbers = frozenset(each.promotion_id for each in running)
        ended = self._noted - numbers
        if not running and not ended:
            return
        try:
            self._notes.note(running, ended=ended)
        except PromotionError as error:
            if not self._has_failed:
                log.warning("how far copies have come cannot be noted, and they go on: %s", error)
            self._has_failed = True
            self._noted |= numbers
        else:
            self._noted = numbers


class _Course:
    """How far one copy has come; implements registry.passage.TransferProgress."""

    def __init__(
        self, promotion_id: int, run_key: str, clock: Clock, told: TransferProgress
    ) -> None:
        self._promotion_id = promotion_id
        self._run_key = run_key
        self._clock = clock
        self._told = told
        self._began_at = clock()
        self._blobs = self._blobs_done = self._size_bytes = self._bytes_done = 0

    def planned(self, blobs: int, size_bytes: int) -> None:
        """Note how much there is to copy; it may be told of more later."""
        self._blobs += blobs
        self._size_bytes += size_bytes
        self._told.planned(blobs, size_bytes)

    def advanced(self, size_bytes: int) -> None:
        """Note that so many more bytes went over."""
        self._bytes_done += size_bytes
        self._told.advanced(size_bytes)

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        """Note that one blob is in the target."""
        if how is BlobOutcome.COPIED:
            self._blobs_done += 1
        self._told.blob_done(blob, how)

    def state(self) -> Progress:
        """Return how far it has come by now."""
        return Progress(
            promotion_id=self._promotion_id,
            run_key=self._run_key,
            blobs=self._blobs,
            blobs_done=self._blobs_done,
            size_bytes=self._size_bytes,
            bytes_done=max(self._bytes_done, 0),
            began_at=self._began_at,
            at=self._clock(),
        )
