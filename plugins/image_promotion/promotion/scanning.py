"""The scan: which images of the source are there now, and which of them could matter.

Tags that the policy's tag triggers reject are thrown away by name, before anything is asked about
them, and so are those that name what is attached to an image; the others cost one HEAD each, unless
the registry's own interface has listed them with their digests. Rejections by name are counted and
not kept: they follow from the tag and the policy alone, so `promotion plan` explains each of them
at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    RegistryError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    NewDecision,
    Observation,
    Outcome,
    PolicyVersion,
    Reason,
    Run,
    Sighting,
)
from image_promotion.policy.criteria.verdict import Verdict
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.promotion.source_tags import (
    SourceTags,
    TagName,
    list_source_tags,
    tell_apart,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.products.catalogue import HasCatalogue
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store

HEADS_AT_ONCE = 16

REJECTED_KEPT = 20
"""So many of the tags that a run rejects by name are named to people; the others are counted."""

# What one image can do wrong without saying anything about the next one. Everything else (no
# answer, no access, a rate limit that outlasts the retries) would meet the next image too.
FAULTS_OF_ONE_IMAGE = (
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    UnsupportedContentError,
)

EXISTING_IMAGE_IGNORED = Reason(
    trigger="existing images: ignore",
    verdict=str(Verdict.NOT_HELD),
    expected="an image pushed after the policy was made or changed",
    found="it was there when this version of the policy was first run",
    source="ledger",
)

NO_IMAGE = Reason(
    trigger="the tag of an image",
    verdict=str(Verdict.NOT_HELD),
    expected="a tag that people give to images",
    found="by its shape it names what is attached to an image, which goes along with that image",
    source="tag",
)


@dataclass(frozen=True, slots=True)
class ScanProblem:
    """One image that could not be looked at, and why; the others go on."""

    repository: str
    tag: str
    reason: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan saw.

    Attributes:
        complete_repositories: The repositories whose tags were listed to the end.
        sightings: The tags that may matter, each with the digest it points at.
        rejected: The tags that the policy rejects by their name alone, or the first of them.
        rejected_count: How many those are.
        attachment_count: How many of these name what is attached to an image.
        problems: The tags that could not be looked at.
        notes: What else people may want to know, such as how many pulls the registry still allows.
        not_looked_up: How many more may matter, and were not asked about.
    """

    complete_repositories: tuple[str, ...]
    sightings: tuple[Sighting, ...]
    rejected: tuple[TagName, ...]
    rejected_count: int
    attachment_count: int
    problems: tuple[ScanProblem, ...]
    notes: tuple[str, ...] = ()
    not_looked_up: int = 0

    @property
    def tags_seen(self) -> int:
        """Return how many tags the source has, as far as the scan looked."""
        looked_at = len(self.sightings) + self.rejected_count + len(self.problems)
        return looked_at + self.not_looked_up

    def __str__(self) -> str:
        attachments = self.attachment_count
        of_them = f" ({attachments} of attachments)" if attachments else ""
        said = (
            f"{'1 tag' if self.tags_seen == 1 else f'{self.tags_seen} tags'} seen, "
            f"{self.rejected_count} rejected by name{of_them}, "
            f"{len(self.sightings)} looked up"
        )
        if self.problems:
            said += f", {len(self.problems)} unreadable"
        return "; ".join((said, *self.notes))


def is_rejected_by_name(policy: Policy, tag: str, now: datetime) -> bool:
    """Return whether the policy rejects a tag whatever else there is to know about its image."""
    if is_attachment_tag(tag):
        return True
    return policy.criterion.judge(ImageFacts(tag=tag), now).verdict is Verdict.NOT_HELD


async def scan(
    policy: Policy,
    source: Store,
    *,
    now: datetime,
    only_tags: Collection[str] = (),
    overrules: Collection[str] = (),
    overruled: Collection[tuple[str, str]] = (),
    at_most: int | None = None,
    known: Collection[tuple[str, str]] = (),
    keep_rejected: int | None = None,
) -> Scan:
    """Look at the source as the policy sees it, writing nothing.

    Args:
        policy: The policy.
        source: The store its source connection leads to.
        now: The moment the scan is of.
        only_tags: Look at these tags alone, without listing; empty for all.
        overrules: The tags that a person promotes whatever the triggers say, also of names.
        overruled: The repositories and tags of which somebody said so in an earlier run.
        at_most: Of how many tags at most it is asked what they point at; None for all, as runs do.
        known: The repositories and tags that come last where these are not all.
        keep_rejected: How many of the tags rejected by name are kept by name; None for all.

    Returns:
        What was seen.

    Raises:
        NotFoundError: The source repository does not exist, or none has one of only_tags.
        RegistryError: The source cannot be listed.
    """
    repositories = await source_repositories(policy, source)

    def is_out(name: TagName) -> bool:
        # What is attached to an image is none, whoever wants it.
        if name.tag in overrules or (name.repository, name.tag) in overruled:
            return is_attachment_tag(name.tag)
        return is_rejected_by_name(policy, name.tag, now)

    notes: tuple[str, ...] = ()
    if only_tags:
        names = [TagName(repository, tag) for repository in repositories for tag in only_tags]
        tags = await _there(source, tell_apart(names, is_out, keep=None))
    else:
        tags, notes = await list_source_tags(source, repositories, is_out, keep=keep_rejected)
    wanted = list(tags.wanted)
    not_looked_up = 0
    if at_most is not None and len(wanted) > at_most:
        not_looked_up = len(wanted) - at_most
        wanted.sort(key=lambda each: (each.repository, each.tag) in known)
        del wanted[at_most:]

    async def look_up(name: TagName) -> Sighting | ScanProblem | None:
        if name.digest is not None:
            return Sighting(name.repository, name.tag, name.digest)
        try:
            descriptor = await source.resolve(name.repository, name.tag)
        except FAULTS_OF_ONE_IMAGE as fault:
            return ScanProblem(name.repository, name.tag, str(fault))
        # None: listed a moment ago and deleted since, so it is as if it had not been listed.
        if descriptor is None:
            return None
        return Sighting(name.repository, name.tag, str(descriptor.digest))

    seen = await ask_each(look_up, wanted, at_once=HEADS_AT_ONCE)
    sightings = tuple(each for each in seen if isinstance(each, Sighting))
    problems = tuple(each for each in seen if isinstance(each, ScanProblem))
    if only_tags:
        _require_named_tags(
            only_tags,
            known={each.tag for each in sightings}
            | {each.tag for each in problems}
            | {each.tag for each in tags.rejected},
            subject=Subject(registry=source.name, repository=policy.source.repository),
        )
    return Scan(
        complete_repositories=() if only_tags else tuple(repositories),
        sightings=sightings,
        rejected=tags.rejected,
        rejected_count=tags.rejected_count,
        attachment_count=tags.attachment_count,
        problems=problems,
        notes=(*notes, *await _allowances(source, wanted)),
        not_looked_up=not_looked_up,
    )


