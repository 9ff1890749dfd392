"""Bugs that the product does not have, to be put into it: a checker must not miss them.

Each is a way in which promotions could go wrong without a word. They are for the tests of the
checker alone, and gone when their context is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from unittest import mock

from image_promotion.errors import RegistryError, VerificationError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Candidate, Promotion, Run, State
from image_promotion.policy.places import ExistingTag
from image_promotion.promotion import (
    aiming,
    copying,
    evaluation,
    pipeline,
    retagging,
    verification,
)
from image_promotion.promotion.journal import Journal
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store

Plant = Callable[[], AbstractContextManager[object]]

_StageFunction = Callable[..., Awaitable[object]]
"""One of `copy`, `retag` and `verify`: a promotion, and keywords for all else."""

_copy: _StageFunction = copying.copy
_retag: _StageFunction = retagging.retag
_verify: _StageFunction = verification.verify
_key: Callable[..., str] = aiming.target_key
_candidates: Callable[..., tuple[Candidate, ...]] = Ledger.candidates


def tag_before_content() -> AbstractContextManager[object]:
    """Set the target tag first, and bring its content afterwards."""

    async def copy(promotion: Promotion, *, source: Store, target: Store, **more: object) -> object:
        image = await source.get_manifest(promotion.source_repository, promotion.source_tag)
        with suppress(RegistryError):
            await target.put_manifest(promotion.target_repository, promotion.target_tag, image)
        return await _copy(promotion, source=source, target=target, **more)

    return mock.patch.object(pipeline, "copy", copy)


def no_verification() -> AbstractContextManager[object]:
    """Take for verified whatever was tagged."""

    async def verify(promotion: Promotion, *, journal: Journal, **_more: object) -> object:
        journal.note(promotion, State.VERIFIED, "taken for granted")
        return None

    return mock.patch.object(pipeline, "verify", verify)


def no_pin() -> AbstractContextManager[object]:
    """Promote what the source tag holds at each stage, and not what was decided about."""

    def following(stage: _StageFunction) -> _StageFunction:
        async def follow(promotion: Promotion, *, source: Store, **more: object) -> object:
            now = await source.resolve(promotion.source_repository, promotion.source_tag)
            if now is not None:
                digest = str(now.digest)
                promotion = replace(promotion, digest=digest, target_digest=digest)
            return await stage(promotion, source=source, **more)

        return follow

    return _in_place(copy=following(_copy), retag=following(_retag), verify=following(_verify))


def record_before_setting() -> AbstractContextManager[object]:
    """Write down that the tag is set, and then set it."""

    async def retag(promotion: Promotion, *, journal: Journal, **more: object) -> object:
        journal.note(promotion, State.TAGGED, "about to be set")
        journal.write()
        return await _retag(promotion, journal=journal, **more)

    return mock.patch.object(pipeline, "retag", retag)


def others_tags_ignored() -> AbstractContextManager[object]:
    """Set the target tag whoever has it by now."""

    async def retag(promotion: Promotion, **more: object) -> object:
        return await _retag(replace(promotion, existing_tag=str(ExistingTag.OVERWRITE)), **more)

    return mock.patch.object(pipeline, "retag", retag)


def moved_source_ignored() -> AbstractContextManager[object]:
    """Set the target tag although the developers have replaced the image."""
    return mock.patch.object(retagging, "_overtaken", return_value="")


def no_unique_claim() -> AbstractContextManager[object]:
    """Let each plan make a promotion of its own."""
    numbers = itertools.count()

    def key(*arguments: object) -> str:
        return f"{_key(*arguments)}#{next(numbers)}"

    return mock.patch.object(evaluation, "target_key", key)


def failures_forgotten() -> AbstractContextManager[object]:
    """Never take up again what has failed."""

    def candidates(ledger: Ledger, run: Run, **more: object) -> tuple[Candidate, ...]:
        found = _candidates(ledger, run, **more)
        return tuple(each for each in found if not (each.last and each.last.promotion_ids))

    return mock.patch.object(Ledger, "candidates", candidates)


def failed_verification_swallowed() -> AbstractContextManager[object]:
    """Write down that an image is verified although it was not."""

    async def verify(promotion: Promotion, *, journal: Journal, **more: object) -> object:
        with suppress(VerificationError):
            return await _verify(promotion, journal=journal, **more)
        journal.note(promotion, State.VERIFIED, "well enough")
        return None

    return mock.patch.object(pipeline, "verify", verify)


def late_repetition_sets_again() -> AbstractContextManager[object]:
    """Set the tag of a promotion that is over when somebody clears its task."""

    async def retag(promotion: Promotion, *, target: Store, **more: object) -> object:
        if promotion.state is State.VERIFIED:
            digest = Digest.parse(promotion.target_digest)
            image = await target.get_manifest(promotion.target_repository, digest)
            await target.put_manifest(promotion.target_repository, promotion.target_tag, image)
        return await _retag(promotion, target=target, **more)

    return mock.patch.object(pipeline, "retag", retag)


def wrong_tag() -> AbstractContextManager[object]:
    """Set another tag than the one that was planned."""

    async def retag(promotion: Promotion, **more: object) -> object:
        return await _retag(replace(promotion, target_tag=promotion.target_tag + "-x"), **more)

    async def verify(promotion: Promotion, **more: object) -> object:
        return await _verify(replace(promotion, target_tag=promotion.target_tag + "-x"), **more)

    return _in_place(retag=retag, verify=verify)


@contextmanager
def _in_place(**stages: _StageFunction) -> Iterator[None]:
    """Let other functions be the pipeline's stages."""
    with ExitStack() as stack:
        for name, function in stages.items():
            stack.enter_context(mock.patch.object(pipeline, name, function))
        yield


PLANTS: Mapping[str, Plant] = {
    plant.__name__.replace("_", " "): plant
    for plant in (
        tag_before_content,
        no_verification,
        no_pin,
        record_before_setting,
        others_tags_ignored,
        moved_source_ignored,
        no_unique_claim,
        failures_forgotten,
        failed_verification_swallowed,
        late_repetition_sets_again,
        wrong_tag,
    )
}
