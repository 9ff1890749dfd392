"""How long processors worked for a program and all that it started; other programs do not count."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# proc(5), "/proc/pid/stat", counted from the field after the program's name.
_SESSION, _FIRST_TIME, _AFTER_LAST_TIME = 3, 11, 15


def session_processor_s(leader: int) -> float:
    """Add up the processor time of a session, with what its members have waited for.

    A process that ended and was waited for is in its parent's figures; one that ended unseen in
    nobody's.

    Args:
        leader: The id of the session, which is that of the process that leads it.

    Returns:
        Seconds, of users and of the system, since the session began.
    """
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[_SESSION]) == leader:
            ticks += sum(map(int, fields[_FIRST_TIME:_AFTER_LAST_TIME]))
    return ticks / _TICKS_PER_S
