"""A dossier: all that was found about one image, what counts of it, and why the rest does not."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from pydantic import TypeAdapter

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.report import Report, ScanState
from image_promotion.policy.criteria.verdict import Need

VERSION = 1
"""Of how a dossier is kept; one of another version is gathered anew."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One document that was looked at, and what it came to.

    Args:
        source: The source it came from, such as ``referrers``.
        location: Where it was found, in words.
        digest: Of its content, ``sha256:..``.
        subject: The digest it was found at: of the image, or of the image of one platform.
        obtained_at: When it was fetched.
        report: What it says; None for a signature, and for whatever does not count: what is not
            there cannot be believed by mistake, and strangers fill no ledger.
        signed_by: The policy's signers who signed it.
        signs_image: Whether it is a signature of the image itself.
        problem: Why it does not count; empty when it does.
        speaks_of: What a report with a problem would tell; empty when nobody could find out.
    """

    source: str
    location: str
    digest: str
    subject: str
    obtained_at: datetime
    report: Report | None = None
    signed_by: tuple[str, ...] = ()
    signs_image: bool = False
    problem: str = ""
    speaks_of: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        if self.report is not None and (self.problem or self.signs_image):
            raise ValueError("a document that does not count, or signs, has no report to be read")

    @property
    def made_at(self) -> datetime | None:
        """When its report was made, by its own word."""
        return self.report.provenance.created_at if self.report else None


@dataclass(frozen=True, slots=True)
class Note:
    """What a source said besides its documents.

    Args:
        source: The source.
        subject: The digest that was asked about.
        said: What it said, such as ``the scan is running``.
        state: How far its scan has come; None when it does not speak of a scan.
        is_failure: Whether evidence is missing that is there, or may be.
    """

    source: str
    subject: str
    said: str
    state: ScanState | None = None
    is_failure: bool = False

    @property
    def explains(self) -> bool:
        """Whether it says why something is not known, and not just what else was seen."""
        return self.is_failure or self.state is not None


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """The image of one platform within an index.

    Args:
        platform: Such as ``linux/arm64``.
        digest: Its manifest's digest.
    """

    platform: str
    digest: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that was found about one image.

    Args:
        image: The image's digest.
        platforms: The images of an index that are promoted with it; empty for a single image.
        entries: The documents, in the order of the sources.
        notes: What sources said besides.
        gathered_at: When.
        version: Of how a dossier is kept.
    """

    image: str
    platforms: tuple[PlatformImage, ...]
    entries: tuple[Entry, ...]
    notes: tuple[Note, ...]
    gathered_at: datetime
    version: int = VERSION

    def about(self, subjects: Sequence[str]) -> tuple[Entry, ...]:
        """Return the entries about one of some digests, in their order."""
        return tuple(each for each in self.entries if each.subject in subjects)


def pack(dossier: Dossier) -> bytes:
    """Turn a dossier into bytes that can be kept.

    Args:
        dossier: The dossier.

    Returns:
        Compressed JSON.
    """
    return zlib.compress(_adapter().dump_json(dossier), level=6)


def unpack(content: bytes) -> Dossier | None:
    """Read what `pack` made.

    Args:
        content: What was kept.

    Returns:
        The dossier; None for one of another version, which must be gathered anew.

    Raises:
        UnreadableEvidenceError: It is not what `pack` made: somebody changed it.
    """
    try:
        text = zlib.decompress(content)
        if not text.endswith(b'"version":%d}' % VERSION):
            return None
        return _adapter().validate_json(text)
    except (zlib.error, ValueError) as error:
        raise UnreadableEvidenceError(
            f"the evidence that was kept cannot be read: {error}",
            advice="Decide the image again with decide_again: it is gathered anew.",
        ) from error


@cache
def _adapter() -> TypeAdapter[Dossier]:
    return TypeAdapter(Dossier)
