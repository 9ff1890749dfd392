"""The evaluation: promote, reject, wait or conflict, and why.

Nothing is written here but the decisions and the planned promotions in the ledger. Conflicts over
target tags are found before any content moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    Aim,
    Candidate,
    NewDecision,
    NewPromotion,
    Outcome,
    Promotion,
    Run,
    State,
)
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.governance import Mode
from image_promotion.policy.model import Policy
from image_promotion.promotion.aiming import (
    Earlier,
    StoreOf,
    aim_at_targets,
    is_carried,
    target_key,
    target_keys,
)
from image_promotion.promotion.decision import ImageDecision, ImageName
from image_promotion.promotion.gates import ask_gates
from image_promotion.promotion.judging import JudgedImages, judge_images
from image_promotion.promotion.loose_ends import settle_uncertain
from image_promotion.promotion.overriding import Override, overrides_of
from image_promotion.registry.store import Store

FINISHED = (State.VERIFIED, State.SUPERSEDED)


async def evaluate(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    target_of: StoreOf,
    ledger: Ledger,
    earlier: Earlier,
    now: datetime,
    afresh: bool = False,
    keep_evidence: bool = False,
    overridden: Collection[ImageName] = (),
    withheld: Collection[SourceName] = (),
) -> list[ImageDecision]:
    """Decide about images, writing nothing but the evidence that was gathered, if that is wanted.

    Args:
        policy: The policy.
        images: The images to decide about.
        source: The store they are in.
        target_of: Gives the store of a target connection.
        ledger: Asked which target tags other promotions are about to set.
        earlier: The promotions of earlier tries; the same promotion keeps the tag rendered then.
        now: The moment of the decision, which time-dependent triggers and templates use.
        afresh: Whether evidence is gathered anew even if what is kept of earlier runs would do.
        keep_evidence: Whether what is gathered is kept in the ledger.
        overridden: The images that a person promotes whatever the triggers say.
        withheld: The sources of evidence that are not asked, since somebody waits: what they would
            say is not known then.

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
        target_of=target_of,
        ledger=ledger,
        earlier=earlier,
        now=now,
        afresh=afresh,
        keep_evidence=keep_evidence,
        overridden=overridden,
        withheld=withheld,
    )
    return judged.decisions


async def evaluate_with_evidence(
    policy: Policy,
    images: Sequence[ImageName],
    *,
    source: Store,
    target_of: StoreOf,
    ledger: Ledger,
    earlier: Earlier,
    now: datetime,
    afresh: bool = False,
    keep_evidence: bool = False,
    overridden: Collection[ImageName] = (),
    withheld: Collection[SourceName] = (),
) -> JudgedImages:
    """Decide about images as `evaluate` does, and give the evidence too.

    Args:
        policy: As in `evaluate`, like all that follow.
        images: See there.
        source: See there.
        target_of: See there.
        ledger: See there.
        earlier: See there.
        now: See there.
        afresh: See there.
        keep_evidence: See there.
        overridden: See there.
        withheld: See there.

    Returns:
        One decision for each image, in the images' order, and what was found about those that the
        cheap facts left open.

    Raises:
        RegistryError: A registry cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    judged = await judge_images(
        policy,
        images,
        source=source,
        ledger=ledger,
        now=now,
        afresh=afresh,
        keep=keep_evidence,
        overridden=overridden,
        withheld=withheld,
        gates_of=partial(ask_gates, policy, source=source, ledger=ledger, now=now),
    )
    aimed = await aim_at_targets(
        policy,
        judged.decisions,
        target_of=target_of,
        ledger=ledger,
        earlier=earlier,
        now=now,
    )
    return replace(judged, decisions=aimed)


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
    target_of: StoreOf,
    ledger: Ledger,
    run: Run,
    now: datetime,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
    override: Override | None = None,
) -> Evaluation:
    """Decide about the candidates of a run and plan the promotions that were earned.

    Args:
        policy: The policy, of the version that the run was begun with.
        source: The store of its source connection.
        target_of: Gives the store of a target connection.
        ledger: The ledger.
        run: The run, scanned.
        now: The moment of the decision; planned promotions keep the tag rendered at it.
        only_tags: Decide about these source tags alone, also those rejected before.
        decide_again: Decide again what was rejected before.
        override: Who promotes the tags named although a trigger does not hold, and why.

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
    earlier = _earlier(policy, ids, ledger)
    overrides = overrides_of(
        policy,
        [(_image(each), each.last) for each in candidates],
        override,
        decide_again=decide_again,
    )
    decisions = await evaluate(
        policy,
        list(ids),
        source=source,
        target_of=target_of,
        ledger=ledger,
        earlier=earlier,
        now=now,
        afresh=decide_again,
        keep_evidence=True,
        overridden=overrides.keys(),
    )
    deferred = 0
    if policy.mode is Mode.PROMOTE:
        decisions, deferred = _within(decisions, earlier, policy)
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
                overridden_by=overrides[each.image].who if each.is_overridden else None,
                override_reason=overrides[each.image].reason if each.is_overridden else None,
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
                target_connection=each.destination.target.connection,
                target_registry=target_of(each.destination.target.connection).name,
                target_repository=each.target.repository,
                target_tag=each.target.tag,
                target_key=target_key(policy, each.image.repository, each.destination),
                existing_tag=str(each.destination.target.existing_tag),
                target_digest=each.target_digest,
            )
            for image, decision in zip(decisions, recorded, strict=True)
            for each in image.by_target
            if each.outcome is Outcome.PROMOTE
            if each.destination and each.target and each.target_digest
            # An audit decides, and does nothing.
            if policy.mode is Mode.PROMOTE
        ],
        at=now,
        # What people rejected is asked about again when somebody wants it.
        rejected_too=decide_again or bool(only_tags),
    )
    if policy.mode is Mode.PROMOTE:
        await settle_uncertain(policy, target_of=target_of, ledger=ledger, run=run, now=now)
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
    wanted = [
        (
            each.image,
            Aim(
                ids[each.image],
                target_key(policy, each.image.repository, each.destination),
                each.target_digest,
            ),
        )
        for image in decisions
        for each in image.by_target
        if each.outcome is Outcome.PROMOTE and each.destination and each.target_digest
    ]
    if not wanted:
        return {}
    found = ledger.aim(run, [aim for _, aim in wanted], at=now)
    return {image: observation for (image, _), observation in zip(wanted, found, strict=True)}


def _earlier(policy: Policy, ids: Mapping[ImageName, int], ledger: Ledger) -> Earlier:
    """Return the promotions that were planned to the same targets before."""
    keys = {
        (observation_id, key)
        for image, observation_id in ids.items()
        for key in target_keys(policy, image.repository)
    }
    planned = ledger.promotions_to(keys)
    by_observation: dict[int, list[Promotion]] = defaultdict(list)
    for (observation_id, _), promotion in planned.items():
        by_observation[observation_id].append(promotion)
    return {
        image: by_observation[observation_id]
        for image, observation_id in ids.items()
        if observation_id in by_observation
    }


def _within(
    decisions: Sequence[ImageDecision], earlier: Earlier, policy: Policy
) -> tuple[list[ImageDecision], int]:
    """Keep as many images as a run may carry; the others stay undecided for the next one."""
    kept = []
    images = 0
    for decision in decisions:
        if is_carried(policy, decision, earlier.get(decision.image, ())):
            images += 1
            if images > policy.limits.images_per_run:
                continue
        kept.append(decision)
    return kept, max(0, images - policy.limits.images_per_run)
