"""Where an image goes that has earned promotion: one decision for each target and tag.

What keeps an image from one of its targets keeps it from that one alone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from image_promotion.errors import PolicyError, RegistryError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, Reason, State
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.policy.places import Destination
from image_promotion.promotion.decision import ImageDecision, ImageName, TargetTag
from image_promotion.promotion.target_tags import WantedTag, settle_target_tags
from image_promotion.registry.store import Store

log = logging.getLogger(__name__)

StoreOf = Callable[[str], Store]
"""Gives the store that a connection leads to."""

Earlier = Mapping[ImageName, Sequence[Promotion]]
"""The promotions that were planned for images before, to whichever targets."""


def target_key(policy: Policy, source_repository: str, destination: Destination) -> str:
    """Return what counts as the same target, so that an image is promoted to it once.

    The tag template is part of it and the rendered tag is not: a time in the template must not make
    every run a new target, while a changed template asks for new tags.
    """
    repository = policy.target_repository_for(source_repository, destination)
    return f"{destination.target.connection}/{repository}:{destination.template}"


def target_keys(policy: Policy, source_repository: str) -> Mapping[str, Destination]:
    """Return all targets of the images of a source repository, by their keys."""
    return {target_key(policy, source_repository, each): each for each in policy.destinations}


async def aim_at_targets(
    policy: Policy,
    decisions: Sequence[ImageDecision],
    *,
    target_of: StoreOf,
    ledger: Ledger,
    earlier: Earlier,
    now: datetime,
) -> list[ImageDecision]:
    """Give images that have earned promotion their target tags, as far as they may have them.

    Args:
        policy: The policy.
        decisions: What the triggers alone decided.
        target_of: Gives the store of a target connection.
        ledger: Asked which target tags other promotions are about to set.
        earlier: The promotions of earlier tries; the same promotion keeps the tag rendered then.
        now: The moment of the decision, for time in tag templates.

    Returns:
        The decisions, in the same order; those to promote have a part for each destination.

    Raises:
        RegistryError: No target can be asked. If another one can, an image is planned to go to one
            that does not answer, too: its copy will fail, and say so, until it answers again.
        LedgerError: The ledger cannot be asked.
    """
    parts: dict[int, list[ImageDecision]] = {}
    by_connection: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for n, decision in enumerate(decisions):
        if decision.outcome is Outcome.PROMOTE:
            parts[n] = list(_parts(policy, decision, earlier.get(decision.image, ()), now))
            for m, part in enumerate(parts[n]):
                if part.destination:
                    by_connection[part.destination.target.connection].append((n, m))
    all_done = _done(policy, earlier)
    faults: list[RegistryError] = []
    for connection_id, places in by_connection.items():
        target = target_of(connection_id)
        some = [parts[n][m] for n, m in places]
        done = all_done.get(connection_id, frozenset())
        try:
            settled = await settle_target_tags(
                policy, some, target=target, ledger=ledger, done=done
            )
        except RegistryError as error:
            faults.append(error)
            if len(faults) == len(by_connection):
                raise faults[0] from None
            log.warning("%s is not looked at: %s", connection_id, error)
            settled = await settle_target_tags(
                policy, some, target=target, ledger=ledger, done=done, can_ask=False
            )
            settled = [_not_looked_at(each) for each in settled]
        for (n, m), part in zip(places, settled, strict=True):
            parts[n][m] = part
    return [
        decision.with_parts(tuple(parts[n])) if n in parts else decision
        for n, decision in enumerate(decisions)
    ]


def is_carried(policy: Policy, decision: ImageDecision, earlier: Sequence[Promotion]) -> bool:
    """Return whether a run has something to carry to a target for a decision.

    Args:
        policy: The policy.
        decision: The decision.
        earlier: The promotions that were planned for the image before.

    Returns:
        Whether it is to go anywhere where it has not been verified before.
    """
    verified = {
        (each.target_key, each.target_digest) for each in earlier if each.state is State.VERIFIED
    }
    return any(
        part.outcome is Outcome.PROMOTE
        and part.destination is not None
        and (
            target_key(policy, decision.image.repository, part.destination),
            part.target_digest,
        )
        not in verified
        for part in decision.by_target
    )


def _parts(
    policy: Policy, decision: ImageDecision, earlier: Sequence[Promotion], now: datetime
) -> Iterator[ImageDecision]:
    """Yield a decision for each destination; two that come to the same tag are one."""
    planned = {each.target_key: each for each in earlier}
    seen: set[tuple[str, TargetTag]] = set()
    for destination in policy.destinations:
        key = target_key(policy, decision.image.repository, destination)
        part = _named(policy, decision, destination, planned.get(key), now)
        if part.target:
            tag = (destination.target.connection, part.target)
            if tag in seen:
                continue
            seen.add(tag)
        yield part


def _named(
    policy: Policy,
    decision: ImageDecision,
    destination: Destination,
    earlier: Promotion | None,
    now: datetime,
) -> ImageDecision:
    """Render the tag that an image gets at one destination."""
    image = decision.image
    is_retry = earlier is not None and earlier.target_digest == decision.target_digest
    try:
        tag = (
            earlier.target_tag
            if earlier and is_retry
            else policy.render_tag(image.tag, now, destination)
        )
    except PolicyError as error:
        # Only this image's tag makes the template's result illegal; other images are well.
        reason = Reason(
            trigger=f"target tag {destination.template}",
            verdict=str(Verdict.NOT_HELD),
            expected="a legal tag",
            found=error.attempted,
            source="tag template",
        )
        return ImageDecision(image, Outcome.REJECT, (*decision.reasons, reason))
    target = TargetTag(policy.target_repository_for(image.repository, destination), tag)
    return replace(decision, target=target, destination=destination)


def _done(policy: Policy, earlier: Earlier) -> Mapping[str, Collection[WantedTag]]:
    """Return which images have been verified under which tags, by the targets' connections."""
    found: dict[str, set[WantedTag]] = defaultdict(set)
    for image, promotions in earlier.items():
        keys = target_keys(policy, image.repository)
        for each in promotions:
            if each.state is State.VERIFIED and (destination := keys.get(each.target_key)):
                tag = TargetTag(each.target_repository, each.target_tag)
                found[destination.target.connection].add((image, tag, each.target_digest))
    return found


def _not_looked_at(part: ImageDecision) -> ImageDecision:
    if part.outcome is not Outcome.PROMOTE:
        return part
    reason = Reason(
        trigger=f"target tag {part.target}",
        verdict=str(Verdict.UNKNOWN),
        expected=f"free, or {part.target_digest}",
        found="the target does not answer; who has the tag is seen when it is to be set",
        source="target registry",
    )
    return replace(part, reasons=(*part.reasons, reason))
