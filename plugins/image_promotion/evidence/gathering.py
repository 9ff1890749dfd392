"""Gathering: the sources are asked in their order, until what the triggers need is known."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import PromotionError
from image_promotion.evidence.dossier import Dossier, Entry, Note, PlatformImage
from image_promotion.evidence.examination import Trusted, examine
from image_promotion.evidence.sources.source import EvidenceSource, Image, SourceNote
from image_promotion.evidence.weighing import Weights, is_known
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import ON_DEMAND

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
    earlier: Dossier | None = None,
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
        earlier: What was gathered before from the same sources and did not suffice: what programs
            made then on demand, and still counts, is not made again.

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
        name = str(each.source.name)
        if each.source.name in ON_DEMAND:
            if sufficient:
                continue
            made = _made_before(name, image, earlier, weights)
            if made:
                entries += made
                continue
        try:
            answer = await each.source.documents(image)
        except PromotionError as error:
            said = f"could not be asked: {steady(error)}"
            notes += [Note(name, str(it), said, is_failure=True) for it in image.subjects]
            if sufficient:
                continue
            break
        # Large reports take a while to read; other images go on meanwhile.
        entries += [
            await asyncio.to_thread(examine, document, each.trusted, image, now=weights.now)
            for document in answer.documents
        ]
        notes += [_note(name, note) for note in answer.notes]
    return dossier()


def _made_before(
    name: str, image: Image, earlier: Dossier | None, weights: Weights
) -> tuple[Entry, ...]:
    """Return what a program made of the image before; nothing unless all of it still counts."""
    if earlier is None or any(note.source == name for note in earlier.notes):
        return ()
    made = tuple(each for each in earlier.entries if each.source == name)
    is_whole = {each.subject for each in made} == set(map(str, image.manifests))
    return made if is_whole and not any(map(weights.problem_of, made)) else ()


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


def _note(source: str, note: SourceNote) -> Note:
    said = f"{note.said}: {steady(note.error)}" if note.error else note.said
    return Note(source, note.subject, said, note.state, is_failure=note.error is not None)


_VARYING = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?"  # a time
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"  # of day
    r"|\b\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|seconds?)\b"  # how long it took
    r"|:\d+(?=->)"  # a port that a system chose
    r"|/tmp/[^\s:\"',]+|promotion-scan-\w+"  # a folder for a while
    r"|\b0x[0-9a-fA-F]+\b|\bpid[ =:]\d+"
)


def steady(error: PromotionError) -> str:
    """Say what failed in words that are the same the next time it fails in the same way.

    A decision that reads the same is not recorded anew at each scan, so nothing may be in it that
    differs each time: the moment, how long it took, a port.

    Args:
        error: What failed.

    Returns:
        What was attempted and the advice, without what differs; the error itself, with all that the
        registry answered, is for the log.
    """
    said = f"{error.attempted}. {error.advice}" if error.advice else error.attempted
    return _VARYING.sub("..", said)
