"""Whose the target tags are: conflicts over them are found before any content moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from image_promotion.errors import NotFoundError, PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, Reason
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.policy.places import ExistingTag
from image_promotion.promotion.decision import ImageDecision, ImageName, TargetTag
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.products.catalogue import (
    INTERFACE_FAULTS,
    HasCatalogue,
    immutable_tags,
)
from image_promotion.registry.store import Store

TAGS_AT_ONCE = 8

WantedTag = tuple[ImageName, TargetTag, str]
"""An image, the target tag it is to get, and the digest that this is to point at."""


async def settle_target_tags(
    policy: Policy,
    decisions: Sequence[ImageDecision],
    *,
    target: Store,
    ledger: Ledger,
    done: Collection[WantedTag] = (),
    can_ask: bool = True,
) -> list[ImageDecision]:
    """Turn promotions into conflicts or rejections where the target tag belongs to another image.

    Three others may own it: another candidate of this run, a promotion under way, and whatever
    the target registry holds there now.

    Args:
        policy: The policy.
        decisions: What the triggers alone decided, for tags behind one target connection.
        target: The store of that connection.
        ledger: Asked which target tags other promotions are about to set.
        done: Which image has been verified under which tag before: it does not want it any more.
        can_ask: Whether the target answers. If not, who holds a tag is seen when it is to be set.

    Returns:
        The decisions, in the same order.

    Raises:
        RegistryError: The target cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    decisions = _leave_withdrawn(decisions, target, ledger)
    wanted: dict[TargetTag, set[str]] = defaultdict(set)
    moved: set[TargetTag] = set()
    for decision in decisions:
        tag, digest = decision.target, decision.target_digest
        if tag and digest and (decision.image, tag, digest) not in done:
            wanted[tag].add(digest)
            if _existing_tag(decision) is ExistingTag.OVERWRITE:
                moved.add(tag)
    holders = await _holders(list(wanted), target) if can_ask else dict.fromkeys(wanted)
    claims = _claims(list(wanted), target, ledger)
    fixed = await _immutable(
        [tag for tag in wanted if tag in moved and holders[tag] and {holders[tag]} != wanted[tag]],
        target,
    )
    settled = []
    for decision in decisions:
        tag, digest = decision.target, decision.target_digest
        if tag is None or digest is None or (decision.image, tag, digest) in done:
            settled.append(decision)
            continue
        holder = holders[tag]
        held_digest = holder if isinstance(holder, str) else None
        others = [
            claim for claim in claims.get(tag, ()) if not _is_its_own(claim, policy, decision.image)
        ]
        rival = _rival(digest, wanted[tag], others, holder)
        if rival:
            outcome = _conflict(decision, rival)
        else:
            outcome = _respect(decision, holder, _existing_tag(decision), is_immutable=tag in fixed)
        settled.append(replace(outcome, held_digest=held_digest))
    return settled


def _existing_tag(decision: ImageDecision) -> ExistingTag:
    return decision.destination.target.existing_tag if decision.destination else ExistingTag.FAIL


def _leave_withdrawn(
    decisions: Sequence[ImageDecision], target: Store, ledger: Ledger
) -> list[ImageDecision]:
    """Reject what was rolled back in the target repository: it does not come again by itself."""
    digests: dict[str, set[str]] = defaultdict(set)
    for decision in decisions:
        if decision.target and decision.target_digest:
            digests[decision.target.repository] |= {decision.target_digest, decision.image.digest}
    withdrawn = {
        repository: ledger.rollbacks.withdrawn(target.name, repository, names)
        for repository, names in digests.items()
    }

    def settle(decision: ImageDecision) -> ImageDecision:
        if not decision.target or not decision.target_digest:
            return decision
        found = withdrawn[decision.target.repository]
        rollback = found.get(decision.target_digest) or found.get(decision.image.digest)
        if rollback is None:
            return decision
        wish = ledger.rollbacks.reason(rollback)
        reason = Reason(
            trigger=f"rolled back in {decision.target.repository}",
            verdict=str(Verdict.NOT_HELD),
            expected="an image that was not rolled back; only a rollback to it brings it again",
            found=f"tag {rollback.target_tag} was set back from it: {wish.found} ({wish.source})",
            source=f"promotion {rollback.id} in the ledger",
        )
        return replace(
            decision, outcome=Outcome.REJECT, reasons=(*decision.reasons, reason), target=None
        )

    return [settle(each) for each in decisions]


