"""What a trial of a connection found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a trial of a connection found.

    Args:
        ok: Whether the connection can be used.
        message: What was found, in sentences; never holds a secret.
    """

    ok: bool
    message: str
