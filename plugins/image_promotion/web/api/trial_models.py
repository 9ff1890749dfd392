"""What the API answers about decisions that are tried, and what the form picks from."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.yaml_document import MAX_FILE_BYTES
from image_promotion.web.api.models import Answer, Reason


class Moved(Answer):
    """What copies would move."""

    bytes_copied: int = Field(description="What would be sent.")
    bytes_mounted: int = Field(description="What the target's registry would share.")
    bytes_skipped: int = Field(description="What the target has.")
    blobs_copied: int
    blobs_mounted: int
    blobs_skipped: int
    referrers: int = Field(description="How many attachments go along.")


class TriedTarget(Answer):
    """A target tag that an image gets, or would get if it were promoted now."""

    connection: str
    repository: str
    tag: str | None = Field(None, description="Null where the template gives no legal tag.")
    outcome: Outcome | None = Field(None, description="What is decided for this tag.")
    digest: str | None = Field(None, description="What it gets; null unless it is promoted.")
    held_digest: str | None = Field(None, description="What it points at now; null if at nothing.")
    is_asked: bool = Field(description="Whether the target said what the tag points at.")
    promoted: State | None = Field(None, description="How a promotion of the image to it stands.")
    promoted_at: datetime | None = None
    moved: Moved | None = Field(None, description="What the copy would move, where it is known.")
    problem: str = Field("", description="What is not known, and why.")

    @property
    def standing(self) -> str:
        """Say in a word what becomes of the tag: free, same, other or unknown."""
        if not self.is_asked:
            return "unknown"
        if self.held_digest is None:
            return "free"
        return "same" if self.held_digest == self.digest else "other"


class TriedDocument(Answer):
    """A document that was looked at."""

    source: str
    location: str
    platform: str = Field(description="Empty where it is about the image as a whole.")
    made_at: datetime | None
    signed_by: tuple[str, ...]
    used_for: tuple[str, ...]
    why_unused: str


class TriedEvidence(Answer):
    """The evidence a decision goes by."""

    gathered_at: datetime
    was_kept: bool = Field(description="Whether an earlier run gathered it.")
    documents: tuple[TriedDocument, ...]
    notes: tuple[str, ...] = Field(description="What the sources said besides.")


class DonePromotion(Answer):
    """What came of the tag before."""

    digest: str
    registry: str
    repository: str
    tag: str
    state: State
    ended_at: datetime | None
    error: str


class Trial(Answer):
    """What a policy decides about one tag now, and why; nothing was written."""

    policy: str
    at: datetime
    repository: str
    tag: str
    digest: str | None = Field(description="What the tag points at; null if it cannot be read.")
    outcome: Outcome | None = Field(description="Null for a tag that cannot be read.")
    problem: str = Field(description="Why it cannot be read; empty otherwise.")
    wait_until: datetime | None = Field(description="When it may be decided differently.")
    a_run: str = Field(description="What a run does instead; empty when it decides so.")
    would_ask: tuple[str, ...] = Field(
        description="The sources of evidence that only a run asks, such as scanners."
    )
    reasons: tuple[Reason, ...]
    targets: tuple[TriedTarget, ...]
    evidence: TriedEvidence | None
    why_no_evidence: str
    promotions: tuple[DonePromotion, ...]
    notes: tuple[str, ...] = Field(description="What else a run does, or waits for.")


class OutlookImage(Answer):
    """What would become of one tag, at one of its targets."""

    repository: str
    tag: str
    digest: str | None
    outcome: Outcome | None
    target: str = Field(description="Empty where it gets no target tag.")
    held_digest: str | None = Field(description="What the target tag points at now.")
    moves_tag: bool = Field(description="Whether that is another image.")
    why: str
    wait_until: datetime | None
    reasons: tuple[Reason, ...]


class OutlookGroup(Answer):
    """Some tags that fare alike, the first of them."""

    heading: str
    count: int
    images: tuple[OutlookImage, ...]


class Outlook(Answer):
    """What a run of a policy would do now; nothing was written."""

    policy: str
    at: datetime
    tags: int = Field(description="How many tags the source has.")
    not_looked_at: int = Field(description="How many of them were too many to look at.")
    promote: int = Field(description="How many tags would be promoted.")
    target_tags: int = Field(description="How many target tags they would get.")
    moved_tags: int = Field(description="How many of these are another image's now.")
    over_cap: int = Field(description="How many target tags a later run would set.")
    wait: int
    reject: int
    conflict: int
    unreadable: int
    arrived: int = Field(description="How many were promoted before.")
    moved: Moved | None = Field(description="Null where asking for sizes would take too long.")
    groups: tuple[OutlookGroup, ...]
    notes: tuple[str, ...]


class PolicyText(Answer):
    """A policy that need not be saved."""

    yaml: str = Field(max_length=MAX_FILE_BYTES)


class Fault(Answer):
    """What is wrong with a policy."""

    line: int | None
    key: str
    reason: str
    allowed: str


class OutlookOfText(Answer):
    """What a policy would do that need not be saved, or what is wrong with it."""

    faults: tuple[Fault, ...]
    outlook: Outlook | None = Field(description="Null where there are faults.")


class Names(Answer):
    """Names to pick from."""

    names: tuple[str, ...]
    is_complete: bool = Field(description="Whether these are all that begin so.")
    problem: str = Field("", description="Why there are none, in words.")


class Connections(Answer):
    """Connections to pick from."""

    connections: tuple[str, ...]
