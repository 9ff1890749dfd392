"""The plan: what a run would do now, tag by tag, with nothing written anywhere.

It is the dry run of the DAG, `promotion plan`, and the table of the demo.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from image_promotion.ledger.approvals import rejection
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry, Outcome, Promotion, Reason, State
from image_promotion.ledger.verdicts import Word
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.promotion.aiming import StoreOf, is_carried, target_key, target_keys
from image_promotion.promotion.decision import (
    ImageDecision,
    ImageName,
    TargetTag,
    as_reason,
    deciding,
)
from image_promotion.promotion.evaluation import evaluate
from image_promotion.promotion.overriding import is_override
from image_promotion.promotion.scanning import (
    EXISTING_IMAGE_IGNORED,
    NO_IMAGE,
    Scan,
    scan,
    version_of,
)
from image_promotion.promotion.source_tags import TagName
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """What would become of one tag of the source, at one of its targets.

    Attributes:
        repository: The source repository.
        tag: The source tag.
        digest: What it points at; None when its name alone ruled it out, or it cannot be read.
        outcome: What the policy decides now; None for one that cannot be read.
        reasons: Why, one for each trigger.
        target: The tag it has, or would get, in the target.
        target_connection: The connection of that target; empty where there is no target tag.
        is_one_of_several: Whether the policy has targets behind several connections.
        target_digest: What that tag has, or would get; another digest than the source's where the
            policy chooses platforms.
        promotion: The promotion that carries or carried it there, if there is one.
        wait_until: When a waiting image may be decided differently, if that is known.
        problem: Why the tag could not be looked at; empty otherwise.
        held_digest: What the target tag points at now; None where it is free, or was not asked for.
        is_overridden: Whether a person promotes it although a trigger does not hold.
        is_over_cap: Whether it has earned promotion, and waits for the next run all the same, since
            the policy's ``limits.images_per_run`` are promoted before it.
    """

    repository: str
    tag: str
    digest: str | None
    outcome: Outcome | None
    reasons: tuple[Reason, ...]
    target: TargetTag | None = None
    promotion: Promotion | None = None
    wait_until: datetime | None = None
    problem: str = ""
    target_digest: str | None = None
    held_digest: str | None = None
    is_over_cap: bool = False
    is_overridden: bool = False
    target_connection: str = ""
    is_one_of_several: bool = False

    @property
    def target_repository(self) -> str:
        """The target repository as people tell it from others: with its connection, if need be."""
        repository = self.target.repository if self.target else ""
        return f"{self.target_connection}/{repository}" if self.is_one_of_several else repository

    @property
    def named_target(self) -> str:
        """The target tag as people tell it from others; empty where there is none."""
        return f"{self.target_repository}:{self.target.tag}" if self.target else ""

    @property
    def is_new(self) -> bool:
        """Return whether a run would promote this image now."""
        return (
            self.outcome is Outcome.PROMOTE
            and not self.is_over_cap
            and (self.promotion is None or self.promotion.state is not State.VERIFIED)
        )

    @property
    def moves_tag(self) -> bool:
        """Return whether the target tag is another image's now."""
        return self.held_digest not in (None, self.target_digest)

    @property
    def why(self) -> str:
        """Return the reason in one line: the triggers that decided."""
        if self.problem:
            return self.problem
        if self.promotion and self.promotion.state is State.FAILED:
            return self.promotion.error
        said = "; ".join(f"{each.trigger}: {each.found}" for each in deciding(self.reasons))
        return f"override, although {said}" if self.is_overridden else said


async def plan(
    policy: Policy,
    *,
    source: Store,
    target_of: StoreOf,
    ledger: Ledger,
    now: datetime,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
    overrules: bool = False,
) -> list[PlannedImage]:
    """Say what a run would do with every tag of the source, writing nothing.

    Args:
        policy: The policy.
        source: The store of its source connection.
        target_of: Gives the store of a target connection; it is only read.
        ledger: The ledger; it is only read.
        now: The moment to decide as of.
        only_tags: These tags alone, decided again; empty for all.
        decide_again: Whether the run would decide again what was rejected before.
        overrules: Whether the run would promote these tags although a trigger does not hold.

    Returns:
        One entry for each tag and target tag, by repository and tag.

    Raises:
        PromotionError: A registry or the ledger cannot be asked.
    """
    seen = await scan(
        policy,
        source,
        now=now,
        only_tags=only_tags,
        overrules=only_tags if overrules else (),
        overruled=ledger.overridden_tags(policy.name),
    )
    return await plan_for(
        policy,
        seen,
        ledger.standings(policy.name),
        source=source,
        target_of=target_of,
        ledger=ledger,
        now=now,
        only_tags=only_tags,
        decide_again=decide_again,
        overrules=overrules,
    )


