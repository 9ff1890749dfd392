"""What the ledger keeps, as values.

Every datetime is aware and in UTC. Digests, tags and repositories are text as the registry gave
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What a policy says about a candidate."""

    PROMOTE = "promote"
    REJECT = "reject"
    WAIT = "wait"
    CONFLICT = "conflict"


class State(StrEnum):
    """Where a promotion stands; ``lifecycle`` says which way it may go from there."""

    PLANNED = "planned"
    COPIED = "copied"
    TAGGED = "tagged"
    VERIFIED = "verified"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Verdict(StrEnum):
    """What a person says about a promotion."""

    APPROVED = "approved"
    REJECTED = "rejected"


class Kind(StrEnum):
    """What a promotion is for."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it was written at some time.

    Args:
        name: The policy's name.
        hash: What tells this version from others, such as ``sha256:..``.
        document: The policy itself, as JSON; never holds a secret. What does not decide may change
            in it while the hash stays.
    """

    name: str
    hash: str
    document: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one version of a policy.

    Args:
        id: Its number in the ledger; later runs have higher ones.
        policy: The policy's name.
        policy_hash: The version the run began with, and keeps although the file may change.
        document: That version, as canonical JSON.
        key: What names the run outside the ledger, such as an Airflow DAG run; unique.
        kind: How it came about, such as ``scheduled`` or ``manual``.
        started_at: When it began.
        first_of_version: Whether no earlier run of this version had been evaluated by then.
        scanned_at: When its scan was recorded first.
        evaluated_at: When its evaluation was finished first.
        tags_seen: How many tags the scan listed.
        tags_rejected_by_name: How many of them were thrown away by their names alone.
        started_by: Who started it by hand; None where nobody did, or nobody knows.
    """

    id: int
    policy: str
    policy_hash: str
    document: str
    key: str
    kind: str
    started_at: datetime
    first_of_version: bool
    scanned_at: datetime | None
    evaluated_at: datetime | None
    tags_seen: int
    tags_rejected_by_name: int
    started_by: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A tag of a source repository, and the digest it pointed at when a scan looked."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A stay of a tag at a digest, as one policy saw it.

    A policy that chooses other platforms of the same digest than before begins a new stay.

    Some were never seen by a scan: what a target tag is set back to, where the policy did not put
    it there. Such a one is never current, and its ordinal is 0 or less.

    Args:
        id: Its number in the ledger.
        policy: The policy that saw it.
        repository: The source repository.
        tag: The source tag.
        digest: The digest it pointed at.
        ordinal: Counts the stays of this tag from 1: a tag that moves from A to B and back to A has
            three.
        first_seen_at: When a scan saw this stay first.
        last_seen_at: When a scan saw it last.
    """

    id: int
    policy: str
    repository: str
    tag: str
    digest: str
    ordinal: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a trigger held, did not hold, or is not known to hold.

    Args:
        trigger: The trigger in words.
        verdict: ``held``, ``not_held`` or ``unknown``.
        expected: What it asks for.
        found: What was found.
        source: Which report says so; empty for what needs none.
        parts: The reasons of the triggers nested in it.
        count: The figure that decided, where there is one: of matching or of offending items.
        items: The first ten of them.
    """

    trigger: str
    verdict: str
    expected: str
    found: str
    source: str
    parts: tuple[Reason, ...] = ()
    count: int | None = None
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to be recorded.

    Args:
        observation_id: What it is about.
        outcome: What was decided.
        reasons: One reason per trigger.
        wait_until: When the answer changes by itself, if that is known.
        target_tag: The rendered target tag, if it came to that.
        overridden_by: Who promotes it although a trigger does not hold; None where nobody does.
        override_reason: What they wrote.
    """

    observation_id: int
    outcome: Outcome
    reasons: tuple[Reason, ...]
    wait_until: datetime | None = None
    target_tag: str | None = None
    overridden_by: str | None = None
    override_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded decision.

    Args:
        id: Its number in the ledger.
        observation_id: What it is about.
        outcome: What was decided.
        reasons: One reason per trigger.
        wait_until: When the answer changes by itself, if that is known.
        target_tag: The rendered target tag, if it came to that.
        policy_hash: The version of the policy that decided.
        decided_at: When this was decided first.
        asked_at: When it was asked last and the answer was still this one.
        times_asked: In how many runs it was asked.
        promotion_ids: The promotions that were planned for it, one for each target and tag.
        overridden_by: As in NewDecision.
        override_reason: As in NewDecision.
    """

    id: int
    observation_id: int
    outcome: Outcome
    reasons: tuple[Reason, ...]
    wait_until: datetime | None
    target_tag: str | None
    policy_hash: str
    decided_at: datetime
    asked_at: datetime
    times_asked: int
    promotion_ids: tuple[int, ...] = ()
    overridden_by: str | None = None
    override_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An observation to be decided, and what was decided about it last."""

    observation: Observation
    last: Decision | None


