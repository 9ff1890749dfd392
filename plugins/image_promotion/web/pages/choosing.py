"""Which policies the overview shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from image_promotion.web.api.models import PolicySummary

MAX_TEXT = 512


class Show(StrEnum):
    """Which policies are shown."""

    ALL = "all"
    ENABLED = "enabled"
    PAUSED = "paused"
    FAILING = "failing"
    WAITING = "waiting"


class Sort(StrEnum):
    """By what policies are sorted; what calls for attention comes first."""

    NAME = "name"
    FAILING = "failing"
    WAITING = "waiting"
    PROMOTED = "promoted"
    LAST_RUN = "last run"
    NEXT_RUN = "next run"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for.

    Args:
        search: Only policies in whose name, description, connections or repositories this stands.
        show: Which of them.
        sort: In which order.
    """

    search: str = ""
    show: Show = Show.ALL
    sort: Sort = Sort.NAME


ALL_BY_NAME = Choice()


class PolicyForm(BaseModel):
    """The form above the policies, as it is sent; a word that is none of its own is passed over."""

    search: str = Field("", max_length=MAX_TEXT)
    show: str = Field("", max_length=MAX_TEXT)
    sort: str = Field("", max_length=MAX_TEXT)

    @property
    def choice(self) -> Choice:
        """What it asks for."""
        show, sort = Show.ALL, Sort.NAME
        with suppress(ValueError):
            show = Show(self.show)
        with suppress(ValueError):
            sort = Sort(self.sort)
        return Choice(self.search, show, sort)


def chosen(policies: Iterable[PolicySummary], asked: Choice) -> tuple[PolicySummary, ...]:
    """Take the policies that are asked for, in the order that is asked for.

    Args:
        policies: Those that the search found, by name.
        asked: What is asked for.

    Returns:
        The policies; where two are level, by name.
    """
    return tuple(sorted(filter(_IS_SHOWN[asked.show], policies), key=_ORDER[asked.sort]))


_IS_SHOWN: Mapping[Show, Callable[[PolicySummary], bool]] = {
    Show.ALL: lambda each: True,  # noqa: ARG005 - all are shown, whatever they are
    Show.ENABLED: lambda each: each.enabled is True,
    Show.PAUSED: lambda each: each.enabled is False,
    Show.FAILING: lambda each: bool(each.failing or each.conflicts),
    Show.WAITING: lambda each: bool(each.waiting),
}


_ORDER: Mapping[Sort, Callable[[PolicySummary], float]] = {
    Sort.NAME: lambda each: 0,  # noqa: ARG005 - they come by name
    Sort.FAILING: lambda each: -each.failing - each.conflicts,
    Sort.WAITING: lambda each: -each.waiting,
    Sort.PROMOTED: lambda each: -sum(each.promoted),
    Sort.LAST_RUN: lambda each: -_seconds(each.last_run.at if each.last_run else None),
    Sort.NEXT_RUN: lambda each: _seconds(each.next_run_at) or float("inf"),
}


def _seconds(at: datetime | None) -> float:
    return at.astimezone(UTC).timestamp() if at else 0.0
