"""Gathering: the sources are asked in their order, until what the triggers need is known."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import PromotionError
from image_promotion.evidence.dossier import Dossier, Entry, Note, PlatformImage
from image_promotion.evidence.examination import Trusted, examine
from image_promotion.evidence.sources.source import EvidenceSource, Image, SourceNote
from image_promotion.evidence.weighing import Weights, is_known
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import SourceName

ON_DEMAND = frozenset({SourceName.SYFT, SourceName.TRIVY, SourceName.GRYPE})
"""Programs that look through the whole image."""

EVIDENCE_NEEDS = frozenset({Need.COMPONENTS, Need.VULNERABILITIES, Need.SIGNATURES})


@dataclass(frozen=True, slots=True)
class TrustedSource:
    """A source, and whose word counts there.

    Args:
        source: The source.
        trusted: Whose word counts.
    """

    source: EvidenceSource
    trusted: Trusted


async def gather(
    image: Image,
    platforms: Sequence[PlatformImage],
    *,
    sources: Sequence[TrustedSource],
    needs: Collection[Need],
    weights: Weights,
) -> Dossier:
    """Ask the sources about an image.

    Those that are not made on demand are all asked, since statements on vulnerabilities may be
    anywhere; those on demand as long as something is unknown that is needed.

    A source that cannot be asked while something is unknown ends it: what it would have said may
    speak against the image, and no later source is asked in its place.

    Args:
        image: The image, whose parts are the platforms' images.
        platforms: The images of an index that are promoted; empty for a single image.
        sources: The sources, in the policy's order.
        needs: What the triggers look at.
        weights: Which reports count now.

    Returns:
        What was found, also of what does not count.
    """
    entries: list[Entry] = []
    notes: list[Note] = []

    def dossier() -> Dossier:
        return Dossier(
            image=str(image.digest),
            platforms=tuple(platforms),
            entries=tuple(entries),
            notes=tuple(notes),
            gathered_at=weights.now,
        )

    for each in sources:
        sufficient = is_sufficient(dossier(), needs, weights)
        if sufficient and each.source.name in ON_DEMAND:
            continue
        name = str(each.source.name)
        try:
            answer = await each.source.documents(image)
        except PromotionError as error:
            notes += [Note(name, str(subject), _failure(error)) for subject in image.subjects]
            if sufficient:
                continue
            break
        # Large reports take a while to read; other images go on meanwhile.
        entries += [
            await asyncio.to_thread(examine, document, each.trusted, now=weights.now)
            for document in answer.documents
        ]
        notes += [Note(name, note.subject, _said(note), note.state) for note in answer.notes]
    return dossier()


def is_sufficient(dossier: Dossier, needs: Collection[Need], weights: Weights) -> bool:
    """Say whether a dossier knows all that triggers need, for every platform.

    Args:
        dossier: The dossier.
        needs: What the triggers look at.
        weights: Which reports count now.

    Returns:
        Whether asking more sources, or asking again, is of no use.
    """
    return all(
        is_known(dossier, need, subjects, weights)
        for need in EVIDENCE_NEEDS.intersection(needs)
        for subjects in subjects_of(dossier).values()
    )


def subjects_of(dossier: Dossier) -> Mapping[str, tuple[str, ...]]:
    """Return for each platform the digests whose reports count for it.

    Args:
        dossier: The dossier.

    Returns:
        By the platform's name, or the empty text for a single image: its own digest, and that of
        the index, whose reports count for all.
    """
    if not dossier.platforms:
        return {"": (dossier.image,)}
    return {each.platform: (each.digest, dossier.image) for each in dossier.platforms}


def _failure(error: PromotionError) -> str:
    return f"could not be asked: {error}"


def _said(note: SourceNote) -> str:
    return f"{note.said}: {note.error.attempted}" if note.error else note.said