async def _allowances(source: Store, wanted: Sequence[TagName]) -> tuple[str, ...]:
    """Return what the registry still allows; that it does not say so is nobody's problem."""
    if not wanted or not isinstance(source, HasCatalogue):
        return ()
    try:
        return await source.catalogue.allowances(wanted[0].repository, wanted[0].tag)
    except RegistryError:
        return ()


async def _there(source: Store, named: SourceTags) -> SourceTags:
    """Leave out rejected tags that do not exist: a name that was typed must not pass for one."""

    async def is_there(name: TagName) -> bool:
        try:
            return await source.resolve(name.repository, name.tag) is not None
        except FAULTS_OF_ONE_IMAGE:
            return True

    found = await ask_each(is_there, named.rejected, at_once=HEADS_AT_ONCE)
    kept = [name for name, is_there in zip(named.rejected, found, strict=True) if is_there]
    rejected = tell_apart(kept, lambda _: True, keep=None)
    return replace(rejected, wanted=named.wanted)


async def source_repositories(policy: Policy, source: Store) -> Sequence[str]:
    """Return the repositories that the policy's source names or matches, in the registry's order.

    Args:
        policy: The policy.
        source: The store its source connection leads to.

    Returns:
        The repositories; for a pattern those that are there now.

    Raises:
        RegistryError: The registry does not list its repositories.
    """
    if not policy.repository_is_pattern:
        return [policy.source.repository]
    listed = source.list_repositories()
    try:
        return [name async for name in listed if policy.matches_repository(name)]
    except (AuthenticationError, DeniedError, NotFoundError) as error:
        error.advice = (
            f"The policy's source is the pattern {policy.source.repository}, so the account of the "
            f"connection {policy.source.connection} must be allowed to list repositories. Many "
            "registries allow that to administrators alone, and some to nobody: then write a "
            "policy for each repository, without a pattern. A product with an interface of its own "
            "(registry_type dtr, docker_hub, harbor) lists what the account can see."
        )
        raise


def _require_named_tags(only_tags: Collection[str], known: set[str], subject: Subject) -> None:
    """Refuse a run for tags that do not exist: a typing error must not pass for "nothing to do"."""
    missing = sorted(set(only_tags) - known)
    if missing:
        raise NotFoundError(
            f"there is no tag {', '.join(missing)} to promote",
            subject=subject,
            advice="Check the spelling, or run without naming tags to consider all of them.",
        )


def version_of(policy: Policy) -> PolicyVersion:
    """Return the policy as the ledger keeps it: name, hash and whole text."""
    return PolicyVersion(name=policy.name, hash=policy.hash, document=policy.document())


async def scan_and_record(
    policy: Policy,
    source: Store,
    ledger: Ledger,
    run: Run,
    *,
    now: datetime,
    only_tags: Collection[str] = (),
    overrules: Collection[str] = (),
) -> Scan:
    """Look at the source and keep what was seen in the ledger.

    Args:
        policy: The policy, of the version that the run was begun with.
        source: The store its source connection leads to.
        ledger: The ledger.
        run: The run this scan belongs to.
        now: The moment the scan is of.
        only_tags: The tags the run was asked for; empty for all.
        overrules: As in scan.

    Returns:
        What was seen.

    Raises:
        PromotionError: As in scan; or the ledger cannot be written.
    """
    # A policy that ignores what is already there has to see all of it once, also when its first
    # run asks for a few tags only; else the rest would pass for new at the next run.
    ignores_existing = run.first_of_version and policy.existing_images is ExistingImages.IGNORE
    seen = await scan(
        policy,
        source,
        now=now,
        only_tags=() if ignores_existing else only_tags,
        overrules=overrules,
        overruled=ledger.overridden_tags(policy.name),
        keep_rejected=REJECTED_KEPT,
    )
    observations = ledger.observe(
        run,
        seen.sightings,
        complete_repositories=seen.complete_repositories,
        tags_seen=seen.tags_seen,
        tags_rejected_by_name=seen.rejected_count,
        at=now,
    )
    if ignores_existing:
        ignored = [each for each in observations if each.tag not in only_tags]
        ledger.decide(run, [_ignored_as_existing(each) for each in ignored], at=now)
    return seen


def _ignored_as_existing(observation: Observation) -> NewDecision:
    return NewDecision(observation.id, Outcome.REJECT, (EXISTING_IMAGE_IGNORED,))
