"""What triggers judge: the facts about one image, as far as they are known.

None means not known (yet), which is never the same as "none found".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")

CRITICAL_FROM = 7.0
MAJOR_FROM = 4.0


class Band(StrEnum):
    """DTR's severities; OTHER is counted among all vulnerabilities alone."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    OTHER = "other"


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
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


@dataclass(frozen=True, slots=True)
class Known(Generic[Item]):
    """A list that some report vouches for.

    Args:
        items: The list; empty means that the report found nothing.
        source: Which report.
    """

    items: tuple[Item, ...]
    source: str


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
    """

    tag: str
    updated: Moment | None = None
    components: Known[Component] | None = None
    vulnerabilities: Known[Vulnerability] | None = None
