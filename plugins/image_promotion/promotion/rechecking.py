"""Second thoughts: what is promoted is judged again, on evidence that is gathered anew.

Only what may change its mind is asked: the triggers that look at what an image holds, and at who
signed it. Its tag, and the time at which it was updated, earned it the promotion once and for all;
`newer_than: 7d` would otherwise fail every image after a week.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from image_promotion.errors import NotFoundError
from image_promotion.evidence.gathering import EVIDENCE_NEEDS
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.rechecks import NewRecheck, Recheck
from image_promotion.ledger.records import Outcome, Promotion, Reason, Run
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.judging import judge_images
from image_promotion.promotion.scanning import FAULTS_OF_ONE_IMAGE
from image_promotion.promotion.stores import Stores
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.store import Store

IMAGES_PER_RUN = 200
"""How many are looked at in one run, so that a policy's first recheck does not hold up its run."""

EARLIER = 1 / 24
"""By what part of the interval a look may come early: an hour for a daily one."""

TAGS_AT_ONCE = 8

_Images = dict[ImageName, list[Promotion]]
"""What is judged, and the promotions that it stands for."""


@dataclass(frozen=True, slots=True)
class Rechecking:
    """What second thoughts came to.

    Attributes:
        looks: One for each promotion that was looked at.
        more: Whether there may be more to look at, in the next run.
    """

    looks: tuple[Recheck, ...]
    more: bool = False

    @property
    def failed(self) -> tuple[Recheck, ...]:
        """Return those that would not be promoted today."""
        return tuple(each for each in self.looks if each.outcome is Outcome.REJECT)

    def __str__(self) -> str:
        count = Counter(each.outcome for each in self.looks)
        said = (
            f"{len(self.looks)} promoted images looked at again: {count[Outcome.PROMOTE]} pass, "
            f"{count[Outcome.REJECT]} do not pass any more, {count[Outcome.WAIT]} unknown"
        )
        if count[Outcome.CONFLICT]:
            said += f", {count[Outcome.CONFLICT]} no longer under their target tag"
        if self.more:
            said += f"; more than {IMAGES_PER_RUN} are due, and the next run goes on"
        return said


def lasting_part(policy: Policy) -> Policy | None:
    """Return a policy with those triggers alone that may say something else tomorrow.

    Args:
        policy: The policy.

    Returns:
        The policy without the triggers that look at nothing but a tag and a time; None when none
        is left, so that there is nothing to judge again.
    """
    kept = tuple(
        trigger
        for trigger, criterion in zip(policy.triggers, policy.criterion.parts, strict=True)
        if criterion.needs & EVIDENCE_NEEDS
    )
    if not kept:
        return None
    # Not validated again: the tag template may name groups of triggers that are left out.
    lasting = policy.model_copy(update={"triggers": kept})
    # It was copied along, made of all triggers.
    lasting.__dict__.pop("criterion", None)
    return lasting


def connections_due(
    policy: Policy, ledger: Ledger, *, now: datetime, every: timedelta | None = None
) -> tuple[set[str], set[str]]:
    """Return the connections that a recheck asks now.

    Args:
        policy: The policy.
        ledger: The ledger.
        now: The present moment.
        every: As in ``recheck``.

    Returns:
        The ids of those that it needs, and of those that may be gone: what is no longer in its
        source is judged in the target. None of either when nothing is due.
    """
    due, _ = _due(policy, ledger, now, every)
    needed = {each.target_connection for each in due}
    return needed, {each.source_connection for each in due} - needed


async def recheck(
    policy: Policy,
    *,
    stores: Stores,
    ledger: Ledger,
    run: Run,
    now: datetime,
    every: timedelta | None = None,
) -> Rechecking:
    """Judge promoted images again, those whose last look is older than the policy's interval.

    Args:
        policy: The policy, of the version that the run was begun with.
        stores: The stores of the connections that ``connections_due`` named.
        ledger: Where the looks are recorded.
        run: The run.
        now: The present moment.
        every: How old a last look may be; None for what the policy's key `recheck` says, without
            which nothing is due.

    Returns:
        What came of it.

    Raises:
        RegistryError: A registry cannot be asked.
        PolicyError: A signer's key cannot be used.
        LedgerError: The ledger cannot be read or written.
    """
    due, more = _due(policy, ledger, now, every)
    judged_by = lasting_part(policy)
    if judged_by is None:
        return Rechecking(())
    places: dict[tuple[str, str], list[Promotion]] = {}
    for each in due:
        places.setdefault((each.source_connection, each.target_connection), []).append(each)
    looks: list[NewRecheck] = []
    for (source_connection, target_connection), there in places.items():
        looks += await _look(
            judged_by,
            there,
            source=stores.find(source_connection),
            target=stores.of(target_connection),
            ledger=ledger,
            now=now,
        )
    return Rechecking(ledger.rechecks.record(run, looks, now), more=more)


