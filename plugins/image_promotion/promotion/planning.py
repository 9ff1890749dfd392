"""The plan: what a run would do now, tag by tag, with nothing written anywhere.

It is the dry run of the DAG, `promotion plan`, and the table of the demo.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry, Outcome, Promotion, Reason, State
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.promotion.decision import (
    ImageDecision,
    ImageName,
    TargetTag,
    as_reason,
    deciding,
)
from image_promotion.promotion.evaluation import evaluate, target_key
from image_promotion.promotion.scanning import (
    EXISTING_IMAGE_IGNORED,
    NO_IMAGE,
    TagName,
    scan,
    version_of,
)
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """What would become of one tag of the source.

    Attributes:
        repository: The source repository.
        tag: The source tag.
        digest: What it points at; None when its name alone ruled it out, or it cannot be read.
        outcome: What the policy decides now; None for one that cannot be read.
        reasons: Why, one for each trigger.
        target: The tag it has, or would get, in the target.
        target_digest: What that tag has, or would get; another digest than the source's where the
            policy chooses platforms.
        promotion: The promotion that carries or carried it there, if there is one.
        wait_until: When a waiting image may be decided differently, if that is known.
        problem: Why the tag could not be looked at; empty otherwise.
    """

    repository: str
    tag: str
    digest: str | None
    outcome: Outcome | None
    reasons: tuple[Reason, ...]
    target: TargetTag | None = None
    promotion: Promotion | None = None
    wait_until: datetime | None = None
    problem: str = ""
    target_digest: str | None = None

    @property
    def is_new(self) -> bool:
        """Return whether a run would promote this image now."""
        return self.outcome is Outcome.PROMOTE and (
            self.promotion is None or self.promotion.state is not State.VERIFIED
        )

    @property
    def why(self) -> str:
        """Return the reason in one line: the triggers that decided."""
        if self.problem:
            return self.problem
        if self.promotion and self.promotion.state is State.FAILED:
            return self.promotion.error
        return "; ".join(f"{each.trigger}: {each.found}" for each in deciding(self.reasons))


async def plan(
    policy: Policy,
    *,
    source: Store,
    target: Store,
    ledger: Ledger,
    now: datetime,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
) -> list[PlannedImage]:
    """Say what a run would do with every tag of the source, writing nothing.

    Args:
        policy: The policy.
        source: The store of its source connection.
        target: The store of its target connection; it is only read.
        ledger: The ledger; it is only read.
        now: The moment to decide as of.
        only_tags: These tags alone, decided again; empty for all.
        decide_again: Whether the run would decide again what was rejected before.

    Returns:
        One entry for each tag, by repository and tag.

    Raises:
        PromotionError: A registry or the ledger cannot be asked.
    """
    seen = await scan(policy, source, now=now, only_tags=only_tags)
    standing = {
        ImageName(each.observation.repository, each.observation.tag, each.observation.digest): each
        for each in ledger.standings(policy.name)
    }
    rows = [_rejected_by_name(policy, each, now) for each in seen.rejected]
    rows += [
        PlannedImage(each.repository, each.tag, None, None, (), problem=each.reason)
        for each in seen.problems
    ]
    ignores_existing = policy.existing_images is ExistingImages.IGNORE and not ledger.was_evaluated(
        version_of(policy)
    )
    undecided = []
    for each in seen.sightings:
        image = ImageName(each.repository, each.tag, each.digest)
        entry = standing.get(image)
        if entry and stays(entry, policy, decide_again=decide_again or bool(only_tags)):
            rows.append(_recorded(image, entry))
        elif ignores_existing and image.tag not in only_tags:
            rows.append(PlannedImage(*_parts(image), Outcome.REJECT, (EXISTING_IMAGE_IGNORED,)))
        else:
            undecided.append(image)
    decisions = await evaluate(
        policy,
        undecided,
        source=source,
        target=target,
        ledger=ledger,
        earlier={
            image: entry.promotion
            for image, entry in standing.items()
            if entry.promotion and keeps_its_tag(entry.promotion, policy)
        },
        now=now,
        afresh=decide_again,
    )
    for decision in decisions:
        entry = standing.get(decision.image)
        rows.append(_decided(policy, decision, entry.promotion if entry else None))
    return sorted(rows, key=lambda each: (each.repository, each.tag))


def keeps_its_tag(promotion: Promotion, policy: Policy) -> bool:
    """Return whether a run would give an image the tag of its promotion, not a new one."""
    return promotion.state is not State.SUPERSEDED and _is_of_target(promotion, policy)


def _is_of_target(promotion: Promotion, policy: Policy) -> bool:
    return promotion.target_key == target_key(policy, promotion.source_repository)


def _is_same(promotion: Promotion, policy: Policy, decision: ImageDecision) -> bool:
    """Return whether a run would take up this promotion, and not plan another one."""
    return _is_of_target(promotion, policy) and promotion.target_digest == decision.target_digest


def stays(entry: HistoryEntry, policy: Policy, *, decide_again: bool) -> bool:
    """Return whether a run would leave an image as it stands, without deciding anew.

    The counterpart of `Ledger.candidates`.
    """
    if entry.decision.policy_hash != policy.hash:
        return False
    done = entry.promotion
    if done and done.state is State.VERIFIED and _is_of_target(done, policy):
        return True
    return entry.decision.outcome is Outcome.REJECT and not decide_again


def _parts(image: ImageName) -> tuple[str, str, str]:
    return image.repository, image.tag, image.digest


def _recorded(image: ImageName, entry: HistoryEntry) -> PlannedImage:
    done = entry.promotion
    return PlannedImage(
        *_parts(image),
        entry.decision.outcome,
        entry.decision.reasons,
        target=TargetTag(done.target_repository, done.target_tag) if done else None,
        target_digest=done.target_digest if done else None,
        promotion=done,
    )


def _decided(policy: Policy, decision: ImageDecision, promotion: Promotion | None) -> PlannedImage:
    if promotion and decision.target_digest and not _is_same(promotion, policy, decision):
        # What was promoted before is something else than what a run would promote now.
        promotion = None
    return PlannedImage(
        *_parts(decision.image),
        decision.outcome,
        decision.reasons,
        target=decision.target,
        target_digest=decision.target_digest,
        promotion=promotion,
        wait_until=decision.wait_until,
    )


def _rejected_by_name(policy: Policy, name: TagName, now: datetime) -> PlannedImage:
    if is_attachment_tag(name.tag):
        return PlannedImage(name.repository, name.tag, None, Outcome.REJECT, (NO_IMAGE,))
    finding = policy.criterion.judge(ImageFacts(tag=name.tag), now)
    reasons = tuple(as_reason(part) for part in finding.parts)
    return PlannedImage(name.repository, name.tag, None, Outcome.REJECT, reasons)
