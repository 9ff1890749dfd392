"""What goes along with an image, as its policy wants it: brought, and looked at again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from image_promotion.errors import NotFoundError, Subject, VerificationError
from image_promotion.ledger.records import Promotion
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import PATIENCE, Patience
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.platforms import with_manifest
from image_promotion.registry.referrer_memory import ReferrerMemory
from image_promotion.registry.referrer_transfer import (
    NOTHING_CARRIED,
    CarriageReport,
    carry_attachments,
    check_attachments,
)
from image_promotion.registry.referrers import find_attachments
from image_promotion.registry.store import Store

if TYPE_CHECKING:
    # The journal needs a database toolkit; who verifies without a ledger does not load it.
    from image_promotion.promotion.journal import Journal


class AttachmentMemory:
    """What one stage has learnt of the source repositories of its promotions.

    A stage of its own has one of its own, so that what was attached since the last one is seen.
    """

    def __init__(self) -> None:
        self._memories: dict[tuple[str, str], ReferrerMemory] = {}

    def of(self, promotion: Promotion) -> ReferrerMemory:
        """Return what is known of the source repository of a promotion."""
        source = promotion.source_connection, promotion.source_repository
        return self._memories.setdefault(source, ReferrerMemory())


def seen_from_target(promotion: Promotion) -> Promotion:
    """Return a promotion as if its image came from where it is, for questions about it there."""
    return replace(
        promotion,
        source_connection=promotion.target_connection,
        source_registry=promotion.target_registry,
        source_repository=promotion.target_repository,
        source_tag=promotion.target_tag,
        digest=promotion.target_digest,
    )


@dataclass(frozen=True, slots=True)
class AttachmentCheck:
    """What was found of the attachments of an image in the target, all of it as promised.

    Attributes:
        number: How many there are, whole and listed where readers look for them.
        brought: How many of them only the verification brought.
    """

    number: int
    brought: int = 0

    def __str__(self) -> str:
        said = f"{self.number} attachment{'' if self.number == 1 else 's'} there"
        return f"{said}, {self.brought} of them brought just now" if self.brought else said


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What is attached to an index of which only some platforms were promoted.

    Attributes:
        number: How many there are that the policy would have carried.
        index: The index at the source.
    """

    number: int
    index: Digest

    def __str__(self) -> str:
        does = (
            "referrer of the index {} does" if self.number == 1 else "referrers of the index {} do"
        )
        return (
            f"{self.number} {does.format(self.index)} not apply to the platform selection and "
            f"stay{'s' if self.number == 1 else ''} behind"
        )


WITHOUT_SETTLING = Patience(settling_s=0.0)
"""For the copy: whether a list has settled is seen by the verification, which comes much later."""


async def carry(
    promotion: Promotion,
    *,
    source: Store,
    target: Store,
    journal: Journal,
    memory: AttachmentMemory | None = None,
    patience: Patience = WITHOUT_SETTLING,
) -> CarriageReport | None:
    """Bring what is attached to the image of a promotion, as far as its policy wants it.

    Args:
        promotion: The promotion; its image is in the target.
        source: The store of its source connection.
        target: The store of its target connection.
        journal: Knows the version of the policy that decided.
        memory: What the stage has learnt from other promotions; None for nothing.
        patience: How a list that others write at the same time is written.

    Returns:
        What was brought, and what was left out, which is nothing when the image is gone from the
        source by now; None where the policy wants nothing.

    Raises:
        PromotionError: Something could not be brought; it may be tried again.
    """
    wishes = journal.policy_of(promotion).referrers
    if wishes.carries_nothing:
        return None
    image = Digest.parse(promotion.target_digest)
    try:
        return await carry_attachments(
            await _as_promoted(promotion, source=source, target=target),
            promotion.source_repository,
            image,
            target,
            promotion.target_repository,
            wanted=wishes.wants,
            patience=patience,
            memory=None if memory is None else memory.of(promotion),
        )
    except NotFoundError:
        if await source.has_manifest(promotion.source_repository, Digest.parse(promotion.digest)):
            raise
        # Deleted since it was copied. That is no failure of the copy: the retag looks at the tag.
        return NOTHING_CARRIED


