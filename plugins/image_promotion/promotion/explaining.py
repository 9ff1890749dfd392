"""The explanation: what a policy decides about one tag now, and everything it decides by.

Nothing is written. Evidence is taken from what earlier runs have kept where that would do for a
run, and else gathered.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from image_promotion.errors import (
    InvalidReferenceError,
    NotFoundError,
    PolicyError,
    PromotionError,
    Subject,
)
from image_promotion.evidence.dossier import Dossier, Entry, Note
from image_promotion.evidence.gathering import subjects_of
from image_promotion.evidence.weighing import Use, Weights, uses_of
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.lives import TagLife
from image_promotion.ledger.records import HistoryEntry, Outcome, Reason, State
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.model import ExistingImages, Policy
from image_promotion.promotion.aiming import StoreOf
from image_promotion.promotion.decision import ImageDecision, ImageName, TargetTag
from image_promotion.promotion.evaluation import evaluate_with_evidence
from image_promotion.promotion.evidence import needs_evidence
from image_promotion.promotion.planning import (
    PlannedImage,
    kept_promotions,
    rows_of,
    stays,
)
from image_promotion.promotion.scanning import (
    FAULTS_OF_ONE_IMAGE,
    NO_IMAGE,
    source_repositories,
    version_of,
)
from image_promotion.registry.concurrency import ask_each
from image_promotion.registry.reference import is_tag
from image_promotion.registry.referrer_tags import is_attachment_tag
from image_promotion.registry.store import Store

TAGS_AT_ONCE = 8
NEAR_NAMES = 5

NOT_NEEDED = "no trigger of the policy asks for any"
NOT_LOOKED_AT = "not looked for, since what is known without it decides"


@dataclass(frozen=True, slots=True)
class ExaminedDocument:
    """One document that was looked at.

    Attributes:
        entry: The document.
        platform: The platform it is about; empty when it is about the image as a whole.
        uses: What it is believed about; empty when it is not used.
        why_unused: Why not, as the rest of a sentence about it; empty when it is used.
    """

    entry: Entry
    platform: str
    uses: tuple[Use, ...]
    why_unused: str


@dataclass(frozen=True, slots=True)
class ExaminedNote:
    """What a source said besides its documents.

    Attributes:
        note: The note.
        platform: As in ExaminedDocument.
    """

    note: Note
    platform: str


@dataclass(frozen=True, slots=True)
class ExaminedEvidence:
    """The evidence a decision went by.

    Attributes:
        gathered_at: When.
        was_kept: Whether an earlier run gathered it.
        documents: The documents, in the order of the sources.
        notes: What the sources said besides.
    """

    gathered_at: datetime
    was_kept: bool
    documents: tuple[ExaminedDocument, ...]
    notes: tuple[ExaminedNote, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a policy decides about one tag of its source, and why.

    Attributes:
        policy: The policy's name.
        at: The moment of the decision.
        repository: The source repository.
        tag: The tag.
        digest: What it points at; None when it cannot be read.
        outcome: What is decided; None when it cannot be read.
        reasons: One for each trigger, and one more for what else decided.
        wait_until: When a waiting image may be decided differently, if that is known.
        target: The tag it gets in the target, or would get if it were promoted now, the first of
            several; None when the template gives none.
        target_digest: What that tag gets; None unless the image is promoted.
        problem: Why the tag cannot be read; empty otherwise.
        run: What a run without options does instead of deciding so; empty when it decides so.
        evidence: The evidence that was looked at; None when none was.
        why_no_evidence: Why none was; empty when some was.
        recorded: What the ledger holds as the last decision about this tag, with each promotion
            that came of it; perhaps about another digest. Empty when it holds nothing.
        targets: What is decided for each target tag, where it came to that.
        life: All that the ledger holds about the tag; None when the policy never saw it.
        rows: What a plan says of it, one for each target tag.
    """

    policy: str
    at: datetime
    repository: str
    tag: str
    digest: str | None = None
    outcome: Outcome | None = None
    reasons: tuple[Reason, ...] = ()
    wait_until: datetime | None = None
    target: TargetTag | None = None
    target_digest: str | None = None
    problem: str = ""
    run: str = ""
    evidence: ExaminedEvidence | None = None
    why_no_evidence: str = ""
    recorded: tuple[HistoryEntry, ...] = ()
    targets: tuple[ImageDecision, ...] = ()
    life: TagLife | None = None
    rows: tuple[PlannedImage, ...] = ()


