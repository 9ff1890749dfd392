"""The evaluation: promote, reject, wait or conflict, and why.

Nothing is written here but the decisions and the planned promotions in the ledger. Conflicts over
target tags are found before any content moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from image_promotion.errors import PolicyError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    Aim,
    Candidate,
    NewDecision,
    NewPromotion,
    Outcome,
    Promotion,
    Reason,
    Run,
    State,
)
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageDecision, ImageName, TargetTag
from image_promotion.promotion.judging import JudgedImages, judge_images
from image_promotion.promotion.target_tags import settle_target_tags
from image_promotion.registry.store import Store

FINISHED = (State.VERIFIED, State.SUPERSEDED)


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
    earlier: Mapping[ImageName, Promotion],
    now: datetime,
    afresh: bool = False,
    keep_evidence: bool = False,
) -> list[ImageDecision]:
    """Decide about images, writing nothing but the evidence that was gathered, if that is wanted.

    Args:
        policy: The policy.
        images: The images to decide about.
        source: The store they are in.
        target: The store they may go to.
        ledger: Asked which target tags other promotions are about to set.
        earlier: The promotions of earlier tries; the same promotion keeps the tag rendered then.
        now: The moment of the decision, which time-dependent triggers and templates use.
        afresh: Whether evidence is gathered anew even if what is kept of earlier runs would do.
        keep_evidence: Whether what is gathered is kept in the ledger.

    Returns:
        One decision for each image, in the images' order.

    Raises:
        RegistryError: A registry cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    judged = await evaluate_with_evidence(
        policy,
        images,
        source=source,
        target=target,
        ledger=ledger,
        earlier=earlier,
        now=now,
        afresh=afresh,
        keep_evidence=keep_evidence,
    )
    return judged.decisions


async def evaluate_with_evidence(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    target: Store,
    ledger: Ledger,
    earlier: Mapping[ImageName, Promotion],
    now: datetime,
    afresh: bool = False,
    keep_evidence: bool = False,
) -> JudgedImages:
    """Decide about images as `evaluate` does, and give the evidence too.

    Args:
        policy: As in `evaluate`, like all that follow.
        images: See there.
        source: See there.
        target: See there.
        ledger: See there.
        earlier: See there.
        now: See there.
        afresh: See there.
        keep_evidence: See there.

    Returns:
        One decision for each image, in the images' order, and what was found about those that the
        cheap facts left open.

    Raises:
        RegistryError: A registry cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    judged = await judge_images(
        policy, images, source=source, ledger=ledger, now=now, afresh=afresh, keep=keep_evidence
    )
    decisions = [_named(policy, each, earlier.get(each.image), now) for each in judged.decisions]
    settled = await settle_target_tags(policy, decisions, target=target, ledger=ledger)
    return replace(judged, decisions=settled)


def _named(
    policy: Policy, decision: ImageDecision, earlier: Promotion | None, now: datetime
) -> ImageDecision:
    """Render the tag of an image that earned one."""
    if decision.outcome is not Outcome.PROMOTE:
        return decision
    image = decision.image
    is_retry = earlier is not None and earlier.target_digest == decision.target_digest
    try:
        tag = earlier.target_tag if earlier and is_retry else policy.render_tag(image.tag, now)
    except PolicyError as error:
        # Only this image's tag makes the template's result illegal; other images are well.
        reason = Reason(
            trigger=f"target tag {policy.target.tag}",
            verdict=str(Verdict.NOT_HELD),
            expected="a legal tag",
            found=error.attempted,
            source="tag template",
        )
        return ImageDecision(image, Outcome.REJECT, (*decision.reasons, reason))
    target = TargetTag(policy.target_repository_for(image.repository), tag)
    return replace(decision, target=target)


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
        earlier=_earlier(policy, candidates, ledger),
        now=now,
        afresh=decide_again,
        keep_evidence=True,
    )
    decisions, deferred = _within(decisions, policy.limits.images_per_run)
    ids |= _aim(policy, decisions, ids, ledger, run=run, now=now)
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
                target_digest=each.target_digest,
            )
            for each, decision in zip(decisions, recorded, strict=True)
            if each.outcome is Outcome.PROMOTE and each.target and each.target_digest
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


def _aim(
    policy: Policy,
    decisions: Sequence[ImageDecision],
    ids: Mapping[ImageName, int],
    ledger: Ledger,
    *,
    run: Run,
    now: datetime,
) -> Mapping[ImageName, int]:
    """Return the observations to decide about: new ones where another index is wanted by now."""
    wanted = {
        each.image: Aim(
            ids[each.image], target_key(policy, each.image.repository), each.target_digest
        )
        for each in decisions
        if each.outcome is Outcome.PROMOTE and each.target_digest
    }
    if not wanted:
        return {}
    return dict(zip(wanted, ledger.aim(run, list(wanted.values()), at=now), strict=True))


def _earlier(
    policy: Policy, candidates: Sequence[Candidate], ledger: Ledger
) -> Mapping[ImageName, Promotion]:
    """Return the promotions that were planned to the same target before."""
    found = {}
    for candidate in candidates:
        if candidate.last and candidate.last.promotion_id is not None:
            promotion = ledger.promotion(candidate.last.promotion_id)
            if promotion.target_key == target_key(policy, promotion.source_repository):
                found[_image(candidate)] = promotion
    return found


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
