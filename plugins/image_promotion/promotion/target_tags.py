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
from image_promotion.policy.model import ExistingTag, Policy
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


async def settle_target_tags(
    policy: Policy, decisions: Sequence[ImageDecision], *, target: Store, ledger: Ledger
) -> list[ImageDecision]:
    """Turn promotions into conflicts or rejections where the target tag belongs to another image.

    Three others may own it: another candidate of this run, a promotion under way, and whatever
    the target registry holds there now.

    Args:
        policy: The policy.
        decisions: What the triggers alone decided.
        target: The store of its target connection.
        ledger: Asked which target tags other promotions are about to set.

    Returns:
        The decisions, in the same order.

    Raises:
        RegistryError: The target cannot be asked.
        LedgerError: The ledger cannot be asked.
    """
    wanted: dict[TargetTag, set[str]] = defaultdict(set)
    for decision in decisions:
        if decision.target and decision.target_digest:
            wanted[decision.target].add(decision.target_digest)
    holders = await _holders(list(wanted), target)
    claims = _claims(list(wanted), target, ledger)
    fixed: frozenset[TargetTag] = frozenset()
    if policy.target.existing_tag is ExistingTag.OVERWRITE:
        moving = [
            tag for tag in wanted if holders[tag] is not None and {holders[tag]} != wanted[tag]
        ]
        fixed = await _immutable(moving, target)
    settled = []
    for decision in decisions:
        tag, digest = decision.target, decision.target_digest
        if tag is None or digest is None:
            settled.append(decision)
            continue
        others = [
            claim for claim in claims.get(tag, ()) if not _is_its_own(claim, policy, decision.image)
        ]
        rival = _rival(digest, wanted[tag], others, holders[tag])
        if rival:
            settled.append(_conflict(decision, rival))
        else:
            existing_tag = policy.target.existing_tag
            settled.append(
                _respect(decision, holders[tag], existing_tag, is_immutable=tag in fixed)
            )
    return settled


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
