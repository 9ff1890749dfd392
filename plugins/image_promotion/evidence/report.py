"""A report: what one document says about one image, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from image_promotion.policy.facts import Component, Status, Vulnerability


class ScanState(StrEnum):
    """How far the scan has come that a report is about. Only a complete one is evidence."""

    COMPLETE = "complete"
    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    NOT_SCANNED = "not_scanned"


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
    """

    vulnerability: str
    aliases: tuple[str, ...]
    products: tuple[str, ...]
    status: Status
    justification: str = ""
    at: datetime | None = None


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
class Report:
    """What a document says. None means that a document of its kind says nothing of that.

    Args:
        format: Its format and the format's version, such as ``spdx-json-2.3``.
        provenance: Where it comes from.
        components: The components it lists, each once by group, name, version and package URL.
        vulnerabilities: The vulnerabilities it lists, as often as it lists them.
        statements: What it says about vulnerabilities that others found (VEX).
        state: How far its scan has come.
        problem: Why its scan is not complete, in its own words; empty when it is complete.
    """

    format: str
    provenance: Provenance = Provenance()
    components: tuple[Component, ...] | None = None
    vulnerabilities: tuple[Vulnerability, ...] | None = None
    statements: tuple[Statement, ...] = ()
    state: ScanState = ScanState.COMPLETE
    problem: str = ""
