"""What of an image is promoted: all of it, or the images for some platforms in a new index.

A selection is a pure function of the source's bytes and the policy's platforms. So it is made when
the image is decided, to learn the digest that the target will get, and once more when it is copied;
a retry gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from image_promotion.errors import ContentMismatchError, PromotionError, UnsupportedContentError
from image_promotion.evidence.gathering import steady
from image_promotion.ledger.records import Outcome, Promotion, Reason
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageDecision
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.platforms import (
    ABOUT,
    Selection,
    choose_platforms,
    parse_platform,
    with_manifest,
)
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import list_content

IMAGES_AT_ONCE = 8
FOREIGN_SHOWN = 3


async def settle_contents(
    policy: Policy, decisions: Sequence[ImageDecision], *, source: Store
) -> list[ImageDecision]:
    """Find out what the target is to get of images that earned promotion, and whether it can.

    Args:
        policy: The policy.
        decisions: What the triggers alone decided.
        source: The store the images are in.

    Returns:
        The decisions in the same order: those to promote with the digest that the target gets. An
        image that lacks a platform, or has layers that the policy refuses, is rejected; one that
        cannot be read waits.

    Raises:
        RegistryError: The source cannot be asked.
    """

    async def settle(decision: ImageDecision) -> ImageDecision:
        if decision.outcome is not Outcome.PROMOTE:
            return decision
        decision = replace(decision, target_digest=decision.image.digest)
        selection = None
        if policy.platforms is not None:
            decision, selection = await _with_platforms(policy, decision, source)
        if decision.outcome is Outcome.PROMOTE and policy.foreign_layers is ForeignLayers.REFUSE:
            decision = await _without_foreign_layers(decision, selection, source)
        return decision

    return await ask_each(settle, decisions, at_once=IMAGES_AT_ONCE)


async def select(policy: Policy, source: Store, repository: str, digest: Digest) -> Selection:
    """Choose of an image what a policy wants.

    Args:
        policy: The policy.
        source: The store the image is in.
        repository: Its repository, as policies name it.
        digest: The image.

    Returns:
        The choice; the image itself where the policy names no platforms.

    Raises:
        UnsupportedContentError: There is no image for a platform.
        PromotionError: The image cannot be read.
    """
    image = await source.get_manifest(repository, digest)
    if policy.platforms is None:
        return Selection(image, digest, ())
    wanted = [parse_platform(each) for each in policy.platforms]
    return await choose_platforms(source, repository, image, wanted)


def images_of(index: ImageIndex) -> tuple[Descriptor, ...]:
    """Return the images of an index, each once: what runs somewhere.

    Not the attestations that BuildKit puts beside the images they are about. Whoever writes an
    index writes its annotations too, so that an annotation alone hides no image.

    Args:
        index: The index, as it is promoted.

    Returns:
        The images, in their order.

    Source: Docker BuildKit, "Image attestation storage": the platform is unknown/unknown.
    """
    images = {
        entry.digest: entry
        for entry in index.manifests
        if ABOUT not in entry.annotations or str(entry.platform) != "unknown/unknown"
    }
    return tuple(images.values())


async def source_of(promotion: Promotion, policy: Policy, source: Store) -> Store:
    """Return the source as a promotion sees it: with the index that is made for the target.

    Args:
        promotion: The promotion.
        policy: The version of its policy that decided.
        source: The store of its source connection.

    Returns:
        A store that holds the promotion's target digest, whole.

    Raises:
        ContentMismatchError: The selection gives another digest than was decided.
        PromotionError: The image cannot be read.
    """
    if not promotion.is_selection:
        return source
    repository = promotion.source_repository
    selection = await select(policy, source, repository, Digest.parse(promotion.digest))
    if str(selection.image.digest) != promotion.target_digest:
        raise ContentMismatchError(
            "the chosen platforms give another index than was decided",
            expected=promotion.target_digest,
            actual=str(selection.image.digest),
        )
    return with_manifest(source, repository, selection.image)


async def _with_platforms(
    policy: Policy, decision: ImageDecision, source: Store
) -> tuple[ImageDecision, Selection | None]:
    image = decision.image
    trigger = f"platforms {', '.join(policy.platforms or ())}"
    try:
        selection = await select(policy, source, image.repository, Digest.parse(image.digest))
    except FAULTS_OF_ONE_IMAGE as fault:
        return _held_back(decision, trigger, "an image for each of them", fault), None
    found = ", ".join(str(each) for each in selection.platforms)
    if selection.is_new:
        left_out = len(selection.left_out)
        found = (
            f"a new index {selection.image.digest} of {found}, {left_out} "
            f"{'entry' if left_out == 1 else 'entries'} left out; signatures and referrers of the "
            f"index {image.digest} do not apply to it and stay behind"
        )
    reason = Reason(
        trigger=trigger,
        verdict=str(Verdict.HELD),
        expected="an image for each of them",
        found=found,
        source=f"image {image.digest}",
    )
    chosen = replace(
        decision,
        reasons=(*decision.reasons, reason),
        target_digest=str(selection.image.digest),
    )
    return chosen, selection


async def _without_foreign_layers(
    decision: ImageDecision, selection: Selection | None, source: Store
) -> ImageDecision:
    image = decision.image
    trigger, expected = "foreign_layers: refuse", "no layer that must not be pushed"
    chosen = None if selection is None else selection.image
    view = source if chosen is None else with_manifest(source, image.repository, chosen)
    digest = Digest.parse(image.digest) if chosen is None else chosen.digest
    try:
        content = await list_content(view, image.repository, digest, image=chosen)
    except FAULTS_OF_ONE_IMAGE as fault:
        return _held_back(decision, trigger, expected, fault)
    if not content.foreign_layers:
        return decision
    return _rejected(decision, trigger, expected, _listed(content.foreign_layers))


def _listed(layers: Sequence[Descriptor]) -> str:
    shown = ", ".join(str(layer.digest) for layer in layers[:FOREIGN_SHOWN])
    more = f" and {len(layers) - FOREIGN_SHOWN} more" if len(layers) > FOREIGN_SHOWN else ""
    return f"{len(layers)} fetched from elsewhere: {shown}{more}"


def _held_back(
    decision: ImageDecision, trigger: str, expected: str, fault: PromotionError
) -> ImageDecision:
    """Reject what will never be otherwise of this digest; wait where only reading it failed."""
    found = f"{fault.attempted}. {fault.advice}" if fault.advice else fault.attempted
    if isinstance(fault, UnsupportedContentError):
        return _rejected(decision, trigger, expected, found)
    said = f"cannot be read: {steady(fault)}"
    reason = _reason(decision, trigger, expected, said, Verdict.UNKNOWN)
    return _not_promoted(decision, Outcome.WAIT, reason)


def _rejected(decision: ImageDecision, trigger: str, expected: str, found: str) -> ImageDecision:
    reason = _reason(decision, trigger, expected, found, Verdict.NOT_HELD)
    return _not_promoted(decision, Outcome.REJECT, reason)


def _not_promoted(decision: ImageDecision, outcome: Outcome, reason: Reason) -> ImageDecision:
    return replace(
        decision, outcome=outcome, reasons=(*decision.reasons, reason), target_digest=None
    )


def _reason(
    decision: ImageDecision, trigger: str, expected: str, found: str, verdict: Verdict
) -> Reason:
    return Reason(
        trigger=trigger,
        verdict=str(verdict),
        expected=expected,
        found=found,
        source=f"image {decision.image.digest}",
    )
