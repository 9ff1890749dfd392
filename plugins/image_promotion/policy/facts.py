"""What triggers judge: the facts about one image, as far as they are known.

None means not known (yet), which is never the same as "none found".
"""

from __future__ import annotations

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

    Args:
        name: Its name, such as ``busybox``.
        version: Its version, if the report says one.
        purl: Its package URL, if the report says one.
        licenses: The licenses it is under; empty when the report names none.
    """

    name: str
    version: str | None = None
    purl: str | None = None
    licenses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a package in an image.

    Args:
        id: Its identifier, such as ``CVE-2026-1234``.
        package: The affected package.
        version: The package's version.
        severity: The scanner's own word.
        score: The CVSS base score, 0 to 10; None without one.
    """

    id: str
    package: str
    version: str
    severity: str
    score: float | None = None

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