def _due(
    policy: Policy, ledger: Ledger, now: datetime, every: timedelta | None
) -> tuple[tuple[Promotion, ...], bool]:
    """Return what is to be looked at, and whether there is more than that."""
    if every is None and policy.recheck is not None:
        every = policy.recheck.every
    if every is None or lasting_part(policy) is None:
        return (), False
    # A run that begins a little earlier in the day than yesterday's must not leave a day out.
    before = now - every * (1 - EARLIER)
    due = ledger.rechecks.due(policy.name, before=before, limit=IMAGES_PER_RUN + 1)
    return due[:IMAGES_PER_RUN], len(due) > IMAGES_PER_RUN


async def _look(
    policy: Policy,
    due: Sequence[Promotion],
    *,
    source: Store | None,
    target: Store,
    ledger: Ledger,
    now: datetime,
) -> list[NewRecheck]:
    """Judge promotions between two places."""
    looks: list[NewRecheck] = []
    in_source: _Images = {}
    in_target: _Images = {}

    async def ask(promotion: Promotion) -> Reason | bool:
        if problem := await _displaced(promotion, target):
            return problem
        return source is not None and await _holds(source, promotion)

    answers = await ask_each(ask, due, at_once=TAGS_AT_ONCE)
    for promotion, answer in zip(due, answers, strict=True):
        if isinstance(answer, Reason):
            looks.append(NewRecheck(promotion.id, Outcome.CONFLICT, (answer,)))
            continue
        images, image = (
            (in_source, _image(promotion.source_repository, promotion.digest, promotion))
            if answer
            else (
                in_target,
                _image(promotion.target_repository, promotion.target_digest, promotion),
            )
        )
        images.setdefault(image, []).append(promotion)
    for store, images in ((source, in_source), (target, in_target)):
        if store is not None and images:
            looks += await _judge(policy, images, store, ledger=ledger, now=now)
    return looks


async def _judge(
    policy: Policy, images: _Images, store: Store, *, ledger: Ledger, now: datetime
) -> list[NewRecheck]:
    judged = await judge_images(
        policy,
        list(images),
        source=store,
        ledger=ledger,
        now=now,
        afresh=True,
        keep=True,
        # Policies speak of the source: exceptions for its repositories hold for what came of it.
        known_as={image: of_it[0].source_repository for image, of_it in images.items()},
    )
    return [
        NewRecheck(promotion.id, decision.outcome, decision.reasons)
        for decision in judged.decisions
        for promotion in images[decision.image]
    ]


async def _displaced(promotion: Promotion, target: Store) -> Reason | None:
    """Say that a target tag holds something else than was promoted; None when it does not."""
    try:
        held = await target.resolve(promotion.target_repository, promotion.target_tag)
    except FAULTS_OF_ONE_IMAGE as fault:
        found = str(fault)
    else:
        if held is not None and str(held.digest) == promotion.target_digest:
            return None
        found = "nothing" if held is None else str(held.digest)
    return Reason(
        trigger=f"target tag {promotion.target_repository}:{promotion.target_tag}",
        verdict=str(Verdict.UNKNOWN),
        expected=promotion.target_digest,
        found=found,
        source="target registry",
    )


async def _holds(source: Store, promotion: Promotion) -> bool:
    """Say whether the source still holds an image, under whatever tag or under none."""
    try:
        return await source.has_manifest(
            promotion.source_repository, Digest.parse(promotion.digest)
        )
    except NotFoundError:
        return False


def _image(repository: str, digest: str, promotion: Promotion) -> ImageName:
    return ImageName(repository, promotion.source_tag, digest)
