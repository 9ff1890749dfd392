"""What was found by trying, as the pages and the API have it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime

from image_promotion.errors import NotFoundError, PolicyError, PromotionError
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.model import Policy
from image_promotion.policy.places import Destination
from image_promotion.promotion.decision import ImageDecision, TargetTag
from image_promotion.promotion.explaining import (
    ExaminedDocument,
    ExaminedEvidence,
    Explanation,
)
from image_promotion.promotion.plan_document import HEADINGS, count, heading_of
from image_promotion.promotion.planning import PlannedImage
from image_promotion.promotion.previewing import Figures, Preview, PreviewedImage
from image_promotion.promotion.stores import Stores
from image_promotion.registry.concurrency import ask_each
from image_promotion.web.api import trial_models as models
from image_promotion.web.pages.reasons import shown_reason

TARGETS_AT_ONCE = 8

SHOWN = 10
"""So many images stand under each heading of an outlook."""

_NO_TARGET = PreviewedImage(PlannedImage("", "", None, None, ()))


async def tried_targets(
    policy: Policy, found: Explanation, moved: Preview, stores: Stores
) -> tuple[models.TriedTarget, ...]:
    """Say of each target tag that an image gets, or would get, what it points at now.

    Args:
        policy: The policy.
        found: What it decides about the image.
        moved: What would be moved for it.
        stores: The stores of the policy's connections.

    Returns:
        One for each target tag; none for a source tag that cannot be read.
    """
    if found.digest is None:
        return ()
    parts = {each.destination: each for each in found.targets if each.destination}

    async def ask(destination: Destination) -> models.TriedTarget:
        connection_id = destination.target.connection
        repository = policy.target_repository_for(found.repository, destination)
        part = parts.get(destination)
        try:
            tag = (
                part.target.tag
                if part and part.target
                else policy.render_tag(found.tag, found.at, destination)
            )
        except PolicyError as error:
            return models.TriedTarget(
                connection=connection_id,
                repository=repository,
                is_asked=False,
                problem=f"the template {destination.template} gives no tag: {error}",
            )
        held, problem = await _held(stores, connection_id, repository, tag)
        return _tried(
            connection_id, TargetTag(repository, tag), part, moved, held=held, problem=problem
        )

    targets = await ask_each(ask, policy.destinations, at_once=TARGETS_AT_ONCE)
    # Two templates may come to one tag.
    return tuple(
        {(each.connection, each.repository, each.tag): each for each in targets[::-1]}.values()
    )[::-1]


async def _held(
    stores: Stores, connection_id: str, repository: str, tag: str
) -> tuple[str | None, str]:
    """Return what a target tag points at, and why that is not known."""
    try:
        descriptor = await stores.of(connection_id).resolve(repository, tag)
    except NotFoundError:
        return None, ""
    except PromotionError as error:
        return None, str(error)
    return (str(descriptor.digest) if descriptor else None), ""


def _tried(
    connection_id: str,
    target: TargetTag,
    part: ImageDecision | None,
    moved: Preview,
    *,
    held: str | None,
    problem: str,
) -> models.TriedTarget:
    row = next(
        (
            each
            for each in moved.images
            if (each.planned.target_connection, each.planned.target) == (connection_id, target)
        ),
        _NO_TARGET,
    )
    done = row.planned.promotion
    return models.TriedTarget(
        connection=connection_id,
        repository=target.repository,
        tag=target.tag,
        outcome=part.outcome if part else None,
        digest=part.target_digest if part else None,
        held_digest=held,
        is_asked=not problem,
        promoted=done.state if done else None,
        promoted_at=done.ended_at if done else None,
        moved=shown_figures(row.figures),
        problem=problem or row.problem,
    )


def shown_figures(figures: Figures | None) -> models.Moved | None:
    """Return what copies would move, as the API has it."""
    return None if figures is None else models.Moved(**asdict(figures))


def shown_trial(
    found: Explanation,
    targets: tuple[models.TriedTarget, ...],
    notes: tuple[str, ...],
    withheld: Collection[SourceName],
) -> models.Trial:
    """Return a decision that was tried, as the API has it.

    Args:
        found: The decision.
        targets: Its target tags.
        notes: What else a run does.
        withheld: The sources of evidence that were not asked.

    Returns:
        The answer.
    """
    evidence = found.evidence
    return models.Trial(
        policy=found.policy,
        at=found.at,
        repository=found.repository,
        tag=found.tag,
        digest=found.digest,
        outcome=found.outcome,
        problem=found.problem,
        wait_until=found.wait_until,
        a_run=found.run,
        would_ask=_would_ask(evidence, withheld),
        reasons=tuple(shown_reason(each) for each in found.reasons),
        targets=targets,
        evidence=_shown_evidence(evidence) if evidence else None,
        why_no_evidence=found.why_no_evidence,
        promotions=tuple(
            models.DonePromotion(
                digest=each.observation.digest,
                registry=done.target_registry,
                repository=done.target_repository,
                tag=done.target_tag,
                state=done.state,
                ended_at=done.ended_at,
                error=done.error,
            )
            for each in found.recorded
            if (done := each.promotion)
        ),
        notes=notes,
    )


def _would_ask(
    evidence: ExaminedEvidence | None, withheld: Collection[SourceName]
) -> tuple[str, ...]:
    """Return the sources that were to be asked, and were not."""
    sources = [each.note.source for each in evidence.notes] if evidence else []
    return tuple(dict.fromkeys(each for each in sources if each in withheld))


def _shown_evidence(evidence: ExaminedEvidence) -> models.TriedEvidence:
    return models.TriedEvidence(
        gathered_at=evidence.gathered_at,
        was_kept=evidence.was_kept,
        documents=tuple(_shown_document(each) for each in evidence.documents),
        notes=tuple(
            f"{each.note.source}{f' ({each.platform})' if each.platform else ''}: {each.note.said}"
            for each in evidence.notes
        ),
    )


def _shown_document(document: ExaminedDocument) -> models.TriedDocument:
    entry = document.entry
    return models.TriedDocument(
        source=entry.source,
        location=entry.location,
        platform=document.platform,
        made_at=entry.made_at,
        signed_by=tuple(entry.signed_by),
        used_for=tuple(str(use) for use in document.uses),
        why_unused=document.why_unused,
    )


def shown_outlook(
    policy: Policy,
    found: Preview,
    *,
    now: datetime,
    not_looked_at: int,
    notes: Sequence[str],
) -> models.Outlook:
    """Return what a run would do, as the API has it.

    Args:
        policy: The policy.
        found: What it would do.
        now: The moment.
        not_looked_at: How many tags were too many to look at.
        notes: What else is to be known.

    Returns:
        The answer, with the first images under each heading.
    """
    numbers = count(found.planned)
    return models.Outlook(
        policy=policy.name,
        at=now,
        tags=numbers.tags + not_looked_at,
        not_looked_at=not_looked_at,
        promote=numbers.images,
        target_tags=numbers.promote,
        moved_tags=numbers.moved_tags,
        over_cap=numbers.over_cap,
        wait=numbers.wait,
        reject=numbers.reject,
        conflict=numbers.conflict,
        unreadable=numbers.unreadable,
        arrived=numbers.arrived,
        moved=shown_figures(found.total),
        groups=tuple(
            _group(heading, rows)
            for heading in HEADINGS
            if (rows := [each for each in found.planned if heading_of(each) == heading])
        ),
        notes=tuple(notes),
    )


def _group(heading: str, rows: Sequence[PlannedImage]) -> models.OutlookGroup:
    # What a name alone ruled out tells the least.
    first = sorted(rows, key=lambda each: each.digest is None)[:SHOWN]
    return models.OutlookGroup(
        heading=heading,
        count=len(rows),
        images=tuple(
            models.OutlookImage(
                repository=row.repository,
                tag=row.tag,
                digest=row.digest,
                outcome=row.outcome,
                target=row.named_target,
                held_digest=row.held_digest,
                moves_tag=row.is_new and row.moves_tag,
                why=row.why,
                wait_until=row.wait_until,
                reasons=tuple(shown_reason(each) for each in row.reasons),
            )
            for row in first
        ),
    )
