"""DTR's six operators on text, and the trigger on the tag's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from heapq import nsmallest

from image_promotion.policy.criteria.verdict import Finding, Need, Verdict, verdict_of
from image_promotion.policy.facts import ImageFacts

SHOWN = 10


class TextOperator(StrEnum):
    """DTR's operators on text.

    Source: Docker Trusted Registry, promotion policy rules: eq, sw, ew, c, oo, noo.
    """

    EQUALS = "equals"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    IS_ONE_OF = "is_one_of"
    IS_NOT_ONE_OF = "is_not_one_of"

    @property
    def words(self) -> str:
        """The operator as people read it."""
        return self.value.replace("_", " ")


_COMPARISONS: dict[TextOperator, Callable[[str, str], bool]] = {
    TextOperator.EQUALS: lambda text, value: text == value,
    TextOperator.STARTS_WITH: lambda text, value: text.startswith(value),
    TextOperator.ENDS_WITH: lambda text, value: text.endswith(value),
    TextOperator.CONTAINS: lambda text, value: value in text,
    TextOperator.IS_ONE_OF: lambda text, value: text == value,
    TextOperator.IS_NOT_ONE_OF: lambda text, value: text == value,
}


def quoted(values: tuple[str, ...], joint: str = " or ") -> str:
    """Return values in quotation marks, the first ten and how many more."""
    shown = joint.join(f'"{value}"' for value in values[:SHOWN])
    return f"{shown} and {len(values) - SHOWN} more" if len(values) > SHOWN else shown


def first(words: Iterable[str]) -> tuple[str, ...]:
    """Return the first ten of some words in their order, of which there may be very many."""
    return tuple(nsmallest(SHOWN, words))


def listed(shown: Sequence[str], of: int | None = None) -> str:
    """Return words with commas between.

    Args:
        shown: The words to show, ten at most.
        of: How many there are; None when these are all.
    """
    more = 0 if of is None else of - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def require_values(values: tuple[str, ...]) -> None:
    """Refuse a trigger that compares with nothing.

    Raises:
        ValueError: There is no value, or an empty one.
    """
    if not values:
        raise ValueError("needs at least one value")
    if "" in values:
        raise ValueError("an empty text is no value: every name contains it")


@dataclass(frozen=True, slots=True)
class TagName:
    """Asks for a tag of a certain name; upper and lower case differ.

    Args:
        operator: How it is compared.
        values: With what; any of several is enough.
    """

    operator: TextOperator
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        require_values(self.values)

    @property
    def needs(self) -> frozenset[Need]:
        """The tag."""
        return frozenset({Need.TAG})

    def describe(self) -> str:
        """Say what it asks for."""
        return f"tag {self.operator.words} {quoted(self.values)}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Compare the tag."""
        matches = _COMPARISONS[self.operator]
        meets = any(matches(facts.tag, value) for value in self.values)
        holds = meets is not (self.operator is TextOperator.IS_NOT_ONE_OF)
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=f"{self.operator.words} {quoted(self.values)}",
            found=f'"{facts.tag}"',
            source="tag name",
        )


def unknown(trigger: str, expected: str, found: str) -> Finding:
    """Return the finding of a trigger whose facts are not there yet."""
    return Finding(
        trigger=trigger, verdict=Verdict.UNKNOWN, expected=expected, found=found, source=""
    )
