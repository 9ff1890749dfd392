"""The retag: one PUT makes the copied image visible under its target tag.

The source tag is looked at once more just before. If it has moved, QA must not be given what the
developers have already replaced: the promotion is superseded, and the next scan takes up the new
image. What the target tag held is noted before it is overwritten, so that it can be set back.

A rollback asks nothing of the source tag. It sets the target tag only if that holds what the
rollback was planned for.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

from image_promotion.errors import (
    ContentMismatchError,
    PromotionError,
    RegistryError,
    Subject,
    TagConflictError,
)
from image_promotion.ledger.records import Kind, Promotion, State
from image_promotion.policy.places import ExistingTag
from image_promotion.promotion.journal import Journal
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store

_REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.CONFLICT,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""How registries answer who moves a tag that they have made immutable: each in its own way."""


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
        TagConflictError: The target tag has come to hold another image since the decision, or the
            registry does not let it be moved.
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
    if promotion.kind is Kind.ROLLBACK:
        _require_expected(promotion, held, target)
    else:
        present = await source.resolve(promotion.source_repository, promotion.source_tag)
        if why := _overtaken(promotion, present, held, journal):
            return supersede(why)
        if held is not None and promotion.existing_tag == ExistingTag.FAIL:
            raise TagConflictError(
                f"the target tag was set to {held.digest} after the decision; existing_tag: fail",
                held_digest=str(held.digest),
                subject=_subject(promotion, target),
                advice="Find out who set it; then delete it, or let the policy skip or overwrite.",
            )
        journal.note_former(promotion, None if held is None else str(held.digest))
    return note(RetagOutcome.SET, await _set_tag(promotion, target, digest, held))


async def _set_tag(
    promotion: Promotion, target: Store, digest: Digest, held: Descriptor | None
) -> str:
    """Set the target tag; return what more there is to say of it."""
    # The bytes come from the target itself: what is tagged is what has arrived there.
    manifest = await target.get_manifest(promotion.target_repository, digest)
    try:
        await target.put_manifest(promotion.target_repository, promotion.target_tag, manifest)
    except (RegistryError, ContentMismatchError) as error:
        # What can be seen has to stand in the ledger, however it was answered.
        if await _is_set(promotion, target, digest):
            return f", although the registry said: {error}"
        if held is not None and _is_refusal(error):
            raise _immutable(promotion, target, held, error) from error
        raise
    return f", which held {held.digest}" if held else ""


def _is_refusal(error: PromotionError) -> bool:
    """Say whether it is the tag that is refused: the same bytes were taken by digest."""
    return isinstance(error, RegistryError) and error.status in _REFUSALS and not error.retryable


def _immutable(
    promotion: Promotion, target: Store, held: Descriptor, error: PromotionError
) -> TagConflictError:
    said = "; ".join((error.attempted, *error.details()))
    return TagConflictError(
        f"the target registry does not let the tag be moved from {held.digest}: {said}",
        held_digest=str(held.digest),
        subject=_subject(promotion, target),
        advice="Its tags are immutable there, or the account may not move them. Give images "
        "tags of their own (target.tag), or have the registry's rule changed.",
    )


async def _is_set(promotion: Promotion, target: Store, digest: Digest) -> bool:
    """Say whether a tag is set although setting it failed; False where that cannot be seen."""
    try:
        held = await target.resolve(promotion.target_repository, promotion.target_tag)
    except PromotionError:
        return False
    return held is not None and held.digest == digest


def _overtaken(
    promotion: Promotion, present: Descriptor | None, held: Descriptor | None, journal: Journal
) -> str:
    """Say why the image is no longer to be promoted; empty when it is."""
    if present is None:
        return "the source tag was deleted"
    if present.digest != Digest.parse(promotion.digest):
        return f"the source tag moved to {present.digest}"
    if held is None:
        return ""
    if promotion.existing_tag == ExistingTag.SKIP:
        return f"the target tag was set to {held.digest} meanwhile; existing_tag: skip"
    if withdrawn := journal.withdrawal_of(promotion):
        return f"the image was rolled back meanwhile, by promotion {withdrawn.id}"
    return ""


def _require_expected(promotion: Promotion, held: Descriptor | None, target: Store) -> None:
    """Refuse to take a tag from an image for which the rollback was not planned."""
    held_digest = None if held is None else str(held.digest)
    if held_digest != promotion.former_digest:
        raise TagConflictError(
            f"the target tag was to be taken from {promotion.former_digest or 'nobody'} and holds "
            f"{held_digest or 'nothing'} by now",
            held_digest=held_digest,
            subject=_subject(promotion, target),
            advice="Find out who set it; then plan the rollback anew.",
        )


def _subject(promotion: Promotion, target: Store) -> Subject:
    return Subject(
        target.name, promotion.target_repository, promotion.target_tag, promotion.target_digest
    )
