"""Triggers on the numbers of vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.criteria.text import SHOWN, first, listed, unknown
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict, verdict_of
from image_promotion.policy.facts import (
    UNKNOWN_SEVERITY,
    Band,
    ImageFacts,
    Vulnerability,
    VulnerabilityCounts,
)

ALL = "all"
NUMBERS_ALONE = "the report gives numbers alone"

VulnerabilityKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on the number of vulnerabilities of one kind.

    Args:
        subject: A band, ``all``, or a scanner's own word for a severity, in any case.
        comparison: How the number is compared.
        number: With what; not negative.
    """

    subject: Band | str
    comparison: Comparison
    number: int

    def __post_init__(self) -> None:
        if not str(self.subject):
            raise ValueError("a severity needs a word")
        if self.number < 0:
            raise ValueError("a number of vulnerabilities is never negative")

    def __str__(self) -> str:
        return f"{self.subject} {self.comparison} {self.number}"

    @property
    def is_on_words(self) -> bool:
        """Whether it counts by the scanner's word."""
        return not isinstance(self.subject, Band) and self.subject != ALL

    def counts(self, vulnerability: Vulnerability) -> bool:
        """Return whether a vulnerability is of the kind."""
        if isinstance(self.subject, Band):
            return vulnerability.band is self.subject
        if self.subject == ALL:
            return True
        word = self.subject.casefold()
        # A scanner's own word for not knowing counts under that word, too.
        return word in {vulnerability.severity_word.casefold(), vulnerability.severity.casefold()}

    def holds(self, number: int) -> bool:
        """Say whether a number is within the bound."""
        return self.comparison.holds(number, self.number)

    def verdict_within(self, least: int, most: int) -> Verdict:
        """Judge a number of which no more is known than that it is between two others."""
        near = (self.number - 1, self.number, self.number + 1)
        tried = {least, most, *(each for each in near if least <= each <= most)}
        answers = {self.holds(each) for each in tried}
        return Verdict.UNKNOWN if len(answers) > 1 else verdict_of(answers.pop())


@dataclass(frozen=True, slots=True)
class Vulnerabilities:
    """Asks for certain numbers of vulnerabilities.

    A vulnerability counts once for each identifier, package and version, however many reports and
    layers name it. One that two reports rate differently counts under both severities, so that no
    report hides what another says. What a trusted statement (VEX) or an exception takes out does
    not count, and the finding names it.

    Args:
        conditions: The bounds; all must hold.
        only_fixable: Whether those alone count that some version mends.
    """

    conditions: tuple[Condition, ...]
    only_fixable: bool = False

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError('needs at least one condition, such as critical: "= 0"')

    @property
    def needs(self) -> frozenset[Need]:
        """The vulnerabilities."""
        return frozenset({Need.VULNERABILITIES})

    def describe(self) -> str:
        """Say what it asks for."""
        return f"{'fixable ' if self.only_fixable else ''}vulnerabilities: {self._expected()}"

    def _expected(self) -> str:
        return ", ".join(str(each) for each in self.conditions)

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        """Count the vulnerabilities."""
        if facts.vulnerabilities is not None:
            return self._judge_list(facts, facts.vulnerabilities.source, now)
        if facts.vulnerability_counts is not None:
            return self._judge_numbers(facts, facts.vulnerability_counts, now)
        why = facts.why_no_vulnerabilities or "no vulnerability report yet"
        return unknown(self.describe(), self._expected(), why)

    def _judge_list(self, facts: ImageFacts, source: str, now: datetime) -> Finding:
        # Only lists need it, and it loads what reads package URLs.
        from image_promotion.policy.discounting import discount  # noqa: PLC0415 - see above

        discounted = discount(facts, now)
        counting = [each for each in discounted.counting if each.fixed_in or not self.only_fixable]
        figures: list[str] = []
        broken: dict[VulnerabilityKey, Vulnerability] = {}
        counted: dict[VulnerabilityKey, Vulnerability] = {}
        holds = True
        for condition in self.conditions:
            # By condition: where reports disagree about a severity, each of them is counted.
            of_kind = {each.key: each for each in counting if condition.counts(each)}
            figures.append(f"{len(of_kind)} {condition.subject}")
            counted |= of_kind
            if not condition.holds(len(of_kind)):
                holds = False
                broken |= of_kind
        shown = broken or (counted if holds else {})
        found = ", ".join(figures)
        items = first({_named(each) for each in shown.values()})
        if shown:
            found += f": {listed(items, of=len(shown))}"
        further = [*self._beside(counting), *discounted.words(named=SHOWN)]
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=self._expected(),
            found="; ".join([found, *further]),
            source=source,
            changes_at=discounted.changes_at,
            count=len(shown),
            items=items,
        )

    def _beside(self, counting: Iterable[Vulnerability]) -> Iterable[str]:
        """Say how many have no known severity, where no bound of the trigger counts them."""
        unrated = {
            each.key
            for each in counting
            if each.severity_word == UNKNOWN_SEVERITY
            and not any(condition.counts(each) for condition in self.conditions)
        }
        if unrated:
            are = "is" if len(unrated) == 1 else "are"
            yield f"{len(unrated)} of unknown severity {are} in none of these"

    def _judge_numbers(
        self, facts: ImageFacts, counts: VulnerabilityCounts, now: datetime
    ) -> Finding:
        """Judge by numbers of which nobody says what is in them."""
        from image_promotion.policy.discounting import may_discount  # noqa: PLC0415 - as above

        numbers = {
            Band.CRITICAL: counts.critical,
            Band.MAJOR: counts.major,
            Band.MINOR: counts.minor,
            ALL: counts.all,
        }
        # What would be taken out, or is not fixable, is not known: it may be none, some or all.
        is_exact = not self.only_fixable and not may_discount(facts, now)
        verdicts = set()
        figures = []
        for condition in self.conditions:
            number = numbers.get(condition.subject)
            if number is None or condition.is_on_words:
                verdicts.add(Verdict.UNKNOWN)
                continue
            figures.append(f"{number} {condition.subject}")
            verdicts.add(condition.verdict_within(number if is_exact else 0, number))
        verdict = next(
            (each for each in (Verdict.NOT_HELD, Verdict.UNKNOWN) if each in verdicts), Verdict.HELD
        )
        figures.append(NUMBERS_ALONE)
        if verdict is Verdict.UNKNOWN:
            figures[-1] += ": not how scanners rate each, which can be fixed, which are excepted"
        return Finding(
            trigger=self.describe(),
            verdict=verdict,
            expected=self._expected(),
            found="; ".join(figures),
            source=counts.source,
        )


def _named(vulnerability: Vulnerability) -> str:
    return f"{vulnerability.id} in {vulnerability.package} {vulnerability.version}".rstrip()
