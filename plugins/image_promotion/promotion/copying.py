"""The copy: the image's content arrives in the target, by digest, under no tag.

What is attached to the image follows it: signatures, attestations, SBOMs, as far as the policy
wants them, and with them the tags that list them; and an SBOM is attached where it wants one.

Where the policy chooses platforms, the new index is made here, with the digest that was decided.

It may be killed and repeated at any moment. Whatever is in the target already is not moved again.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_promotion.ledger.records import Kind, Promotion, State, TransferFigures
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.promotion.attachments import (
    AttachmentMemory,
    LeftBehind,
    carry,
    count_left_behind,
    seen_from_target,
)
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.presence import whats_missing
from image_promotion.promotion.sboms import SbomReport, Sboms
from image_promotion.promotion.selection import source_of
from image_promotion.registry.arrivals import Arrivals
from image_promotion.registry.digest import Digest
from image_promotion.registry.passage import TransferProgress
from image_promotion.registry.products.catalogue import HasCatalogue
from image_promotion.registry.referrer_transfer import CarriageReport
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import TransferReport, copy_image


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy did.

    Attributes:
        image: What was moved, skipped and mounted of the image.
        attached: What of its attachments; None where the policy wants none of them.
        has_made_room: Whether the target repository, or its project, had to be created.
        left_behind: What is attached to the source's index and not to the new one; None where the
            image is the source's own.
        sboms: The SBOMs that syft made of it; None where the policy wants none.
    """

    image: TransferReport
    attached: CarriageReport | None
    has_made_room: bool = False
    left_behind: LeftBehind | None = None
    sboms: SbomReport | None = None

    def __str__(self) -> str:
        attached = "attachments stay behind" if self.attached is None else str(self.attached)
        room = "the target repository was created; " if self.has_made_room else ""
        behind = f"{self.left_behind}; " if self.left_behind else ""
        sboms = f"{self.sboms}; " if self.sboms else ""
        return f"{room}{behind}{attached}; {sboms}{self.image}"


async def copy(
    promotion: Promotion,
    *,
    source: Store,
    target: Store,
    journal: Journal,
    progress: TransferProgress,
    memory: AttachmentMemory | None = None,
    arrivals: Arrivals | None = None,
    sboms: Sboms | None = None,
) -> Copy:
    """Copy the image of a promotion and note it in the ledger.

    A promotion that is further along already is copied again all the same, which costs a few
    questions when nothing is missing and repairs the target when something is.

    Args:
        promotion: The promotion, planned or later.
        source: The store of its source connection.
        target: The store of its target connection.
        journal: Where the run notes what it did.
        progress: Told how the copy goes.
        memory: What this stage has learnt of attachments in the source; None for nothing.
        arrivals: What the run has brought to its targets so far; None when this copy is alone.
        sboms: Attaches SBOMs, one image after another; None when this copy is alone.

    Returns:
        What was moved, skipped and mounted.

    Raises:
        PromotionError: The content could not be copied; no image is visible under any tag.
    """
    made = isinstance(target, HasCatalogue) and await target.catalogue.ensure_repository(
        promotion.target_repository
    )
    policy = journal.policy_of(promotion)
    view = promotion
    if promotion.kind is Kind.ROLLBACK:
        if not await whats_missing(
            target, promotion.target_repository, Digest.parse(promotion.target_digest)
        ):
            # Its source may be gone by now, or down, and is not needed.
            view, source, memory = seen_from_target(promotion), target, None
        else:
            policy = journal.policy_of(journal.ledger.rollbacks.first_of(promotion))
    image = await copy_image(
        await source_of(view, policy, source),
        view.source_repository,
        Digest.parse(promotion.target_digest),
        target,
        promotion.target_repository,
        progress=progress,
        arrivals=arrivals,
        takes_foreign_layers=policy.foreign_layers is ForeignLayers.COPY,
    )
    attached = await carry(view, source=source, target=target, journal=journal, memory=memory)
    behind = await count_left_behind(view, source=source, journal=journal, memory=memory)
    made_sboms = await (sboms or Sboms()).attach(promotion, target=target, journal=journal)
    done = Copy(image, attached, has_made_room=made, left_behind=behind, sboms=made_sboms)
    journal.note(
        promotion,
        State.COPIED,
        str(done),
        TransferFigures(
            bytes_copied=image.bytes_copied + (attached.bytes_copied if attached else 0),
            bytes_skipped=image.bytes_skipped,
            bytes_mounted=image.bytes_mounted,
            seconds=image.seconds + (attached.seconds if attached else 0),
        ),
    )
    return done
