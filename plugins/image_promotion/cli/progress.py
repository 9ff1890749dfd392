"""Progress bars for the copies of a run, on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.passage import BlobOutcome, TransferProgress
from image_promotion.registry.transfer import NO_PROGRESS


class ProgressBars:
    """Shows one bar for each image under way; shows nothing where nobody looks.

    Args:
        title: What is under way as a whole: a line that shows how long it has taken.
        console: Where to draw: standard error, so that standard output stays the result.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Bytes(),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.add_task(self._title, total=None)
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def picture(self) -> RenderableType:
        """Return what is drawn at this moment."""
        return self._bars.get_renderable()

    def of(self, label: str) -> TransferProgress:
        """Return the progress of one image's copy."""
        if not self._console.is_terminal:
            return NO_PROGRESS
        return _ImageBar(self._bars, self._bars.add_task(label, total=None))


class _Bytes(DownloadColumn):
    """How many bytes of how many; nothing where that is not known yet."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _Rate(TransferSpeedColumn):
    """Bytes a second; nothing where no bytes are expected."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class _ImageBar:
    """One image's bar."""

    def __init__(self, bars: Progress, bar: TaskID) -> None:
        self._bars = bars
        self._bar = bar

    def planned(self, blobs: int, size_bytes: int) -> None:  # noqa: ARG002 - the protocol's
        # What is there already needs no bar.
        self._bars.update(self._bar, total=size_bytes, visible=size_bytes > 0)

    def advanced(self, size_bytes: int) -> None:
        self._bars.advance(self._bar, size_bytes)
        # Only what is under way is shown; a thousand images would fill the screen.
        task = self._bars.tasks[self._bar]
        # (A finished task of rich's stays finished, also when a broken blob starts anew.)
        self._bars.update(self._bar, visible=task.completed < (task.total or 0))

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        """Nothing to draw: the bar counts bytes."""
