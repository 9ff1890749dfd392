"""The evaluation: promote, reject, wait or conflict, and why.

Nothing is written here but the decisions and the planned promotions in the ledger. Conflicts over
target tags are found before any content moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from image_promotion.errors import PolicyError, PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    Candidate,
    NewDecision,
    NewPromotion,
    Outcome,
    Promotion,
    Reason,
    Run,
    State,
)
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict, foresee
from image_promotion.policy.facts import ImageFacts, Moment
from image_promotion.policy.model import ExistingTag, Policy
from image_promotion.promotion.creation import creation_moment
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store

IMAGES_AT_ONCE = 8

FINISHED = (State.VERIFIED, State.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class ImageName:
    """A tag of the source and the digest it was seen to point at."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class TargetTag:
    """A tag of the target."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class ImageDecision:
    """What is to become of one image, and why.

    Attributes:
        image: The image.
        outcome: promote, reject, wait or conflict.
        reasons: One for each trigger of the policy, and one more when the target tag decided.
        wait_until: The moment at which a waiting image may be decided differently, if it is known.
        target: The tag the image gets; None unless the triggers hold.
    """

    image: ImageName
    outcome: Outcome
    reasons: tuple[Reason, ...]
    wait_until: datetime | None = None
    target: TargetTag | None = None


def target_key(policy: Policy, source_repository: str) -> str:
    """Return what counts as the same target, so that an image is promoted to it once.

    The tag template is part of it and the rendered tag is not: a time in the template must not make
    every run a new target, while a changed template asks for new tags.
    """
    repository = policy.target_repository_for(source_repository)
    return f"{policy.target.connection}/{repository}:{policy.target.tag}"


async def evaluate(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    target: Store,
    ledger: Ledger,
    kept_tags: Mapping[ImageName, str],
    now: datetime,
) -> list[ImageDecision]:
    """Decide about images, writing nothing.

    Args:
        policy: The policy.
        images: The images to decide about.
        source: The store they are in.
        target: The store they may go to.
        ledger: Asked which target tags other promotions are about to set.
        kept_tags: Target tags that were rendered at an earlier try of the same promotion.
        now: The moment of the decision, which time-dependent triggers and templates use.

    Returns:
        One decision for each image, in the images' order.

    Raises:
        RegistryError: A registry cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    moments = await _creation_moments(policy, images, source)
    decisions = [
        _judge(policy, image, moments.get(image), kept_tags.get(image), now) for image in images
    ]
    return await _settle_target_tags(policy, decisions, target=target, ledger=ledger)


async def _creation_moments(
    policy: Policy, images: Sequence[ImageName], source: Store
) -> Mapping[ImageName, Moment | None]:
    """Ask for the images' times if a trigger needs them."""
    if Need.UPDATED not in policy.criterion.needs:
        return {}

    async def ask(image: ImageName) -> Moment | None:
        try:
            return await creation_moment(source, image.repository, Digest.parse(image.digest))
        except FAULTS_OF_ONE_IMAGE:
            # Without a time the trigger waits. If the image is broken, copying will say how.
            return None

    answers = await ask_each(ask, images, at_once=IMAGES_AT_ONCE)
    return dict(zip(images, answers, strict=True))


def _judge(
    policy: Policy,
    image: ImageName,
    created: Moment | None,
    kept_tag: str | None,
    now: datetime,
) -> ImageDecision:
    """Decide by the triggers alone, and render the tag of an image that earned one."""
    criterion = policy.criterion
    facts = ImageFacts(tag=image.tag, updated=created)
    finding = criterion.judge(facts, now)
    reasons = tuple(as_reason(part) for part in finding.parts)
    if finding.verdict is Verdict.UNKNOWN:
        return ImageDecision(image, Outcome.WAIT, reasons)
    if finding.verdict is Verdict.NOT_HELD:
        until = foresee(criterion, facts, now)
        outcome = Outcome.REJECT if until is None else Outcome.WAIT
        return ImageDecision(image, outcome, reasons, wait_until=until)
    try:
        tag = kept_tag or policy.render_tag(image.tag, now)
    except PolicyError as error:
        # Only this image's tag makes the template's result illegal; other images are well.
        reason = Reason(
            trigger=f"target tag {policy.target.tag}",
            verdict=str(Verdict.NOT_HELD),
            expected="a legal tag",
            found=error.attempted,
            source="tag template",
        )
        return ImageDecision(image, Outcome.REJECT, (*reasons, reason))
    target = TargetTag(policy.target_repository_for(image.repository), tag)
    return ImageDecision(image, Outcome.PROMOTE, reasons, target=target)