async def plan_for(
    policy: Policy,
    seen: Scan,
    standings: Sequence[HistoryEntry],
    *,
    source: Store,
    target_of: StoreOf,
    ledger: Ledger,
    now: datetime,
    only_tags: Collection[str] = (),
    decide_again: bool = False,
    overrules: bool = False,
    withheld: Collection[SourceName] = (),
) -> list[PlannedImage]:
    """Say what a run would do with what a scan saw, writing nothing.

    Args:
        policy: As in `plan`, like all of which it says so.
        seen: What the scan saw.
        standings: How the tags stand in the ledger.
        source: See there.
        target_of: See there.
        ledger: See there.
        now: See there.
        only_tags: See there.
        decide_again: See there.
        overrules: See there.
        withheld: The sources of evidence that are not asked, as a run would; an image waits then
            unless sources before them know enough.

    Returns:
        One entry for each tag that the scan looked at and target tag, by repository and tag.

    Raises:
        PromotionError: A registry or the ledger cannot be asked.
    """
    is_asked = decide_again or bool(only_tags)
    standing: dict[ImageName, list[HistoryEntry]] = {}
    for entry in standings:
        seen_as = entry.observation
        image = ImageName(seen_as.repository, seen_as.tag, seen_as.digest)
        standing.setdefault(image, []).append(entry)
    rows = [_rejected_by_name(policy, each, now) for each in seen.rejected]
    rows += [
        PlannedImage(each.repository, each.tag, None, None, (), problem=each.reason)
        for each in seen.problems
    ]
    ignores_existing = policy.existing_images is ExistingImages.IGNORE and not ledger.was_evaluated(
        version_of(policy)
    )
    rejections = _rejections(ledger, standing) if not is_asked else {}
    undecided = []
    for each in seen.sightings:
        image = ImageName(each.repository, each.tag, each.digest)
        entries = standing.get(image, [])
        if stays(entries, policy, decide_again=is_asked, rejected=rejections):
            rows += [_recorded(image, entry) for entry in entries]
        elif ignores_existing and image.tag not in only_tags:
            rows.append(PlannedImage(*_parts(image), Outcome.REJECT, (EXISTING_IMAGE_IGNORED,)))
        else:
            undecided.append(image)
    earlier = {image: kept_promotions(entries, policy) for image, entries in standing.items()}
    last = {image: entries[0].decision for image, entries in standing.items()}
    overridden = [
        image
        for image in undecided
        if overrules or (not decide_again and is_override(last.get(image), policy))
    ]
    decisions = await evaluate(
        policy,
        _in_turn(undecided, standing),
        source=source,
        target_of=target_of,
        ledger=ledger,
        earlier=earlier,
        now=now,
        afresh=decide_again,
        overridden=overridden,
        withheld=withheld,
    )
    within = policy.limits.images_per_run
    for decision in decisions:
        if is_carried(policy, decision, earlier.get(decision.image, ())):
            within -= 1
        for row in rows_of(policy, decision, standing.get(decision.image, ())):
            rows.append(replace(row, is_over_cap=True) if row.is_new and within < 0 else row)
    rows = [
        _rejected_by_people(row, rejections[row.promotion.id])
        if row.promotion and row.promotion.id in rejections
        else row
        for row in rows
    ]
    if len(policy.target_connections) > 1:
        rows = [replace(each, is_one_of_several=bool(each.target_connection)) for each in rows]
    return sorted(rows, key=lambda each: (each.repository, each.tag))


def _rejections(
    ledger: Ledger, standing: Mapping[ImageName, Sequence[HistoryEntry]]
) -> Mapping[int, Word]:
    """Return what people rejected, and how; a run leaves it alone until somebody asks for it."""
    return ledger.approvals.rejections(
        [
            each.promotion.id
            for entries in standing.values()
            for each in entries
            if each.promotion and each.promotion.state is State.SUPERSEDED
        ]
    )


def _rejected_by_people(row: PlannedImage, word: Word) -> PlannedImage:
    reason = Reason(
        trigger="approval",
        verdict=str(Verdict.NOT_HELD),
        expected="approved by people",
        found=rejection(word.who, word.comment),
        source="ledger",
    )
    return replace(row, outcome=Outcome.REJECT, reasons=(*row.reasons, reason))


