"""What triggers judge: the facts about one image, as far as they are known.

None means not known (yet), which is never the same as "none found".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Made = TypeVar("Made")

CRITICAL_FROM = 7.0
MAJOR_FROM = 4.0


class Band(StrEnum):
    """DTR's severities; OTHER is counted among all vulnerabilities alone."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    OTHER = "other"


UNKNOWN_SEVERITY = "UNKNOWN"
_SAYS_UNKNOWN = frozenset({"", "unknown", "unspecified", "unassigned", "not yet assigned"})

# CVSS 3.1 specification, section 5, "Qualitative Severity Rating Scale"; CVSS 4.0 has the same.
_RATINGS = ((9.0, "CRITICAL"), (7.0, "HIGH"), (4.0, "MEDIUM"), (0.1, "LOW"), (0.0, "NONE"))

_BANDS_OF_WORDS = {
    "CRITICAL": Band.CRITICAL,
    "HIGH": Band.CRITICAL,
    "MEDIUM": Band.MAJOR,
    "LOW": Band.MINOR,
}


@dataclass(frozen=True, slots=True)
class Component:
    """A piece of software in an image.

    Components of one group, name, version and package URL are one and the same.

    Args:
        name: Its name, such as ``busybox``, without its group.
        version: Its version, if the report says one.
        purl: Its package URL, as the report says it.
        licenses: The licenses it is under, all of them at once; each an SPDX expression or the word
            that the report uses. Empty when the report names none.
        group: What qualifies its name, if the report tells it apart: an npm scope such as
            ``@angular``, a Maven group such as ``org.apache.logging.log4j``.
        kind: What it is in the report's own word, such as ``library``, ``file`` or
            ``operating-system``; None when the report does not say.
    """

    name: str
    version: str | None = None
    purl: str | None = None
    licenses: tuple[str, ...] = ()
    group: str | None = None
    kind: str | None = None

    @property
    def key(self) -> tuple[str | None, str, str | None, str | None]:
        """What tells it from others."""
        return self.group, self.name, self.version, self.purl


class Status(StrEnum):
    """Whether an image is affected by a vulnerability that its packages have.

    Source: OpenVEX specification 0.2.0, "Status Labels"; CISA, "Minimum Requirements for VEX".
    """

    AFFECTED = "affected"
    NOT_AFFECTED = "not_affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


@dataclass(frozen=True, slots=True)
class Score:
    """A CVSS base score.

    Args:
        base: From 0 to 10.
        version: Of CVSS, such as ``3.1``; empty when the report does not say.
        source: Who scored, such as ``nvd``; empty when the report does not say.
    """

    base: float
    version: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a package in an image.

    It counts once for each identifier, package and version.

    Args:
        id: Its identifier, such as ``CVE-2026-1234``.
        package: The affected package.
        version: The package's version; empty when the report does not say.
        severity: The scanner's own word; empty when the report has none.
        score: The CVSS base score that decides, 0 to 10; None without one.
        aliases: Its other identifiers, such as ``GHSA-jfh8-c2jp-5v3q``.
        scores: All CVSS base scores of the report.
        purl: The affected package's URL, as the report says it.
        fixed_in: The versions that mend it; empty when none is known.
        status: What the report itself says about the image; None when it just lists it.
    """

    id: str
    package: str
    version: str
    severity: str
    score: float | None = None
    aliases: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()
    purl: str | None = None
    fixed_in: tuple[str, ...] = ()
    status: Status | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it counts once for."""
        return self.id, self.package, self.version

    @property
    def band(self) -> Band:
        """Return DTR's severity.

        Source: Docker Trusted Registry, "Override a vulnerability": critical from CVSS 7.0, major
        from 4.0, minor above 0. Without a score the scanner's word decides.
        """
        if self.score is None:
            return _BANDS_OF_WORDS.get(self.severity.upper(), Band.OTHER)
        if self.score >= CRITICAL_FROM:
            return Band.CRITICAL
        if self.score >= MAJOR_FROM:
            return Band.MAJOR
        return Band.MINOR if self.score > 0 else Band.OTHER

    @property
    def severity_word(self) -> str:
        """Return the scanner's word, the score's rating where there is none, or else UNKNOWN.

        So a report of scores alone is counted by words as well, and what nobody has rated is a
        severity of its own instead of none.

        Source: CVSS 3.1 specification, section 5, "Qualitative Severity Rating Scale".
        """
        if self.severity.strip().casefold() not in _SAYS_UNKNOWN:
            return self.severity.strip()
        if self.score is None:
            return UNKNOWN_SEVERITY
        return next((word for least, word in _RATINGS if self.score >= least), UNKNOWN_SEVERITY)


