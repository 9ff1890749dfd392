"""What a registry's own scanner says about an image, asked by the product's interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from image_promotion.registry.digest import Digest
from image_promotion.registry.products.catalogue import ScanState

MAX_REPORT_BYTES = 128 * 1024 * 1024
"""The largest report that is taken; reports name each finding once for each package."""


@dataclass(frozen=True, slots=True)
class ScanReport:
    """One report of a registry's scanner.

    Args:
        content: The report, in the product's own format.
        media_type: What it is, in the product's own words.
        made_at: When the scan ended, aware; None where it is not said.
    """

    content: bytes = field(repr=False)
    media_type: str
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a registry's scanner has of one image.

    Args:
        state: How far the scan is. Reports are there only when it is done.
        said: The state in the product's own words, as a clause; never holds a secret.
        reports: The reports.
        sbom: The artifact that holds the SBOM the registry made, by digest; None without one.
        remarks: What else is to be known about the reports, each a clause.
    """

    state: ScanState
    said: str
    reports: tuple[ScanReport, ...] = ()
    sbom: Digest | None = None
    remarks: tuple[str, ...] = ()


class Scans(Protocol):
    """The scan results of one registry; repositories are named as in policies."""

    @property
    def whole_index(self) -> bool:
        """Whether the product answers for a tag with all that it points at, and not by digest."""

    async def result(self, repository: str, digest: Digest, tags: Sequence[str]) -> ScanResult:
        """Ask what the registry's scanner found in an image.

        Args:
            repository: The repository.
            digest: The image.
            tags: Tags that were seen to point at it; a product that scans tags is asked by them.

        Returns:
            What it says.

        Raises:
            RegistryError: The registry answers with an error, or not at all.
            InvalidReferenceError: The registry cannot have a repository of this name.
        """


@runtime_checkable
class HasScans(Protocol):
    """A store whose registry may have a scanner of its own."""

    @property
    def scans(self) -> Scans | None:
        """Its results; None for a product that has no such thing."""
