"""The retag: one PUT makes the copied image visible under its target tag.

The source tag is looked at once more just before. If it has moved, QA must not be given what the
developers have already replaced: the promotion is superseded, and the next scan takes up the new
image.
"""

from __future__ import annotations

from enum import StrEnum

from image_promotion.errors import Subject, TagConflictError
from image_promotion.ledger.records import Promotion, State
from image_promotion.policy.model import ExistingTag
from image_promotion.promotion.journal import Journal
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store


class RetagOutcome(StrEnum):
    """What became of the target tag."""

    SET = "set"
    ALREADY_SET = "already set"
    SUPERSEDED = "superseded"


async def retag(
    promotion: Promotion, *, source: Store, target: Store, journal: Journal
) -> RetagOutcome:
    """Set the target tag of a promotion to its digest.

    Args:
        promotion: The promotion, copied; one that is tagged or verified is left alone, so that a
            late repetition never turns a tag back.
        source: The store of its source connection.
        target: The store of its target connection.
        journal: Where the run notes what it did.

    Returns:
        What became of the target tag.

    Raises:
        TagConflictError: The target tag has come to hold another image since the decision.
        PromotionError: The tag could not be set.
    """
    if promotion.state in (State.TAGGED, State.VERIFIED):
        return RetagOutcome.ALREADY_SET

    def supersede(reason: str) -> RetagOutcome:
        journal.supersede(promotion, reason)
        return RetagOutcome.SUPERSEDED

    def note(outcome: RetagOutcome, more: str = "") -> RetagOutcome:
        tag = f"{promotion.target_repository}:{promotion.target_tag}"
        journal.note(promotion, State.TAGGED, f"{tag} {outcome}{more}")
        return outcome

    digest = Digest.parse(promotion.target_digest)
    held = await target.resolve(promotion.target_repository, promotion.target_tag)
    if held is not None and held.digest == digest:
        # Also when the source has moved: a try that was killed after its PUT has made it visible.
        return note(RetagOutcome.ALREADY_SET)
    present = await source.resolve(promotion.source_repository, promotion.source_tag)
    if present is None:
        return supersede("the source tag was deleted")
    if present.digest != Digest.parse(promotion.digest):
        return supersede(f"the source tag moved to {present.digest}")
    if held is not None and promotion.existing_tag == ExistingTag.SKIP:
        return supersede(f"the target tag was set to {held.digest} meanwhile; existing_tag: skip")
    if held is not None and promotion.existing_tag == ExistingTag.FAIL:
        raise TagConflictError(
            f"the target tag was set to {held.digest} after the decision; existing_tag: fail",
            held_digest=str(held.digest),
            subject=Subject(
                target.name,
                promotion.target_repository,
                promotion.target_tag,
                promotion.target_digest,
            ),
            advice="Find out who set it; then delete it, or let the policy skip or overwrite.",
        )
    # The bytes come from the target itself: what is tagged is what has arrived there.
    manifest = await target.get_manifest(promotion.target_repository, digest)
    await target.put_manifest(promotion.target_repository, promotion.target_tag, manifest)
    return note(RetagOutcome.SET, f", which held {held.digest}" if held else "")
