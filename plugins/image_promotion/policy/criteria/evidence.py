"""Triggers on what reports say: vulnerabilities and licenses."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from image_promotion.policy.criteria.text import (
    SHOWN,
    TextOperator,
    quoted,
    require_values,
    unknown,
)
from image_promotion.policy.criteria.verdict import Finding, Need, verdict_of
from image_promotion.policy.facts import Band, ImageFacts, Vulnerability

ALL = "all"


class Comparison(StrEnum):
    """DTR's operators on numbers."""

    AT_LEAST = ">="
    MORE_THAN = ">"
    EQUAL = "="
    NOT_EQUAL = "!="
    AT_MOST = "<="
    LESS_THAN = "<"


_COMPARE: dict[Comparison, Callable[[int, int], bool]] = {
    Comparison.AT_LEAST: operator.ge,
    Comparison.MORE_THAN: operator.gt,
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.AT_MOST: operator.le,
    Comparison.LESS_THAN: operator.lt,
}


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

    def counts(self, vulnerability: Vulnerability) -> bool:
        """Return whether a vulnerability is of the kind."""
        if isinstance(self.subject, Band):
            return vulnerability.band is self.subject
        if self.subject == ALL:
            return True
        return vulnerability.severity.casefold() == self.subject.casefold()


@dataclass(frozen=True, slots=True)
class Vulnerabilities:
    """Asks for certain numbers of vulnerabilities.

    A vulnerability counts once for each identifier, package and version, however many reports and
    layers name it. One that two reports rate differently counts under both severities, so that no
    report hides what another says.

    Args:
        conditions: The bounds; all must hold.
    """

    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError('needs at least one condition, such as critical: "= 0"')

    @property
    def needs(self) -> frozenset[Need]:
        """The vulnerabilities."""
        return frozenset({Need.VULNERABILITIES})

    def describe(self) -> str:
        """Say what it asks for."""
        return "vulnerabilities: " + ", ".join(str(each) for each in self.conditions)

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Count the vulnerabilities."""
        known = facts.vulnerabilities
        expected = ", ".join(str(each) for each in self.conditions)
        if known is None:
            return unknown(self.describe(), expected, "no vulnerability report yet")
        figures = []
        broken: list[Vulnerability] = []
        holds = True
        for condition in self.conditions:
            # By condition: where reports disagree about a severity, each of them is counted.
            counted = {
                (each.id, each.package, each.version): each
                for each in known.items
                if condition.counts(each)
            }
            figures.append(f"{len(counted)} {condition.subject}")
            if not _COMPARE[condition.comparison](len(counted), condition.number):
                holds = False
                broken += counted.values()
        found = ", ".join(figures)
        if broken:
            found += f": {_named(broken)}"
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=expected,
            found=found,
            source=known.source,
        )


def _named(vulnerabilities: Collection[Vulnerability]) -> str:
    """Name the first ten vulnerabilities."""
    names = sorted({f"{each.id} in {each.package} {each.version}" for each in vulnerabilities})
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


@dataclass(frozen=True, slots=True)
class License:
    """Asks which licenses the image's components are under; upper and lower case are the same.

    "is one of" holds when some component is under one of them, "is not one of" when none is.

    Args:
        operator: One of the two.
        values: The licenses, by SPDX identifier or by the word the components use.
    """

    operator: TextOperator
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        require_values(self.values)
        if self.operator not in {TextOperator.IS_ONE_OF, TextOperator.IS_NOT_ONE_OF}:
            raise ValueError("licenses are compared by is_one_of and is_not_one_of alone")

    @property
    def needs(self) -> frozenset[Need]:
        """The components."""
        return frozenset({Need.COMPONENTS})

    def describe(self) -> str:
        """Say what it asks for."""
        if self.operator is TextOperator.IS_ONE_OF:
            return f"a license is one of {quoted(self.values)}"
        return f"no license is one of {quoted(self.values)}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Look for components under these licenses."""
        known = facts.components
        if known is None:
            return unknown(self.describe(), self.describe(), "no component list yet")
        values = {value.casefold() for value in self.values}
        under = tuple(
            f"{component.name} ({license_})"
            for component in known.items
            for license_ in component.licenses
            if license_.casefold() in values
        )
        unlicensed = sum(not component.licenses for component in known.items)
        holds = bool(under) is (self.operator is TextOperator.IS_ONE_OF)
        found = f"{len(under)}: {quoted(under, ', ')}" if under else "none"
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=self.describe(),
            found=f"{found}; {unlicensed} of {len(known.items)} components name no license",
            source=known.source,
        )