@dataclass(frozen=True, slots=True)
class NewPromotion:
    """A promotion to be planned.

    Args:
        observation_id: Which tag at which digest.
        decision_id: The decision to promote it.
        source_connection: The Airflow connection it is read by.
        source_registry: The registry it is read from, as messages name it.
        target_connection: The Airflow connection it is written by.
        target_registry: The registry it is written to, as messages name it.
        target_repository: The repository it is written to.
        target_tag: The tag it gets.
        target_key: What makes two targets the same target for this observation; it does not change
            with the clock as a rendered tag may.
        existing_tag: What the policy says about a target tag that holds another digest.
        target_digest: What the target tag gets: the digest of the observation, or that of a new
            index of some of its platforms.
        kind: What it is for.
        former_digest: What the target tag must hold just before a rollback sets it; None for a
            free tag. For other promotions it is found out when the tag is set.
    """

    observation_id: int
    decision_id: int
    source_connection: str
    source_registry: str
    target_connection: str
    target_registry: str
    target_repository: str
    target_tag: str
    target_key: str
    existing_tag: str
    target_digest: str
    kind: Kind = Kind.PROMOTION
    former_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Aim:
    """What an observation is about to be promoted to; the fields are as in NewPromotion."""

    observation_id: int
    target_key: str
    target_digest: str


@dataclass(frozen=True, slots=True)
class TransferFigures:
    """What a copy moved.

    Args:
        bytes_copied: Bytes that went over the network.
        bytes_skipped: Bytes that the target had already.
        bytes_mounted: Bytes that the target took from another of its repositories.
        seconds: How long it took, in seconds.
    """

    bytes_copied: int
    bytes_skipped: int
    bytes_mounted: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Promotion:
    """One candidate's passage to its target.

    Args:
        id: Its number in the ledger.
        observation_id: As in NewPromotion.
        decision_id: As in NewPromotion.
        source_connection: As in NewPromotion.
        source_registry: As in NewPromotion.
        target_connection: As in NewPromotion.
        target_registry: As in NewPromotion.
        target_repository: As in NewPromotion.
        target_tag: As in NewPromotion; rendered once and kept for every retry.
        target_key: As in NewPromotion.
        existing_tag: As in NewPromotion.
        policy: The policy that decided.
        policy_hash: Its version.
        source_repository: Where the image comes from.
        source_tag: The tag it had there.
        digest: What the tag pointed at there.
        target_digest: What is copied, tagged and verified, as in NewPromotion.
        state: Where it stands.
        failed_in: The state it failed in; None unless it failed.
        error: What failed; empty unless it failed.
        planned_at: When it was planned last.
        copied_at: When its content was in the target.
        tagged_at: When the target tag was set.
        verified_at: When it was verified.
        ended_at: When it became verified, failed or superseded.
        bytes_copied: As in TransferFigures; None before the copy.
        bytes_skipped: As in TransferFigures; None before the copy.
        bytes_mounted: As in TransferFigures; None before the copy.
        seconds: As in TransferFigures; None before the copy.
        run_key: The key of the run that planned it last.
        kind: What it is for.
        former_digest: What the target tag held before it was set; None where it was free, or held
            the same.
    """

    id: int
    observation_id: int
    decision_id: int
    source_connection: str
    source_registry: str
    target_connection: str
    target_registry: str
    target_repository: str
    target_tag: str
    target_key: str
    existing_tag: str
    policy: str
    policy_hash: str
    source_repository: str
    source_tag: str
    digest: str
    target_digest: str
    state: State
    failed_in: State | None
    error: str
    planned_at: datetime
    copied_at: datetime | None
    tagged_at: datetime | None
    verified_at: datetime | None
    ended_at: datetime | None
    bytes_copied: int | None
    bytes_skipped: int | None
    bytes_mounted: int | None
    seconds: float | None
    run_key: str
    kind: Kind = Kind.PROMOTION
    former_digest: str | None = None

    @property
    def is_selection(self) -> bool:
        """Whether the target gets an index of its own, of some of the image's platforms."""
        return self.target_digest != self.digest

    @property
    def digests(self) -> str:
        """The digest; both of them where they differ."""
        return f"{self.digest} as {self.target_digest}" if self.is_selection else self.digest


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a promotion is to take; see ``Ledger.advance``."""

    promotion_id: int
    to: State
    at: datetime
    run_key: str
    detail: str = ""
    transfer: TransferFigures | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A step in a promotion's life.

    Args:
        promotion_id: Whose step.
        from_state: Where it stood; None for the first.
        to_state: Where it went.
        at: When.
        run_key: The run that did it.
        detail: Why, or what failed; may be empty.
    """

    promotion_id: int
    from_state: State | None
    to_state: State
    at: datetime
    run_key: str
    detail: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A decision, what it was about, and a promotion that came of it.

    A decision of which several promotions came has an entry for each.
    """

    observation: Observation
    decision: Decision
    promotion: Promotion | None