def _in_turn(
    images: Sequence[ImageName], standing: Mapping[ImageName, Sequence[HistoryEntry]]
) -> list[ImageName]:
    """Put images in the order in which a run takes them up, as `Ledger.candidates` does."""

    def turn(image: ImageName) -> tuple[int, datetime, int]:
        entries = standing.get(image)
        if not entries:
            return 0, _EARLIEST, 0
        has_failed = any(
            each.promotion is not None and each.promotion.state is State.FAILED for each in entries
        )
        first = entries[0]
        return 2 if has_failed else 1, first.decision.asked_at, first.observation.id

    return sorted(images, key=turn)


_EARLIEST = datetime.min.replace(tzinfo=UTC)


def kept_promotions(entries: Sequence[HistoryEntry], policy: Policy) -> tuple[Promotion, ...]:
    """Return the promotions of an image whose tags a run would keep, not render anew."""
    return tuple(
        each.promotion
        for each in entries
        if each.promotion
        and each.promotion.state is not State.SUPERSEDED
        and _is_of_target(each.promotion, policy)
    )


def _is_of_target(promotion: Promotion, policy: Policy) -> bool:
    return promotion.target_key in target_keys(policy, promotion.source_repository)


def stays(
    entries: Sequence[HistoryEntry],
    policy: Policy,
    *,
    decide_again: bool,
    rejected: Collection[int] = (),
) -> bool:
    """Return whether a run would leave an image as it stands, without deciding anew.

    The counterpart of `Ledger.candidates`.

    Args:
        entries: The last decision about the image, with each promotion that came of it; empty where
            nothing was decided yet.
        policy: The policy.
        decide_again: Whether the run decides again what was rejected.
        rejected: The promotions that people rejected.
    """
    if entries and entries[0].decision.overridden_by and all(map(_is_verified, entries)):
        return True
    if not entries or entries[0].decision.policy_hash != policy.hash:
        return False
    outcome = entries[0].decision.outcome
    if outcome is not Outcome.CONFLICT and all(
        each.promotion
        and (each.promotion.state is State.VERIFIED or each.promotion.id in rejected)
        and _is_of_target(each.promotion, policy)
        for each in entries
    ):
        return True
    return outcome is Outcome.REJECT and not decide_again


def _is_verified(entry: HistoryEntry) -> bool:
    return entry.promotion is not None and entry.promotion.state is State.VERIFIED


def _parts(image: ImageName) -> tuple[str, str, str]:
    return image.repository, image.tag, image.digest


def _recorded(image: ImageName, entry: HistoryEntry) -> PlannedImage:
    done = entry.promotion
    return PlannedImage(
        *_parts(image),
        entry.decision.outcome,
        entry.decision.reasons,
        target=TargetTag(done.target_repository, done.target_tag) if done else None,
        target_digest=done.target_digest if done else None,
        promotion=done,
        target_connection=done.target_connection if done else "",
    )


def rows_of(
    policy: Policy, decision: ImageDecision, entries: Sequence[HistoryEntry]
) -> Iterator[PlannedImage]:
    """Yield a row for each target tag; for an image that gets none, for what it has got before.

    Args:
        policy: The policy.
        decision: What it decides about an image now.
        entries: What it decided about the image before, with what came of that.
    """
    before = [each.promotion for each in entries if each.promotion]
    if not decision.parts:
        for entry in entries:
            yield _row(decision, entry.promotion)
        if not entries:
            yield _row(decision, None)
        return
    by_key = {each.target_key: each for each in before if _is_of_target(each, policy)}
    for part in decision.parts:
        found = None
        if part.destination:
            found = by_key.get(target_key(policy, part.image.repository, part.destination))
        if found and part.target_digest and found.target_digest != part.target_digest:
            # What was promoted before is something else than what a run would promote now.
            found = None
        yield _row(part, found)


def _row(decision: ImageDecision, promotion: Promotion | None) -> PlannedImage:
    destination = decision.destination
    return PlannedImage(
        *_parts(decision.image),
        decision.outcome,
        decision.reasons,
        target=decision.target,
        target_digest=decision.target_digest,
        promotion=promotion,
        wait_until=decision.wait_until,
        held_digest=decision.held_digest,
        is_overridden=decision.is_overridden,
        target_connection=destination.target.connection if destination else "",
    )


def _rejected_by_name(policy: Policy, name: TagName, now: datetime) -> PlannedImage:
    if is_attachment_tag(name.tag):
        return PlannedImage(name.repository, name.tag, None, Outcome.REJECT, (NO_IMAGE,))
    finding = policy.criterion.judge(ImageFacts(tag=name.tag), now)
    reasons = tuple(as_reason(part) for part in finding.parts)
    return PlannedImage(name.repository, name.tag, None, Outcome.REJECT, reasons)