def deciding_score(scores: Iterable[Score]) -> float | None:
    """Choose the score that decides the band, where a report has several.

    The newest version of CVSS counts, since it is the one that the field rates by today; of several
    scores of one version the highest, so that no source can talk another down.

    Args:
        scores: The scores of one vulnerability.

    Returns:
        The base score; None when there is none.
    """
    chosen = max(scores, key=lambda each: (_version_key(each.version), each.base), default=None)
    return chosen.base if chosen else None


def _version_key(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(int(p) if p.isdecimal() and len(p) <= _MOST_DIGITS else 0 for p in parts)


_MOST_DIGITS = 4
"""A part of a version of CVSS has one; Python reads no number of thousands."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody says about a vulnerability of a product (VEX).

    Args:
        vulnerability: Its identifier.
        aliases: Its other identifiers.
        products: What it is about: package URLs, digests such as ``sha256:..``, or names; empty
            when it is about whatever the document is attached to.
        status: What is said.
        justification: Why it does not affect, in the document's own word; empty when not said.
        at: When it was said; None when not said.
        subcomponents: The packages within the products that it is about, as package URLs or names;
            empty when it is about all of them.
        source: Who says it, in words; for whoever gathers statements to fill in.
    """

    vulnerability: str
    aliases: tuple[str, ...]
    products: tuple[str, ...]
    status: Status
    justification: str = ""
    at: datetime | None = None
    subcomponents: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class VulnerabilityException:
    """A vulnerability that somebody has accepted for a while.

    Args:
        id: Its identifier, or an alias.
        reason: Why it is accepted.
        expires: The last day on which it is accepted, in UTC.
        by: Who accepted it.
        package: The package it is accepted in; None for all.
        repository: The source repository it is accepted in, or a pattern with one ``*`` that stands
            for any characters but ``/``; None for all.
    """

    id: str
    reason: str
    expires: date
    by: str
    package: str | None = None
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A valid signature of the image itself.

    Args:
        by: The signer, by the name that the policy gives it.
        words: What it is and where it was found; may be empty.
    """

    by: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class VulnerabilityCounts:
    """How many vulnerabilities a report counts that lists none.

    Args:
        critical: In DTR's band of that name.
        major: Likewise.
        minor: Likewise.
        all: Of whatever severity.
        source: Which report.
    """

    critical: int
    major: int
    minor: int
    all: int
    source: str


@dataclass(frozen=True, slots=True)
class Known(Generic[Item]):
    """A list that some report vouches for.

    Args:
        items: The list; empty means that the report found nothing.
        source: Which report, from where, how old and signed by whom, in words.
    """

    items: tuple[Item, ...]
    source: str
    _made: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, make: Callable[[Known[Item]], Made]) -> Made:
        """Return what a function makes of the list, made at the first call and kept with it.

        Args:
            make: The function; a module's own, since it is what the result is found by.

        Returns:
            What it made.
        """
        if make not in self._made:
            self._made[make] = make(self)
        return cast("Made", self._made[make])


@dataclass(frozen=True, slots=True)
class Moment:
    """A time and where it was read."""

    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts about one image.

    Args:
        tag: The source tag.
        updated: When the image was last updated.
        components: Its components with their licenses.
        vulnerabilities: Its vulnerabilities.
        vulnerability_counts: Their numbers, from a report that has no list; a list goes before.
        signatures: The valid signatures of the image; an empty list when there is none.
        statements: What those whom the policy trusts say about its vulnerabilities (VEX).
        exceptions: The vulnerabilities that are accepted for a while, in whatever repository.
        repository: The source repository, which exceptions may be bound to.
        digests: The image's digest and that of the index it is part of, which statements may name.
        why_no_components: Why there are none, in words; empty when nobody can say.
        why_no_vulnerabilities: Likewise, such as ``the scan is running``.
        why_no_signatures: Likewise.
    """

    tag: str
    updated: Moment | None = None
    components: Known[Component] | None = None
    vulnerabilities: Known[Vulnerability] | None = None
    vulnerability_counts: VulnerabilityCounts | None = None
    signatures: Known[Signature] | None = None
    statements: tuple[Statement, ...] = ()
    exceptions: tuple[VulnerabilityException, ...] = ()
    repository: str | None = None
    digests: tuple[str, ...] = ()
    why_no_components: str = ""
    why_no_vulnerabilities: str = ""
    why_no_signatures: str = ""
