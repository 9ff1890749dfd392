"""What a criterion answers: a finding, never a bare yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from image_promotion.policy.facts import ImageFacts


class Verdict(StrEnum):
    """Whether a trigger holds. Unknown is an answer of its own: it never promotes."""

    HELD = "held"
    NOT_HELD = "not_held"
    UNKNOWN = "unknown"


class Need(StrEnum):
    """A fact that a trigger looks at, so that only what is needed is fetched."""

    TAG = "tag"
    UPDATED = "updated"
    COMPONENTS = "components"
    VULNERABILITIES = "vulnerabilities"
    SIGNATURES = "signatures"


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a trigger holds or not.

    Args:
        trigger: The trigger in words.
        verdict: Whether it holds.
        expected: What it asks for.
        found: What there was.
        source: Where that was read.
        changes_at: When the answer changes by itself; None when time changes nothing.
        parts: The findings of the triggers nested in it.
        count: The figure that decided, where there is one: of matching or of offending items.
        items: The first ten of them.
    """

    trigger: str
    verdict: Verdict
    expected: str
    found: str
    source: str
    changes_at: datetime | None = None
    parts: tuple[Finding, ...] = ()
    count: int | None = None
    items: tuple[str, ...] = ()


class Criterion(Protocol):
    """A trigger."""

    @property
    def needs(self) -> frozenset[Need]:
        """The facts it looks at."""

    def describe(self) -> str:
        """Say in words what it asks for."""

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        """Say whether it holds for these facts at this moment, and why."""


def verdict_of(holds: bool) -> Verdict:
    """Return the verdict for what is known to hold or not to."""
    return Verdict.HELD if holds else Verdict.NOT_HELD


def foresee(criterion: Criterion, facts: ImageFacts, now: datetime) -> datetime | None:
    """Say when a trigger that does not hold may hold just because time passes.

    Args:
        criterion: The trigger.
        facts: The facts, which stay as they are.
        now: The present moment.

    Returns:
        The first moment at which it no longer fails; None when it fails whatever the clock says,
        or does not fail now.
    """
    finding = criterion.judge(facts, now)
    if finding.verdict is not Verdict.NOT_HELD:
        return None
    for moment in sorted(_changes(finding)):
        if moment > now and criterion.judge(facts, moment).verdict is not Verdict.NOT_HELD:
            return moment
    return None


def _changes(finding: Finding) -> set[datetime]:
    """Return every moment at which the answer of a finding or of one of its parts changes."""
    own = {finding.changes_at} if finding.changes_at else set()
    return own.union(*(_changes(part) for part in finding.parts))
