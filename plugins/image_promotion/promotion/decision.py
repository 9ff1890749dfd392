"""What is decided about one image: the values that evaluation makes and everybody else reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from image_promotion.ledger.records import Outcome, Reason
from image_promotion.policy.criteria.verdict import Finding, Verdict


@dataclass(frozen=True, slots=True)
class ImageName:
    """A tag of the source and the digest it was seen to point at."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class TargetTag:
    """A tag of the target."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class ImageDecision:
    """What is to become of one image, and why.

    Attributes:
        image: The image.
        outcome: promote, reject, wait or conflict.
        reasons: One for each trigger of the policy, and one more when the target tag decided.
        wait_until: The moment at which a waiting image may be decided differently, if it is known.
        target: The tag the image gets; None unless the triggers hold.
        target_digest: What that tag gets: the image's digest, or that of a new index of some of its
            platforms; None unless the triggers hold.
    """

    image: ImageName
    outcome: Outcome
    reasons: tuple[Reason, ...]
    wait_until: datetime | None = None
    target: TargetTag | None = None
    target_digest: str | None = None


def as_reason(finding: Finding) -> Reason:
    """Return a finding as the ledger keeps it."""
    return Reason(
        trigger=finding.trigger,
        verdict=str(finding.verdict),
        expected=finding.expected,
        found=finding.found,
        source=finding.source,
        parts=tuple(as_reason(part) for part in finding.parts),
        count=finding.count,
        items=finding.items,
    )


def deciding(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Return the reasons that settle a decision.

    Args:
        reasons: All reasons of the decision.

    Returns:
        Those that do not hold; if there are none, those that are not known; else all of them.
    """
    for verdict in (Verdict.NOT_HELD, Verdict.UNKNOWN):
        if found := tuple(each for each in reasons if each.verdict == verdict):
            return found
    return tuple(reasons)
