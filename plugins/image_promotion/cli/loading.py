"""Loading what a command needs, without looking for garbage in it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loaded_for_good() -> Iterator[None]:
    """Load modules within; what is loaded is taken to live as long as the process.

    Hundreds of thousands of objects come with the modules, and none of them becomes garbage. To
    look through them on the way, again in each later search, and once more at the end takes a
    quarter of what a short command takes. For a process of one's own alone: garbage of before is
    never found.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
