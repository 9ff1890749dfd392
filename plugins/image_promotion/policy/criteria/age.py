"""Triggers on time: when the image was last updated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from image_promotion.policy.criteria.text import unknown
from image_promotion.policy.criteria.verdict import Finding, Need, verdict_of
from image_promotion.policy.facts import ImageFacts


@dataclass(frozen=True, slots=True)
class Updated:
    """Asks when the image was last updated: by its age, or by a date.

    Exactly one of the arguments is given.

    Args:
        older_than: Its age is at least this.
        newer_than: Its age is less than this.
        before: It was updated before this moment.
        after: It was updated at this moment or after it.

    Source: Docker Trusted Registry API, rules on `updated_at` (bf, af) and `updated_at_duration`.
    """

    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    before: datetime | None = None
    after: datetime | None = None

    def __post_init__(self) -> None:
        given = (self.older_than, self.newer_than, self.before, self.after)
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs exactly one of older_than, newer_than, before, after")
        moment = self.before or self.after
        if moment is not None and moment.tzinfo is None:
            raise ValueError("a moment needs a time zone")

    @property
    def needs(self) -> frozenset[Need]:
        """The time of the last update."""
        return frozenset({Need.UPDATED})

    def describe(self) -> str:
        """Say what it asks for."""
        if self.older_than is not None:
            return f"updated at least {in_words(self.older_than)} ago"
        if self.newer_than is not None:
            return f"updated less than {in_words(self.newer_than)} ago"
        if self.before is not None:
            return f"updated before {_stamp(self.before)}"
        return f"updated at or after {_stamp(self.after or datetime.now(UTC))}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        """Compare the time of the last update."""
        if facts.updated is None:
            return unknown(self.describe(), self.describe(), "no time of the last update")
        at = facts.updated.at
        turns_at = None
        if self.older_than is not None:
            turns_at = _later(at, self.older_than)
            holds = now - at >= self.older_than
        elif self.newer_than is not None:
            turns_at = _later(at, self.newer_than)
            holds = now - at < self.newer_than
        elif self.before is not None:
            holds = at < self.before
        else:
            holds = self.after is not None and at >= self.after
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=self.describe(),
            found=f"updated {_stamp(at)}",
            source=facts.updated.source,
            changes_at=turns_at if turns_at and turns_at > now else None,
        )


def _later(at: datetime, duration: timedelta) -> datetime | None:
    """Return a moment so much later; None where the calendar ends, which an image may claim."""
    try:
        return at + duration
    except OverflowError:
        return None


def in_words(duration: timedelta) -> str:
    """Return a duration in the largest unit that gives a whole number, such as ``36 hours``."""
    seconds = int(duration.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}" + ("" if number == 1 else "s")
    return f"{seconds} seconds"


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
