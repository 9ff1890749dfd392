"""What a source of evidence is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from image_promotion.errors import EvidenceError, PromotionError, Subject
from image_promotion.evidence.document import Document
from image_promotion.evidence.report import ScanState
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest

MAX_DOCUMENTS = 200
"""How many documents one source may give for one image; real images have some tens."""

MAX_TOTAL_BYTES = 256 * 1024 * 1024
"""How large they may be together, since all of them are held in memory."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image that evidence is looked for.

    Args:
        repository: Its repository, as policies name it.
        digest: Its digest: of a manifest or an index.
        parts: Of an index, the manifests of the platforms that are promoted; empty for a manifest.
        tags: Tags that point at it, where they are known; DTR knows its scans by tag alone.
    """

    repository: str
    digest: Digest
    parts: tuple[Digest, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[Digest, ...]:
        """The digests at which evidence counts: the image's own, and those of its parts."""
        return (self.digest, *self.parts)

    @property
    def manifests(self) -> tuple[Digest, ...]:
        """The manifests with layers in them, which are what scanners look at."""
        return self.parts or (self.digest,)


@dataclass(frozen=True, slots=True)
class SourceNote:
    """What a source says besides its documents, or in place of one.

    There are three kinds. With a `state` it tells how far a scan is that there is no result of;
    with an `error` it tells of evidence that is there, or should be, and could not be had; with
    neither it only explains, such as that something attached is no evidence. A source without
    documents and without notes found nothing.

    Args:
        subject: The digest it is about.
        said: What is said, as a clause, on one line; never holds a secret.
        state: How far the scan has come; None when no scan is spoken of.
        error: Why evidence could not be had; None when none is missing.
    """

    subject: str
    said: str
    state: ScanState | None = None
    error: PromotionError | None = None


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source has about an image.

    Args:
        documents: What was found, in an order that does not change from one asking to the next.
        notes: What is to be said besides.
    """

    documents: tuple[Document, ...] = ()
    notes: tuple[SourceNote, ...] = ()


class EvidenceSource(Protocol):
    """A place that evidence comes from."""

    @property
    def name(self) -> SourceName:
        """Which source it is."""

    async def documents(self, image: Image) -> SourceAnswer:
        """Fetch what may be evidence about an image.

        Args:
            image: The image.

        Returns:
            What was found, with a note for everything that could not be had for good.

        Raises:
            EvidenceError: There is more than can be read.
            PromotionError: The source cannot be asked at all, or not now.
        """


class WithheldSource:
    """A source that a run asks and that is not asked now; implements ``EvidenceSource``.

    Args:
        name: Which source.
    """

    def __init__(self, name: SourceName) -> None:
        self._name = name

    @property
    def name(self) -> SourceName:
        """Its name in policies."""
        return self._name

    async def documents(self, image: Image) -> SourceAnswer:
        """Say that it is not asked.

        Raises:
            EvidenceError: Always: what it would say may speak against the image.
        """
        raise EvidenceError(
            "only a run asks it",
            subject=Subject(repository=image.repository, digest=str(image.digest)),
        )


class Basket:
    """Documents and notes as they are found, held to the bounds.

    More than that is refused as a whole: if only the first were read, whoever may attach documents
    could push those that speak against an image out of sight.

    Args:
        about: What errors are about.
    """

    def __init__(self, about: Subject) -> None:
        self._about = about
        self._documents: list[Document] = []
        self._notes: list[SourceNote] = []
        self._number = 0
        self._size_bytes = 0

    def reserve(self, size_bytes: int) -> None:
        """Make room for a document, before it is fetched.

        Args:
            size_bytes: Its size.

        Raises:
            EvidenceError: There are too many of them, or they are too large together.
        """
        self._number += 1
        self._size_bytes += size_bytes
        if self._number > MAX_DOCUMENTS:
            raise self._refusal(f"there are more than {MAX_DOCUMENTS} documents about the image")
        if self._size_bytes > MAX_TOTAL_BYTES:
            raise self._refusal(
                f"the documents about the image are larger than {MAX_TOTAL_BYTES} bytes together"
            )

    def add(self, document: Document) -> None:
        """Add a document for which room was made."""
        self._documents.append(document)

    def note(
        self,
        subject: Digest,
        said: str,
        *,
        state: ScanState | None = None,
        error: PromotionError | None = None,
    ) -> None:
        """Add a note; see ``SourceNote``."""
        self._notes.append(SourceNote(str(subject), said, state, error))

    def answer(self) -> SourceAnswer:
        """Return what was found."""
        return SourceAnswer(tuple(self._documents), tuple(self._notes))

    def _refusal(self, rule: str) -> EvidenceError:
        return EvidenceError(
            rule, subject=self._about, advice="Remove what is not needed; all of it must be read."
        )


def on_one_line(text: str, limit: int = 200) -> str:
    """Make a stranger's text fit for a line that people read.

    Args:
        text: The text.
        limit: How many characters are kept.

    Returns:
        The text without control characters, cut where it grows long.
    """
    shown = "".join(character if character.isprintable() else " " for character in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[:limit] + "..."
