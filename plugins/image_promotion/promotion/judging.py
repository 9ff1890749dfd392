"""The judgement: what a policy's triggers say about images, on every platform they have.

The cheapest facts come first: what the tag and its time rule out is not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from types import MappingProxyType

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome
from image_promotion.policy.criteria.verdict import Criterion, Finding, Verdict, foresee
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageDecision, ImageName, as_reason
from image_promotion.promotion.evidence import (
    GatheredEvidence,
    evidence_about,
    keep_evidence,
    needs_evidence,
)
from image_promotion.promotion.gates import NO_GATES, Gates
from image_promotion.promotion.image_times import image_moments
from image_promotion.promotion.selection import settle_contents
from image_promotion.registry.store import Store

_WORST_FIRST = (Verdict.NOT_HELD, Verdict.UNKNOWN, Verdict.HELD)

IMAGES_IN_MEMORY = 50
"""Of how many images evidence is held at a time; large ones have 50,000 components each."""

AskGates = Callable[[Sequence[ImageName]], Mapping[ImageName, Gates]]

NO_OTHER_NAMES: Mapping[ImageName, str] = MappingProxyType({})

_NOT_LOOKED_AT = "not looked at, since another trigger decides"


@dataclass(frozen=True, slots=True)
class JudgedImages:
    """What is decided about images, and by what evidence.

    Attributes:
        decisions: One for each image, in their order.
        evidence: What was found about those that the cheap facts left open; None when nobody had
            to look for any, or when they are too many for it to be held.
    """

    decisions: list[ImageDecision]
    evidence: GatheredEvidence | None = None


async def judge_images(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    ledger: Ledger,
    now: datetime,
    afresh: bool,
    keep: bool,
    known_as: Mapping[ImageName, str] = NO_OTHER_NAMES,
    overridden: Collection[ImageName] = (),
    gates_of: AskGates | None = None,
    withheld: Collection[SourceName] = (),
) -> JudgedImages:
    """Decide about images by the triggers, and by what the policy says of their contents.

    Args:
        policy: The policy.
        images: The images.
        source: The store they are in.
        ledger: Where evidence is kept.
        now: The moment of the decision.
        afresh: Whether evidence is gathered anew even if what is kept would do.
        keep: Whether what is gathered is kept.
        known_as: The repositories of the policy's source that images came from which are judged
            where they went to.
        overridden: The images that a person promotes whatever the triggers say. All that the
            triggers and gates say is found out all the same, and kept.
        gates_of: Says which images have to wait whatever their triggers say, asked about those that
            no cheap fact rules out, before evidence is looked for; None where nothing is asked.
        withheld: The sources of evidence that are not asked.

    Returns:
        One decision for each image, in their order; those to promote have the digest that the
        target gets, and no target tag yet. And the evidence.

    Raises:
        RegistryError: The source cannot be asked.
        PolicyError: A signer's key cannot be used.
        LedgerError: The ledger cannot be asked, or written.
    """
    moments = await image_moments(policy, images, source)
    known = {
        image: ImageFacts(
            tag=image.tag,
            updated=moments.get(image),
            repository=known_as.get(image, image.repository),
            exceptions=tuple(each.exception() for each in policy.evidence.exceptions),
            why_no_components=_NOT_LOOKED_AT,
            why_no_vulnerabilities=_NOT_LOOKED_AT,
            why_no_signatures=_NOT_LOOKED_AT,
        )
        for image in images
    }
    first = {image: judge(policy.criterion, {"": facts}, now) for image, facts in known.items()}
    asked = [
        image
        for image in images
        if first[image].outcome is not Outcome.REJECT or image in overridden
    ]
    gates = gates_of(asked) if gates_of and asked else {}
    may_pass = {
        image
        for image, judgement in first.items()
        if (judgement.verdict is Verdict.UNKNOWN and gates.get(image, NO_GATES).is_open)
        or image in overridden
        if needs_evidence(policy)
    }
    decided = (_decision(image, first[image], gates.get(image, NO_GATES)) for image in images)
    settled = await settle_contents(
        policy,
        [
            replace(each, outcome=Outcome.PROMOTE)
            if each.image in may_pass or each.image in overridden
            else each
            for each in decided
        ],
        source=source,
    )
    open_images = [
        each.image for each in settled if each.outcome is Outcome.PROMOTE and each.image in may_pass
    ]
    final: dict[ImageName, Judgement] = {}
    evidence = None
    # What reports say is forgotten once it has decided: that of all images fits into no memory.
    for batch in _batches(open_images):
        evidence = await evidence_about(
            policy, batch, source=source, ledger=ledger, now=now, afresh=afresh, withheld=withheld
        )
        if keep:
            keep_evidence(policy, evidence, source=source, ledger=ledger)
        for image in batch:
            final[image] = judge(policy.criterion, evidence.facts(image, known[image]), now)
    decisions = [
        _with_judgement(each, final[each.image], said_before=len(first[each.image].findings))
        if each.image in final
        else each
        for each in settled
    ]
    decisions = [
        _overruled(decision, before, first[before.image], gates.get(before.image, NO_GATES))
        if before.image in overridden and before.outcome is Outcome.PROMOTE
        else decision
        for decision, before in zip(decisions, settled, strict=True)
    ]
    return JudgedImages(decisions, evidence if len(final) <= IMAGES_IN_MEMORY else None)


def _overruled(
    decision: ImageDecision, settled: ImageDecision, first: Judgement, gates: Gates
) -> ImageDecision:
    """Promote an image that can be promoted; an override only where something does not hold."""
    held = decision.outcome if decision is not settled else first.outcome
    if held is Outcome.PROMOTE and gates.is_open:
        return decision
    return replace(
        decision,
        outcome=Outcome.PROMOTE,
        target_digest=settled.target_digest,
        wait_until=None,
        is_overridden=True,
    )


def _batches(images: Sequence[ImageName]) -> Iterator[Sequence[ImageName]]:
    """Yield some images at a time; the tags of one image come together."""
    batch: list[ImageName] = []
    for _, tags in groupby(sorted(images, key=_key), key=_key):
        batch += tags
        if len(batch) >= IMAGES_IN_MEMORY:
            yield batch
            batch = []
    if batch:
        yield batch


def _key(image: ImageName) -> tuple[str, str]:
    return image.repository, image.digest


def _decision(image: ImageName, judgement: Judgement, gates: Gates = NO_GATES) -> ImageDecision:
    """Say what triggers and gates decide; a closed gate makes wait whom no trigger rejects."""
    reasons = (*(as_reason(finding) for finding in judgement.findings), *gates.reasons)
    outcome, until = judgement.outcome, judgement.changes_at
    if not gates.is_open and outcome is not Outcome.REJECT:
        # Both must open. What only another policy or new evidence can open has no time.
        is_only_late = judgement.verdict is Verdict.HELD or until is not None
        moments = [each for each in (until, gates.opens_at) if each]
        knows_when = gates.opens_at is not None and is_only_late
        outcome, until = Outcome.WAIT, max(moments) if knows_when else None
    return ImageDecision(image, outcome, reasons, wait_until=until)


def _with_judgement(
    decision: ImageDecision, judgement: Judgement, *, said_before: int
) -> ImageDecision:
    """Put what the triggers say by now in the place of what they said without evidence."""
    decided = _decision(decision.image, judgement)
    is_promoted = decided.outcome is Outcome.PROMOTE
    return replace(
        decided,
        reasons=(*decided.reasons, *decision.reasons[said_before:]),
        target_digest=decision.target_digest if is_promoted else None,
    )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the triggers say.

    Attributes:
        verdict: Whether they hold, on every platform.
        findings: One for each trigger of the policy.
        changes_at: When a failed image may pass by the passing of time alone; None when it cannot.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    changes_at: datetime | None = None

    @property
    def outcome(self) -> Outcome:
        """What is to become of the image: one that may pass later waits."""
        match self.verdict:
            case Verdict.HELD:
                return Outcome.PROMOTE
            case Verdict.UNKNOWN:
                return Outcome.WAIT
            case Verdict.NOT_HELD:
                return Outcome.REJECT if self.changes_at is None else Outcome.WAIT


def judge(
    criterion: Criterion, facts_by_platform: Mapping[str, ImageFacts], now: datetime
) -> Judgement:
    """Judge an image.

    Args:
        criterion: What the policy asks for, one part for each trigger.
        facts_by_platform: The facts for each platform that is promoted; for a single image one
            entry, whatever its key.
        now: The present moment.

    Returns:
        The judgement: all triggers must hold on all platforms.
    """
    findings = {
        platform: criterion.judge(facts, now) for platform, facts in facts_by_platform.items()
    }
    verdict = _worst([finding.verdict for finding in findings.values()])
    return Judgement(
        verdict,
        _by_trigger(findings),
        _passes_at(criterion, facts_by_platform, findings, now)
        if verdict is Verdict.NOT_HELD
        else None,
    )


def _by_trigger(findings: Mapping[str, Finding]) -> tuple[Finding, ...]:
    """Say for each trigger once what is the same on all platforms, and else what differs."""
    parts = [finding.parts for finding in findings.values()]
    return tuple(
        same[0] if all(each == same[0] for each in same) else _joined(list(findings), same)
        for same in zip(*parts, strict=True)
    )


def _joined(platforms: Sequence[str], findings: Sequence[Finding]) -> Finding:
    first = findings[0]
    of_platforms = tuple(
        replace(finding, trigger=f"{platform}: {finding.trigger}")
        for platform, finding in zip(platforms, findings, strict=True)
    )
    moments = [each.changes_at for each in findings if each.changes_at]
    return Finding(
        trigger=first.trigger,
        verdict=_worst([finding.verdict for finding in findings]),
        expected=f"{first.expected}, on every platform",
        found="; ".join(
            f"{platform}: {finding.found}"
            for platform, finding in zip(platforms, findings, strict=True)
        ),
        source="; ".join(dict.fromkeys(finding.source for finding in findings if finding.source)),
        changes_at=min(moments, default=None),
        parts=of_platforms,
    )


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return next(each for each in _WORST_FIRST if each in verdicts)


def _passes_at(
    criterion: Criterion,
    facts_by_platform: Mapping[str, ImageFacts],
    findings: Mapping[str, Finding],
    now: datetime,
) -> datetime | None:
    """Say when no platform fails any more; None when one of them always will."""
    moments = [
        foresee(criterion, facts_by_platform[platform], now)
        for platform, finding in findings.items()
        if finding.verdict is Verdict.NOT_HELD
    ]
    if any(each is None for each in moments):
        return None
    return max((each for each in moments if each is not None), default=None)