def as_reason(finding: Finding) -> Reason:
    """Return a finding as the ledger keeps it."""
    return Reason(
        trigger=finding.trigger,
        verdict=str(finding.verdict),
        expected=finding.expected,
        found=finding.found,
        source=finding.source,
        parts=tuple(as_reason(part) for part in finding.parts),
    )


async def _settle_target_tags(
    policy: Policy, decisions: Sequence[ImageDecision], *, target: Store, ledger: Ledger
) -> list[ImageDecision]:
    """Turn promotions into conflicts or rejections where the target tag belongs to another image.

    Three others may own it: another candidate of this run, a promotion under way, and whatever
    the target registry holds there now.
    """
    wanted: dict[TargetTag, set[str]] = defaultdict(set)
    for decision in decisions:
        if decision.target:
            wanted[decision.target].add(decision.image.digest)
    holders = await _holders(list(wanted), target)
    claims = _claims(list(wanted), target, ledger)
    settled = []
    for decision in decisions:
        tag = decision.target
        if tag is None:
            settled.append(decision)
            continue
        digest = decision.image.digest
        rival = _rival(digest, wanted[tag], claims.get(tag), holders[tag])
        if rival:
            settled.append(_conflict(decision, rival))
        else:
            settled.append(_respect(decision, holders[tag], policy.target.existing_tag))
    return settled


def _rival(
    digest: str,
    wanted_by: Collection[str],
    claim: Promotion | None,
    holder: str | PromotionError | None,
) -> str | None:
    """Say which other promotion wants the same target tag, or why nobody can tell."""
    others = sorted(set(wanted_by) - {digest})
    if others:
        return f"also wanted by {', '.join(others)} in this run"
    if claim and claim.digest != digest:
        return (
            f"about to be set to {claim.digest} by promotion {claim.id} "
            f"of policy {claim.policy} ({claim.source_repository}:{claim.source_tag})"
        )
    if isinstance(holder, PromotionError):
        return f"cannot be looked at: {holder}"
    return None


def _respect(
    decision: ImageDecision, holder: str | PromotionError | None, existing_tag: ExistingTag
) -> ImageDecision:
    """Treat a target tag that holds another image as the policy says."""
    if holder in (None, decision.image.digest) or existing_tag is ExistingTag.OVERWRITE:
        return decision
    found = f"holds {holder}; existing_tag: {existing_tag}"
    if existing_tag is ExistingTag.FAIL:
        return _conflict(decision, found)
    reason = _tag_reason(decision, found)
    return replace(decision, outcome=Outcome.REJECT, reasons=(*decision.reasons, reason))


async def _holders(
    tags: Sequence[TargetTag], target: Store
) -> Mapping[TargetTag, str | PromotionError | None]:
    """Return the digest each target tag points at now: None for a free one."""

    async def ask(tag: TargetTag) -> str | PromotionError | None:
        try:
            descriptor = await target.resolve(tag.repository, tag.tag)
        except FAULTS_OF_ONE_IMAGE as fault:
            return fault
        return None if descriptor is None else str(descriptor.digest)

    return dict(zip(tags, await ask_each(ask, tags, at_once=IMAGES_AT_ONCE), strict=True))


def _claims(
    tags: Sequence[TargetTag], target: Store, ledger: Ledger
) -> Mapping[TargetTag, Promotion]:
    """Return the unfinished promotions, of any policy, that are about to set a target tag."""
    by_repository: dict[str, list[str]] = defaultdict(list)
    for tag in tags:
        by_repository[tag.repository].append(tag.tag)
    return {
        TargetTag(repository, tag): claim
        for repository, names in by_repository.items()
        for tag, claim in ledger.tag_claims(target.name, repository, names).items()
    }


def _conflict(decision: ImageDecision, found: str) -> ImageDecision:
    reason = _tag_reason(decision, found)
    return replace(decision, outcome=Outcome.CONFLICT, reasons=(*decision.reasons, reason))


