"""Retention: which target tags stay, and the others taken away.

Only tags that the policy was the last to set, and that still hold what it set, are ever touched;
each is compared once more just before. Of those that are there, the newest always stays.

What is attached to an image (signatures, SBOMs) stays when its tag goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from image_promotion.errors import (
    AuthenticationError,
    NotFoundError,
    PolicyError,
    PromotionError,
    RegistryError,
)
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion
from image_promotion.ledger.rollbacks import KnownPlace
from image_promotion.policy.governance import Mode, Retention, RetentionMode
from image_promotion.policy.model import Policy
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.stores import FindEndpoint, Stores
from image_promotion.promotion.tag_past import past_of
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.store import Store

TAGS_AT_ONCE = 8
SHOWN = 10


@dataclass(slots=True)
class RetentionReport:
    """What retention did, or would do.

    Attributes:
        mode: Whether tags are removed, or only named.
        superfluous: The promotions whose tags are not to stay, the eldest first.
        kept: How many tags of the policy stay because they are new enough.
        spared: Why tags stay that are not, each a sentence.
        removed: The promotions whose tags are gone.
        problems: What could not be done, each a sentence.
    """

    mode: RetentionMode
    superfluous: list[Promotion] = field(default_factory=list)
    kept: int = 0
    spared: list[str] = field(default_factory=list)
    removed: list[Promotion] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.mode is RetentionMode.DRY_RUN:
            said = f"{len(self.superfluous)} tags would be removed"
        else:
            said = f"{len(self.removed)} of {len(self.superfluous)} superfluous tags removed"
        return f"{said}, {self.kept} stay, {len(self.spared)} more are spared"

    def error(self) -> PromotionError | None:
        """Return the error that it ends with; None when all went well."""
        if not self.problems:
            return None
        return PromotionError(
            f"{len(self.problems)} tags could not be removed: {'; '.join(self.problems[:SHOWN])}",
            advice="What is removed stays removed. The next run tries the others again.",
        )


def retention_of(policy: Policy) -> Retention:
    """Return what a policy says about retention.

    Raises:
        PolicyError: It says nothing.
    """
    if policy.retention is None:
        raise PolicyError(
            f"the policy {policy.name} says nothing about which tags stay",
            key="retention",
            advice="Write what stays: retention: {keep_newest: 10}.",
        )
    return policy.retention


def superfluous(held: Sequence[Promotion], rule: Retention, now: datetime) -> list[Promotion]:
    """Return which of the tags that are there do not stay.

    Args:
        held: The promotions that set the tags of one repository, which all hold what they set.
        rule: What stays: the newest, those that are young enough, and one in any case.
        now: Now.

    Returns:
        The others, the eldest first.
    """
    newest_first = sorted(held, key=_age_key, reverse=True)
    others = newest_first[max(rule.keep_newest or 0, 1) :]
    if rule.keep_younger_than is not None:
        since = now - rule.keep_younger_than
        others = [each for each in others if each.verified_at and each.verified_at <= since]
    return others[::-1]


def stores_for(policy: Policy, *, ledger: Ledger, find_endpoint: FindEndpoint) -> Stores:
    """Return the stores in which a policy has set tags; connections that are gone are left out."""
    connections = {each.target_connection for each in ledger.removals.tags_of(policy.name)}
    return Stores(find_endpoint, set(), connections)


async def retain(
    policy: Policy,
    *,
    stores: Stores,
    ledger: Ledger,
    clock: Clock,
    run_key: str,
    mode: RetentionMode | None = None,
) -> RetentionReport:
    """Find the tags of a policy that do not stay, and remove them if that is wanted.

    It may be killed and repeated at any moment.

    Args:
        policy: The policy.
        stores: As ``stores_for`` gives them.
        ledger: The ledger.
        clock: The clock.
        run_key: What names the run in the ledger.
        mode: Whether to remove, or only to say what would be; None for what the policy says.

    Returns:
        What was done; what could not be done is in it and does not raise.

    Raises:
        PolicyError: The policy says nothing of retention.
        LedgerError: The ledger cannot be read or written.
    """
    rule = retention_of(policy)
    if policy.mode is Mode.AUDIT:
        # It tries things out; what it would do is all that is asked.
        mode = RetentionMode.DRY_RUN
    report = RetentionReport(mode or rule.mode)
    by_place: dict[KnownPlace, list[Promotion]] = defaultdict(list)
    for each in ledger.removals.tags_of(policy.name):
        place = KnownPlace(each.target_connection, each.target_registry, each.target_repository)
        by_place[place].append(each)
    for place, set_by_us in by_place.items():
        target = stores.find(place.connection_id)
        if target is None:
            report.spared.append(f"{place}: the connection is not there any more")
            continue
        work = _Place(place, target, ledger, report)
        try:
            goes = await work.find(set_by_us, rule, clock())
            if report.mode is RetentionMode.REMOVE:
                await work.complete(set_by_us, clock, run_key)
                await work.remove(goes, clock, run_key)
        except PromotionError as error:
            report.problems.append(str(error))
    return report


@dataclass(slots=True)
class _Place:
    """One repository in which a policy has set tags."""

    place: KnownPlace
    target: Store
    ledger: Ledger
    report: RetentionReport

    async def find(
        self, set_by_us: Sequence[Promotion], rule: Retention, now: datetime
    ) -> list[Promotion]:
        """Return the promotions whose tags do not stay, and note why others do."""
        tags = await self._tags()
        there = [each for each in set_by_us if each.target_tag in tags]
        held = await self._held([each.target_tag for each in there])
        ours = [each for each in there if held.get(each.target_tag) == each.target_digest]
        goes = superfluous(ours, rule, now)
        goes = self._spare_claimed(goes)
        goes = self._spare_rollbacks(goes, ours)
        self.report.superfluous += goes
        self.report.kept += len(ours) - len(goes)
        return goes

    async def complete(self, set_by_us: Sequence[Promotion], clock: Clock, run_key: str) -> None:
        """Note what a process that was killed had removed and not noted."""
        begun = self.ledger.removals.begun([each.id for each in set_by_us])
        tags = await self._tags() if begun else frozenset()
        for each in set_by_us:
            if each.id in begun and each.target_tag not in tags:
                self._note(each, clock, run_key)

    async def remove(self, goes: Sequence[Promotion], clock: Clock, run_key: str) -> None:
        """Remove tags, by themselves where the registry can, else with their manifests."""
        left: list[Promotion] = []
        for each in goes:
            if await self._resolve(each.target_tag) != each.target_digest:
                self._spare(each, "it was moved just now")
                continue
            self.ledger.removals.begin(
                each, at=clock(), run_key=run_key, detail="superfluous by the policy's retention"
            )
            digest = Digest.parse(each.target_digest)
            try:
                await self.target.remove_tag(self.place.repository, each.target_tag, digest)
                is_gone = await self._resolve(each.target_tag) != each.target_digest
            except RegistryError as fault:
                if fault.retryable or isinstance(fault, AuthenticationError):
                    raise
                self.report.problems.append(f"{_name(each)}: {fault}")
                continue
            if is_gone:
                self._note(each, clock, run_key)
            else:
                left.append(each)
        if left:
            await self._remove_manifests(left, clock, run_key)

    async def _remove_manifests(
        self, goes: Sequence[Promotion], clock: Clock, run_key: str
    ) -> None:
        """Remove manifests, with all their tags: only where all of these go, and nothing needs it.

        Source: CNCF distribution, "HTTP API V2", "Deleting an Image".
        """
        every = await self._held(sorted(await self._tags()))
        names = {each.target_tag for each in goes}
        children = await self._children(
            {digest for tag, digest in every.items() if digest and tag not in names}
        )
        by_digest: dict[str, list[Promotion]] = defaultdict(list)
        for each in goes:
            by_digest[each.target_digest].append(each)
        for digest, ours in by_digest.items():
            others = sorted(
                {tag for tag, held in every.items() if held == digest}
                - {each.target_tag for each in ours}
            )
            why = ""
            if others:
                why = f"the tag {others[0]} holds the same image"
            elif digest in children:
                why = "an index that stays lists this image"
            if why:
                for each in ours:
                    self._spare(each, f"the registry removes only whole manifests, and {why}")
                continue
            await self.target.remove_manifest(self.place.repository, Digest.parse(digest))
            for each in ours:
                self._note(each, clock, run_key)

    async def _children(self, digests: Collection[str]) -> frozenset[str]:
        """Return every manifest that indexes list, at any depth."""
        known: set[str] = set()
        waiting = list(digests)
        while waiting:
            digest = waiting.pop()
            try:
                manifest = await self.target.get_manifest(
                    self.place.repository, Digest.parse(digest)
                )
            except NotFoundError:
                continue
            if isinstance(manifest, ImageIndex):
                new = {str(entry.digest) for entry in manifest.manifests} - known
                known |= new
                waiting += new
        return frozenset(known)

    def _spare_claimed(self, goes: list[Promotion]) -> list[Promotion]:
        claims = self.ledger.tag_claims(
            self.place.registry, self.place.repository, [each.target_tag for each in goes]
        )
        for each in goes:
            if each.target_tag in claims:
                self._spare(each, f"promotion {claims[each.target_tag][0].id} is about to set it")
        return [each for each in goes if each.target_tag not in claims]

    def _spare_rollbacks(self, goes: list[Promotion], ours: Sequence[Promotion]) -> list[Promotion]:
        """Leave the tags of images that a tag that stays would be set back to."""
        if not goes:
            return goes
        histories = self.ledger.removals.histories(
            self.place.registry, self.place.repository, [each.target_tag for each in ours]
        )
        goals: Mapping[str, str | None] = {
            each.target_tag: before.digest
            if (before := past_of(histories[each.target_tag]).before(each.target_digest))
            else None
            for each in ours
        }
        while True:
            leaving = {each.target_tag for each in goes}
            needed = {goals[each.target_tag] for each in ours if each.target_tag not in leaving}
            spared = [each for each in goes if each.target_digest in needed]
            if not spared:
                return goes
            for each in spared:
                self._spare(each, "it holds what a tag that stays would be set back to")
            goes = [each for each in goes if each not in spared]

    async def _tags(self) -> frozenset[str]:
        try:
            return frozenset([tag async for tag in self.target.list_tags(self.place.repository)])
        except NotFoundError:
            return frozenset()

    async def _held(self, tags: Sequence[str]) -> dict[str, str | None]:
        found = await ask_each(self._resolve, tags, at_once=TAGS_AT_ONCE)
        return dict(zip(tags, found, strict=True))

    async def _resolve(self, tag: str) -> str | None:
        descriptor = await self.target.resolve(self.place.repository, tag)
        return None if descriptor is None else str(descriptor.digest)

    def _spare(self, promotion: Promotion, why: str) -> None:
        self.report.spared.append(f"{_name(promotion)} stays: {why}")

    def _note(self, promotion: Promotion, clock: Clock, run_key: str) -> None:
        self.ledger.removals.finish(promotion, at=clock(), run_key=run_key)
        self.report.removed.append(promotion)


def _age_key(promotion: Promotion) -> tuple[datetime, int]:
    # Only verified ones are asked about.
    return promotion.verified_at or promotion.planned_at, promotion.id


def _name(promotion: Promotion) -> str:
    return f"{promotion.target_repository}:{promotion.target_tag}"
