"""Triggers made of triggers, in Kleene's logic of three values.

What is unknown stays unknown only as long as it could decide: one part that does not hold settles
`all`, whatever the others turn out to be. So a scan can throw a tag away by its name alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from image_promotion.policy.criteria.verdict import Criterion, Finding, Need, Verdict
from image_promotion.policy.facts import ImageFacts

_OPPOSITE = {
    Verdict.HELD: Verdict.NOT_HELD,
    Verdict.NOT_HELD: Verdict.HELD,
    Verdict.UNKNOWN: Verdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class _Several:
    """What all of several and any of several have in common.

    Args:
        parts: At least one: "all of nothing" would let every image pass.
    """

    parts: tuple[Criterion, ...]

    _name: ClassVar[str]
    _expected: ClassVar[str]
    _decisive: ClassVar[Verdict]
    """The verdict of one part that settles the whole."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("needs at least one trigger")

    @property
    def needs(self) -> frozenset[Need]:
        """What any part needs."""
        return frozenset[Need]().union(*(part.needs for part in self.parts))

    def describe(self) -> str:
        """Say what it asks for."""
        return f"{self._name}: " + "; ".join(part.describe() for part in self.parts)

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        """Judge every part, so that each is explained."""
        findings = tuple(part.judge(facts, now) for part in self.parts)
        verdicts = {finding.verdict for finding in findings}
        verdict = _OPPOSITE[self._decisive]
        if self._decisive in verdicts:
            verdict = self._decisive
        elif Verdict.UNKNOWN in verdicts:
            verdict = Verdict.UNKNOWN
        return _joined(self.describe(), verdict, self._expected, findings)


class AllOf(_Several):
    """Holds when every part holds."""

    __slots__ = ()

    _name = "all of"
    _expected = "all hold"
    _decisive = Verdict.NOT_HELD


class AnyOf(_Several):
    """Holds when at least one part holds."""

    __slots__ = ()

    _name = "any of"
    _expected = "at least one holds"
    _decisive = Verdict.HELD


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its part does not.

    Args:
        part: The part.
    """

    part: Criterion

    @property
    def needs(self) -> frozenset[Need]:
        """What its part needs."""
        return self.part.needs

    def describe(self) -> str:
        """Say what it asks for."""
        return f"not: {self.part.describe()}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        """Judge the part and turn the verdict round."""
        finding = self.part.judge(facts, now)
        return Finding(
            trigger=self.describe(),
            verdict=_OPPOSITE[finding.verdict],
            expected=f"not {finding.expected}",
            found=finding.found,
            source=finding.source,
            changes_at=finding.changes_at,
            parts=(finding,),
        )


def _joined(
    trigger: str, verdict: Verdict, expected: str, findings: tuple[Finding, ...]
) -> Finding:
    """Return the finding of several: how many held, did not, and are unknown."""
    counts = [
        f"{number} {one if number == 1 else several}"
        for each, one, several in (
            (Verdict.HELD, "holds", "hold"),
            (Verdict.NOT_HELD, "does not hold", "do not hold"),
            (Verdict.UNKNOWN, "is not known", "are not known"),
        )
        if (number := sum(finding.verdict is each for finding in findings))
    ]
    found = ", ".join(counts)
    decisive = [finding.found for finding in findings if finding.verdict is verdict]
    if decisive and verdict is not Verdict.HELD:
        found += f": {'; '.join(decisive)}"
    sources = dict.fromkeys(finding.source for finding in findings if finding.source)
    return Finding(
        trigger=trigger,
        verdict=verdict,
        expected=expected,
        found=found,
        source=", ".join(sources),
        parts=findings,
    )
