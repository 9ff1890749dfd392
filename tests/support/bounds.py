"""Bounds on what something costs: a peak of memory, a number of seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024

_OWN = Path("/proc/self")
_FORGET_THE_PEAK = "5"


@contextmanager
def bounded(*, memory_bytes: int, seconds: float) -> Iterator[None]:
    """Fail unless the body stays within bounds.

    Args:
        memory_bytes: By how much this process may grow at its peak, in bytes, whoever of its code
            takes the memory; a server that runs in it counts too.
        seconds: How long it may take; a generous number, for machines that do other things too.

    Source: Linux, proc(5): clear_refs, and VmRSS and VmHWM of status.
    """
    (_OWN / "clear_refs").write_text(_FORGET_THE_PEAK)
    before = _size_of("VmRSS")
    began_s = time.monotonic()
    yield
    taken_s = time.monotonic() - began_s
    grown = _size_of("VmHWM") - before
    assert grown <= memory_bytes, f"{grown / MIB:.1f} MiB more at once"
    assert taken_s <= seconds, f"{taken_s:.1f} s"


def _size_of(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", (_OWN / "status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024
