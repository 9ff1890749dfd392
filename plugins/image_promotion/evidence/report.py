"""A report: what one document says about one image, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from image_promotion.policy.facts import Component, Statement, Vulnerability

__all__ = ["BandCounts", "Provenance", "Report", "ScanState", "Statement"]


class ScanState(StrEnum):
    """How far the scan has come that a report is about. Only a complete one is evidence."""

    COMPLETE = "complete"
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    NOT_SCANNED = "not_scanned"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report says it comes from.

    Args:
        tool: The program that made it, such as ``trivy``; empty when not said.
        tool_version: Its version; empty when not said.
        created_at: When it was made; None when not said.
        subject_digest: The digest of the image it is about, ``sha256:..``; None when not said.
    """

    tool: str = ""
    tool_version: str = ""
    created_at: datetime | None = None
    subject_digest: str | None = None


@dataclass(frozen=True, slots=True)
class BandCounts:
    """How many vulnerabilities there are in each of DTR's bands, where a report lists none.

    Args:
        critical: From CVSS 7.0 on.
        major: From 4.0 to below 7.0.
        minor: Above 0 and below 4.0.
    """

    critical: int
    major: int
    minor: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.critical + self.major + self.minor


@dataclass(frozen=True, slots=True)
class Report:
    """What a document says. None means that a document of its kind says nothing of that.

    Args:
        format: Its format and the format's version, such as ``spdx-json-2.3``.
        provenance: Where it comes from.
        components: The components it lists, each once by group, name, version and package URL.
        vulnerabilities: The vulnerabilities it lists, as often as it lists them.
        counts: How many vulnerabilities it counts, where it counts and lists none.
        statements: What it says about vulnerabilities that others found (VEX).
        state: How far its scan has come.
        problem: Why its scan is not complete, in its own words; empty when it is complete.
    """

    format: str
    provenance: Provenance = Provenance()
    components: tuple[Component, ...] | None = None
    vulnerabilities: tuple[Vulnerability, ...] | None = None
    counts: BandCounts | None = None
    statements: tuple[Statement, ...] = ()
    state: ScanState = ScanState.COMPLETE
    problem: str = ""
