"""What is decided about one image: the values that evaluation makes and everybody else reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from image_promotion.ledger.records import Outcome, Reason
from image_promotion.policy.criteria.verdict import Finding, Verdict

if TYPE_CHECKING:
    from image_promotion.policy.places import Destination


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
        target: The tag the image gets, the first of several; None unless the triggers hold.
        target_digest: What that tag gets: the image's digest, or that of a new index of some of its
            platforms; None unless the triggers hold.
        held_digest: What the target tag points at now; None where it is free, or was not asked for.
        is_overridden: Whether a person promotes it although a trigger does not hold.
        destination: Which of the policy's destinations the target tag is of.
        parts: What is decided for each destination, if it came to that. An image goes to those that
            may have it, whatever becomes of the others.
    """

    image: ImageName
    outcome: Outcome
    reasons: tuple[Reason, ...]
    wait_until: datetime | None = None
    target: TargetTag | None = None
    target_digest: str | None = None
    held_digest: str | None = None
    is_overridden: bool = False
    destination: Destination | None = None
    parts: tuple[ImageDecision, ...] = ()

    @property
    def by_target(self) -> tuple[ImageDecision, ...]:
        """What is decided, target tag by target tag; the decision itself if there is none."""
        return self.parts or (self,)

    def with_parts(self, parts: tuple[ImageDecision, ...]) -> ImageDecision:
        """Return the decision about the image that those about its target tags come to.

        Args:
            parts: One for each destination, with the reasons of this decision and perhaps more.

        Returns:
            A conflict if one is in conflict, so that somebody looks; else a promotion if one is.
        """
        outcomes = {each.outcome for each in parts}
        first = next((each for each in parts if each.target), parts[0])
        return replace(
            self,
            outcome=next(each for each in _WORST_FIRST if each in outcomes),
            reasons=(
                *self.reasons,
                *(reason for each in parts for reason in each.reasons[len(self.reasons) :]),
            ),
            target=first.target,
            target_digest=first.target_digest,
            held_digest=first.held_digest,
            destination=first.destination,
            parts=parts,
        )


_WORST_FIRST = (Outcome.CONFLICT, Outcome.PROMOTE, Outcome.WAIT, Outcome.REJECT)


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


def in_one_line(reasons: Sequence[Reason]) -> str:
    """Say in one line what settled a decision.

    Args:
        reasons: All reasons of the decision.

    Returns:
        The reasons that settle it, each by its trigger and what was found.
    """
    return "; ".join(f"{each.trigger}: {each.found}" for each in deciding(reasons))