async def _immutable(tags: Sequence[TargetTag], target: Store) -> frozenset[TargetTag]:
    """Return which target tags can never be set again, as far as the registry says before."""
    if not isinstance(target, HasCatalogue):
        return frozenset()
    by_repository: dict[str, set[str]] = defaultdict(set)
    for tag in tags:
        by_repository[tag.repository].add(tag.tag)
    found: set[TargetTag] = set()
    for repository, names in by_repository.items():
        # Where it cannot be known, setting the tag will show it.
        with suppress(NotFoundError, *INTERFACE_FAULTS):
            immutable = await immutable_tags(target.catalogue, repository, names)
            found |= {TargetTag(repository, name) for name in immutable}
    return frozenset(found)


def _is_its_own(claim: Promotion, policy: Policy, image: ImageName) -> bool:
    """Say whether a claim is the policy's own of the same image, perhaps for other platforms.

    If it is for others, it is superseded when the new one is planned.
    """
    return claim.policy == policy.name and image == ImageName(
        claim.source_repository, claim.source_tag, claim.digest
    )


def _rival(
    digest: str,
    wanted_by: Collection[str],
    claims: Sequence[Promotion],
    holder: str | PromotionError | None,
) -> str | None:
    """Say which other promotion wants the same target tag, or why nobody can tell."""
    others = sorted(set(wanted_by) - {digest})
    if others:
        return f"also wanted by {', '.join(others)} in this run"
    for claim in claims:
        if claim.target_digest != digest:
            return (
                f"about to be set to {claim.target_digest} by promotion {claim.id} "
                f"of policy {claim.policy} ({claim.source_repository}:{claim.source_tag})"
            )
    if isinstance(holder, PromotionError):
        return f"cannot be looked at: {holder}"
    return None


def _respect(
    decision: ImageDecision,
    holder: str | PromotionError | None,
    existing_tag: ExistingTag,
    *,
    is_immutable: bool,
) -> ImageDecision:
    """Treat a target tag that holds another image as the policy says, and the registry allows."""
    if holder in (None, decision.target_digest):
        return decision
    found = f"holds {holder}; existing_tag: {existing_tag}"
    if existing_tag is ExistingTag.OVERWRITE:
        if not is_immutable:
            return decision
        return _conflict(decision, f"{found}, but the target registry has made the tag immutable")
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

    return dict(zip(tags, await ask_each(ask, tags, at_once=TAGS_AT_ONCE), strict=True))


def _claims(
    tags: Sequence[TargetTag], target: Store, ledger: Ledger
) -> Mapping[TargetTag, Sequence[Promotion]]:
    """Return the unfinished promotions, of any policy, that are about to set a target tag."""
    by_repository: dict[str, list[str]] = defaultdict(list)
    for tag in tags:
        by_repository[tag.repository].append(tag.tag)
    return {
        TargetTag(repository, tag): claims
        for repository, names in by_repository.items()
        for tag, claims in ledger.tag_claims(target.name, repository, names).items()
    }


def _conflict(decision: ImageDecision, found: str) -> ImageDecision:
    reason = _tag_reason(decision, found)
    return replace(decision, outcome=Outcome.CONFLICT, reasons=(*decision.reasons, reason))


def _tag_reason(decision: ImageDecision, found: str) -> Reason:
    return Reason(
        trigger=f"target tag {decision.target}",
        verdict=str(Verdict.NOT_HELD),
        expected=f"free, or {decision.target_digest}",
        found=found,
        source="target registry and ledger",
    )
