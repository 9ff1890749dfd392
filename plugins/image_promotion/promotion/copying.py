"""The copy: the image's content arrives in the target, by digest, under no tag.

It may be killed and repeated at any moment. Whatever is in the target already is not moved again.
"""

from __future__ import annotations

from image_promotion.ledger.records import Promotion, State, TransferFigures
from image_promotion.promotion.journal import Journal
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import TransferProgress, TransferReport, copy_image


async def copy(
    promotion: Promotion,
    *,
    source: Store,
    target: Store,
    journal: Journal,
    progress: TransferProgress,
) -> TransferReport:
    """Copy the image of a promotion and note it in the ledger.

    A promotion that is further along already is copied again all the same, which costs a few
    questions when nothing is missing and repairs the target when something is.

    Args:
        promotion: The promotion, planned or later.
        source: The store of its source connection.
        target: The store of its target connection.
        journal: Where the run notes what it did.
        progress: Told how the copy goes.

    Returns:
        What was moved, skipped and mounted.

    Raises:
        PromotionError: The content could not be copied; nothing is visible under any tag.
    """
    report = await copy_image(
        source,
        promotion.source_repository,
        Digest.parse(promotion.digest),
        target,
        promotion.target_repository,
        progress=progress,
    )
    journal.advance(
        promotion,
        State.COPIED,
        str(report),
        TransferFigures(
            bytes_copied=report.bytes_copied,
            bytes_skipped=report.bytes_skipped,
            bytes_mounted=report.bytes_mounted,
            seconds=report.seconds,
        ),
    )
    return report