async def count_left_behind(
    promotion: Promotion,
    *,
    source: Store,
    journal: Journal,
    memory: AttachmentMemory | None = None,
) -> LeftBehind | None:
    """Count what is attached to an index itself, of which only some platforms are promoted.

    Args:
        promotion: The promotion.
        source: The store of its source connection.
        journal: Knows the version of the policy that decided.
        memory: What the stage has learnt from other promotions; None for nothing.

    Returns:
        What stays behind; None where all of the image is promoted, nothing would be carried, or the
        index is gone from the source by now.

    Raises:
        PromotionError: The source cannot be asked.
    """
    wishes = journal.policy_of(promotion).referrers
    if not promotion.is_selection or wishes.carries_nothing:
        return None
    repository, digest = promotion.source_repository, Digest.parse(promotion.digest)
    try:
        index = await source.get_manifest(repository, digest)
        if isinstance(index, ImageIndex):
            # What it lists is another matter, and need not even be there where it is not chosen.
            source = with_manifest(source, repository, replace(index, manifests=()))
        attached = await find_attachments(
            source,
            repository,
            digest,
            wanted=wishes.wants,
            memory=None if memory is None else memory.of(promotion),
        )
    except NotFoundError:
        return None
    return LeftBehind(len(attached.found), digest)


async def _as_promoted(promotion: Promotion, *, source: Store, target: Store) -> Store:
    """Return the source with the index that was made for the target, where one was made.

    It is read from the target, where it has arrived. So what is attached to the images kept in it
    is found, and even what somebody attached to its digest in advance.
    """
    if not promotion.is_selection:
        return source
    made = await target.get_manifest(
        promotion.target_repository, Digest.parse(promotion.target_digest)
    )
    return with_manifest(source, promotion.source_repository, made)


async def check(
    promotion: Promotion,
    *,
    source: Store,
    target: Store,
    journal: Journal,
    memory: AttachmentMemory | None = None,
) -> AttachmentCheck | None:
    """See that what is attached to the image in the source is attached to it in the target.

    What came to the source since the copy, such as the signature that a build makes a moment after
    its push, is brought now: nothing would come back for it once the promotion is verified.

    Args:
        promotion: The promotion, tagged.
        source: The store of its source connection.
        target: The store of its target connection.
        journal: Knows the version of the policy that decided.
        memory: What the stage has learnt from other promotions; None for nothing.

    Returns:
        What was found; None where the policy wants nothing.

    Raises:
        VerificationError: Something is missing or different, although it was brought.
        RegistryError: A registry cannot be asked.
    """
    wishes = journal.policy_of(promotion).referrers
    if wishes.carries_nothing:
        return None
    image = Digest.parse(promotion.target_digest)
    repository = promotion.target_repository
    brought = 0
    try:
        there = await find_attachments(
            await _as_promoted(promotion, source=source, target=target),
            promotion.source_repository,
            image,
            wanted=wishes.wants,
            memory=None if memory is None else memory.of(promotion),
        )
        is_source_known = True
    except NotFoundError:
        # The image is gone from the source by now; all that the target lists must be there still.
        there = await find_attachments(target, repository, image, wanted=wishes.wants)
        is_source_known = False
    problems = await check_attachments(there.found, target, repository)
    if problems and is_source_known:
        late = await carry(
            promotion, source=source, target=target, journal=journal, patience=PATIENCE
        )
        brought = late.manifests_copied if late else 0
        problems = await check_attachments(there.found, target, repository)
    if problems:
        raise VerificationError(
            "the target does not hold what is attached to the image",
            problems=problems,
            subject=Subject(target.name, repository, promotion.target_tag, promotion.target_digest),
            advice="Run the promotion again: it brings what is missing. If it happens again, "
            "something else writes to or cleans up this repository.",
        )
    return AttachmentCheck(len(there.found), brought)