async def explain(
    policy: Policy,
    tag: str,
    *,
    source: Store,
    target_of: StoreOf,
    ledger: Ledger,
    now: datetime,
    afresh: bool = False,
    withheld: Collection[SourceName] = (),
) -> Explanation:
    """Say what a policy decides about one tag now, writing nothing.

    Args:
        policy: The policy.
        tag: The tag; or ``REPOSITORY:TAG``, where the policy's source is a pattern and several of
            its repositories have the tag.
        source: The store of its source connection.
        target_of: Gives the store of a target connection; it is only read.
        ledger: The ledger; it is only read.
        now: The moment to decide as of.
        afresh: Whether evidence is gathered anew even if what is kept would do.
        withheld: The sources of evidence that are not asked; unless those before them know enough,
            the image waits.

    Returns:
        The explanation; of a tag that cannot be read, or is there no more, why.

    Raises:
        InvalidReferenceError: The text is no tag, its repository is none of the policy's, or it is
            in several of them.
        NotFoundError: There is no such tag, and never was for the policy; names those that are
            much like it.
        PromotionError: A registry or the ledger cannot be asked.
    """
    try:
        repository, name, digest = await _look_up(policy, tag, source)
    except NotFoundError as error:
        repository, name, digest = _remembered(policy, tag, ledger, error)
    recorded = ledger.standings(policy.name, of=(repository, name))
    life = ledger.lives.of_tag(policy.name, repository, name)
    if isinstance(digest, PromotionError):
        return Explanation(
            policy.name, now, repository, name, problem=str(digest), recorded=recorded, life=life
        )
    image = ImageName(repository, name, digest)
    if is_attachment_tag(name):
        return Explanation(
            policy.name,
            now,
            *(repository, name, digest),
            outcome=Outcome.REJECT,
            reasons=(NO_IMAGE,),
            why_no_evidence=NOT_LOOKED_AT,
            recorded=recorded,
            life=life,
        )
    standing = tuple(each for each in recorded if each.observation.digest == digest)
    judged = await evaluate_with_evidence(
        policy,
        [image],
        source=source,
        target_of=target_of,
        ledger=ledger,
        earlier={image: kept_promotions(standing, policy)},
        now=now,
        afresh=afresh,
        withheld=withheld,
    )
    (decision,) = judged.decisions
    found = judged.evidence
    return Explanation(
        policy.name,
        now,
        *(repository, name, digest),
        outcome=decision.outcome,
        reasons=decision.reasons,
        wait_until=decision.wait_until,
        target=decision.target or _would_be(policy, image, now),
        target_digest=decision.target_digest,
        run=_what_a_run_does(policy, decision, standing, ledger),
        evidence=None
        if found is None
        else _examined(
            found.dossiers[image], found.weights, was_kept=image not in set(found.gathered)
        ),
        why_no_evidence="" if found else NOT_LOOKED_AT if needs_evidence(policy) else NOT_NEEDED,
        recorded=recorded,
        targets=decision.parts,
        life=life,
        rows=tuple(rows_of(policy, decision, standing)),
    )


async def _look_up(
    policy: Policy, text: str, source: Store
) -> tuple[str, str, str | PromotionError]:
    """Return the repository, the tag and the digest it points at, or why that cannot be read."""
    named, colon, tag = text.rpartition(":")
    if not is_tag(tag):
        raise InvalidReferenceError(
            f"{tag!a} is no tag",
            text=text,
            advice="Write a tag of the policy's source, or REPOSITORY:TAG.",
        )
    if colon and not policy.matches_repository(named):
        raise InvalidReferenceError(
            f"the policy {policy.name} takes no images from {named!a}",
            text=text,
            advice=f"Its source is {policy.source.repository}.",
        )
    repositories = [named] if colon else sorted(await source_repositories(policy, source))

    async def ask(repository: str) -> str | PromotionError | None:
        try:
            descriptor = await source.resolve(repository, tag)
        except NotFoundError:
            return None
        except FAULTS_OF_ONE_IMAGE as fault:
            return fault
        return None if descriptor is None else str(descriptor.digest)

    answers = await ask_each(ask, repositories, at_once=TAGS_AT_ONCE)
    there = [
        (repository, tag, answer)
        for repository, answer in zip(repositories, answers, strict=True)
        if answer is not None
    ]
    if not there:
        raise await _unknown_tag(policy, tag, repositories, source)
    if len(there) > 1:
        found = ", ".join(f"{repository}:{tag}" for repository, _, _ in there[:NEAR_NAMES])
        raise InvalidReferenceError(
            f"{len(there)} repositories of the policy {policy.name} have a tag {tag}",
            text=text,
            advice=f"Name one of them: {found}{' ...' if len(there) > NEAR_NAMES else ''}",
        )
    return there[0]


