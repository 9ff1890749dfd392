"""What a trial of a connection found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What keeps a connection from being used, for whoever is not to read sentences."""

    SETTINGS = "settings"
    NAME_NOT_FOUND = "name_not_found"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CERTIFICATE = "certificate"
    NOT_TLS = "not_tls"
    PROXY = "proxy"
    BROKEN = "broken"
    LOGIN = "login"
    RIGHT_MISSING = "right_missing"
    REPOSITORY_MISSING = "repository_missing"
    NOT_A_REGISTRY = "not_a_registry"
    RATE_LIMITED = "rate_limited"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a trial of a connection found.

    Args:
        ok: Whether the connection can be used.
        message: What was found, in sentences; never holds a secret.
        trouble: What is wrong, where something is and was looked into.
    """

    ok: bool
    message: str
    trouble: Trouble | None = None


class Use(StrEnum):
    """What a policy does at one of its ends."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a policy: a repository, and what is done there.

    Args:
        use: What is done.
        repository: The repository, or a pattern of them, as policies name it.
        matches: Which repositories a pattern stands for; None for a repository.
    """

    use: Use
    repository: str
    matches: Callable[[str], bool] | None = None
