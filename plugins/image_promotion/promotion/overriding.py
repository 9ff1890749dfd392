"""Overrides: a person promotes named tags although a trigger does not hold, and says why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from image_promotion.errors import PromotionError
from image_promotion.ledger.records import Decision, Outcome
from image_promotion.policy.governance import Overrides
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageName

LEAST_REASON_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class Override:
    """Who promotes images although a trigger does not hold, and why.

    Attributes:
        who: The person, as Airflow or the operating system knows them.
        reason: What they wrote.
    """

    who: str
    reason: str


def require_override(
    policy: Policy, tags: Collection[str], reason: str, who: str | None
) -> Override | None:
    """Check an override before anything is done.

    Args:
        policy: The policy.
        tags: The source tags it is for.
        reason: What the person wrote; empty when there is to be no override.
        who: The person.

    Returns:
        The override; None when there is to be none.

    Raises:
        PromotionError: The policy forbids overrides, no tags are named, the reason is none, or
            nobody knows whose it is.
    """
    reason = reason.strip()
    if not reason:
        return None
    what = f"the triggers of {policy.name} are not overridden"
    if policy.overrides is not Overrides.ALLOW:
        raise PromotionError(
            f"{what}: the policy does not allow it",
            advice="A policy allows it by `overrides: allow`, which is reviewed like any change.",
        )
    if not tags:
        raise PromotionError(
            f"{what}: no tags are named", advice="Name the source tags that are to be promoted."
        )
    if len(reason) < LEAST_REASON_CHARACTERS:
        raise PromotionError(
            f"{what}: {reason!r} is no reason",
            advice="Write a sentence: it is kept, and attested where the policy attests.",
        )
    if not who:
        raise PromotionError(
            f"{what}: it is not known who wants it", advice="Trigger the run under your own name."
        )
    return Override(who, reason)


def overrides_of(
    policy: Policy,
    candidates: Sequence[tuple[ImageName, Decision | None]],
    override: Override | None,
    *,
    decide_again: bool,
) -> Mapping[ImageName, Override]:
    """Return which images of a run are promoted although a trigger may not hold.

    An override lasts until its image is promoted: a run that comes in between, while people still
    have to approve or a copy has to be tried again, does not take it back.

    Args:
        policy: The policy.
        candidates: What is to be decided, with the last decision about it.
        override: What the run was asked for.
        decide_again: Whether somebody asked to decide again, which ends earlier overrides.

    Returns:
        The overrides, by image.
    """
    if override is not None:
        return {image: override for image, _ in candidates}
    if decide_again:
        return {}
    return {
        image: Override(last.overridden_by, last.override_reason or "")
        for image, last in candidates
        if last is not None and last.overridden_by and is_override(last, policy)
    }


def is_override(last: Decision | None, policy: Policy) -> bool:
    """Return whether the last decision about an image is an override that still stands."""
    return (
        last is not None
        and last.overridden_by is not None
        and last.outcome in (Outcome.PROMOTE, Outcome.CONFLICT)
        and last.policy_hash == policy.hash
    )