def _remembered(
    policy: Policy, text: str, ledger: Ledger, error: NotFoundError
) -> tuple[str, str, NotFoundError]:
    """Return the repository and the name of a tag that is there no more, if it ever was."""
    named, _, tag = text.rpartition(":")
    repositories = [
        each for each in ledger.lives.repositories(policy.name, tag) if named in ("", each)
    ]
    if len(repositories) != 1:
        raise error
    return repositories[0], tag, error


async def _unknown_tag(
    policy: Policy, tag: str, repositories: Sequence[str], source: Store
) -> NotFoundError:
    """Return the error for a tag that is not there, with the names that are much like it."""
    if len(repositories) != 1:
        return NotFoundError(
            f"none of the {len(repositories)} repositories that the policy {policy.name} takes "
            f"images from has a tag {tag}",
            subject=Subject(registry=source.name, repository=policy.source.repository),
            advice="Check the spelling, or write REPOSITORY:TAG.",
        )
    (repository,) = repositories
    tags = [each async for each in source.list_tags(repository)]
    near = difflib.get_close_matches(tag, tags, n=NEAR_NAMES)
    return NotFoundError(
        f"there is no tag {tag}",
        subject=Subject(registry=source.name, repository=source.full_repository(repository)),
        advice=f"There is {', '.join(near)}." if near else f"None of its {len(tags)} is like it.",
    )


def _would_be(policy: Policy, image: ImageName, now: datetime) -> TargetTag | None:
    """Return the target tag of an image that does not get it."""
    try:
        tag = policy.render_tag(image.tag, now)
    except PolicyError:
        # A template may need what the name of a rejected tag does not have.
        return None
    return TargetTag(policy.target_repository_for(image.repository), tag)


def _what_a_run_does(
    policy: Policy, decision: ImageDecision, standing: Sequence[HistoryEntry], ledger: Ledger
) -> str:
    """Say what a run does with the image instead of deciding about it; empty when it decides."""
    if stays(standing, policy, decide_again=False):
        done = standing[0].promotion
        if done and done.state is State.VERIFIED:
            return "leaves it as it is, since it has been promoted"
        if decision.outcome is Outcome.REJECT:
            return ""
        return "leaves it rejected, as it is recorded; asked to decide again, it decides anew"
    ignores = policy.existing_images is ExistingImages.IGNORE
    if not standing and ignores and not ledger.was_evaluated(version_of(policy)):
        return "ignores it as long as its tag is not named, since existing_images is ignore"
    return ""


def _examined(dossier: Dossier, weights: Weights, *, was_kept: bool) -> ExaminedEvidence:
    platforms = {each.digest: each.platform for each in dossier.platforms}
    return ExaminedEvidence(
        gathered_at=dossier.gathered_at,
        was_kept=was_kept,
        documents=tuple(
            _document(dossier, entry, platforms.get(entry.subject, ""), weights)
            for entry in dossier.entries
        ),
        notes=tuple(ExaminedNote(note, platforms.get(note.subject, "")) for note in dossier.notes),
    )


def _document(dossier: Dossier, entry: Entry, platform: str, weights: Weights) -> ExaminedDocument:
    uses = tuple(
        dict.fromkeys(
            use
            for subjects in subjects_of(dossier).values()
            for use in uses_of(dossier, entry, subjects, weights)
        )
    )
    why = "" if uses else weights.problem_of(entry) or _why_unused(entry)
    return ExaminedDocument(entry, platform, uses, why)


def _why_unused(entry: Entry) -> str:
    if entry.signs_image:
        return "signs the image of one platform, and not the index that the tag points at"
    report = entry.report
    if report is None or (report.components, report.vulnerabilities, report.counts) == (None,) * 3:
        return "says nothing that triggers look at"
    return (
        "is not used, since another report is believed: a newer one of the same tool, or one of a "
        "source that comes first"
    )