def _tag_reason(decision: ImageDecision, found: str) -> Reason:
    return Reason(
        trigger=f"target tag {decision.target}",
        verdict=str(Verdict.NOT_HELD),
        expected=f"free, or {decision.image.digest}",
        found=found,
        source="target registry and ledger",
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation came to.

    Attributes:
        decisions: One for each image that was decided.
        promotions: The promotions that are now to be carried out.
        deferred: How many images earned promotion and wait for the next run, over the cap.
    """

    decisions: tuple[ImageDecision, ...]
    promotions: tuple[Promotion, ...]
    deferred: int

    def count(self, outcome: Outcome) -> int:
        """Return how many images were decided so."""
        return sum(1 for each in self.decisions if each.outcome is outcome)

    def __str__(self) -> str:
        said = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in Outcome)
        if self.deferred:
            said += f"; {self.deferred} more wait for the next run (limits.images_per_run)"
        return said


async def evaluate_and_record(
    policy: Policy,
    *,
    source: Store,
    target: Store,
    ledger: Ledger,
    run: Run,
    now: datetime,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
) -> Evaluation:
    """Decide about the candidates of a run and plan the promotions that were earned.

    Args:
        policy: The policy, of the version that the run was begun with.
        source: The store of its source connection.
        target: The store of its target connection.
        ledger: The ledger.
        run: The run, scanned.
        now: The moment of the decision; planned promotions keep the tag rendered at it.
        only_tags: Decide about these source tags alone, also those rejected before.
        decide_again: Decide again what was rejected before.

    Returns:
        The decisions and the promotions to carry out, failed ones of earlier runs included.

    Raises:
        RegistryError: A registry cannot be asked.
        LedgerError: The ledger cannot be written.
    """
    candidates = ledger.candidates(
        run, decide_again=decide_again or bool(only_tags), tags=only_tags or None
    )
    ids = {_image(each): each.observation.id for each in candidates}
    decisions = await evaluate(
        policy,
        list(ids),
        source=source,
        target=target,
        ledger=ledger,
        kept_tags=_kept_tags(policy, candidates, ledger),
        now=now,
    )
    decisions, deferred = _within(decisions, policy.limits.images_per_run)
    recorded = ledger.decide(
        run,
        [
            NewDecision(
                observation_id=ids[each.image],
                outcome=each.outcome,
                reasons=each.reasons,
                wait_until=each.wait_until,
                target_tag=each.target.tag if each.target else None,
            )
            for each in decisions
        ],
        at=now,
    )
    planned = ledger.plan(
        run,
        [
            NewPromotion(
                observation_id=ids[each.image],
                decision_id=decision.id,
                source_connection=policy.source.connection,
                source_registry=source.name,
                target_connection=policy.target.connection,
                target_registry=target.name,
                target_repository=each.target.repository,
                target_tag=each.target.tag,
                target_key=target_key(policy, each.image.repository),
                existing_tag=str(policy.target.existing_tag),
            )
            for each, decision in zip(decisions, recorded, strict=True)
            if each.outcome is Outcome.PROMOTE and each.target
        ],
        at=now,
    )
    ledger.finish_evaluation(run, at=now)
    return Evaluation(
        decisions=tuple(decisions),
        promotions=tuple(each for each in planned if each.state not in FINISHED),
        deferred=deferred,
    )


def _image(candidate: Candidate) -> ImageName:
    seen = candidate.observation
    return ImageName(seen.repository, seen.tag, seen.digest)


def _kept_tags(
    policy: Policy, candidates: Sequence[Candidate], ledger: Ledger
) -> Mapping[ImageName, str]:
    """Return the target tags that were rendered when a promotion was first planned."""
    kept = {}
    for candidate in candidates:
        if candidate.last and candidate.last.promotion_id is not None:
            promotion = ledger.promotion(candidate.last.promotion_id)
            if promotion.target_key == target_key(policy, promotion.source_repository):
                kept[_image(candidate)] = promotion.target_tag
    return kept


def _within(decisions: Sequence[ImageDecision], cap: int) -> tuple[list[ImageDecision], int]:
    """Keep as many promotions as a run may carry; the others stay undecided for the next one."""
    kept = []
    promotions = 0
    for decision in decisions:
        if decision.outcome is Outcome.PROMOTE:
            promotions += 1
            if promotions > cap:
                continue
        kept.append(decision)
    return kept, max(0, promotions - cap)
