from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest

from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict
from image_promotion.policy.facts import ImageFacts
from tests.support.policies import NOW, facts

T, F, U = Verdict.HELD, Verdict.NOT_HELD, Verdict.UNKNOWN


@dataclass(frozen=True)
class Fixed:
    """A criterion with one answer."""

    verdict: Verdict
    need: Need = Need.TAG

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({self.need})

    def describe(self) -> str:
        return f"a {self.verdict} one"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:
        del facts, now
        return Finding(self.describe(), self.verdict, "e", f"found {self.verdict}", "fixed")


@pytest.mark.parametrize(
    ("parts", "both", "either"),
    [
        ((T, T), T, T),
        ((T, F), F, T),
        ((T, U), U, T),
        ((F, T), F, T),
        ((F, F), F, F),
        ((F, U), F, U),
        ((U, T), U, T),
        ((U, F), F, U),
        ((U, U), U, U),
        ((T,), T, T),
        ((F,), F, F),
        ((U,), U, U),
    ],
)
def test_all_and_any_follow_the_logic_of_three_values(
    parts: tuple[Verdict, ...], both: Verdict, either: Verdict
) -> None:
    criteria = tuple(Fixed(each) for each in parts)

    assert AllOf(criteria).judge(facts(), NOW).verdict is both
    assert AnyOf(criteria).judge(facts(), NOW).verdict is either


@pytest.mark.parametrize(("part", "opposite"), [(T, F), (F, T), (U, U)])
def test_not_turns_what_is_known_round(part: Verdict, opposite: Verdict) -> None:
    assert Not(Fixed(part)).judge(facts(), NOW).verdict is opposite


def test_every_part_is_explained_even_after_one_that_decides() -> None:
    finding = AllOf((Fixed(F), Fixed(U), Fixed(T))).judge(facts(), NOW)

    assert [part.verdict for part in finding.parts] == [F, U, T]
    assert finding.found == "1 hold, 1 do not hold, 1 unknown: found not_held"
    assert finding.source == "fixed"
    assert (
        AnyOf((Fixed(F), Fixed(F)))
        .judge(facts(), NOW)
        .found.endswith("found not_held; found not_held")
    )
    assert Not(Fixed(T)).judge(facts(), NOW).parts[0].verdict is T


def test_what_is_needed_is_what_any_part_needs() -> None:
    parts = (Fixed(T, Need.TAG), Not(Fixed(T, Need.COMPONENTS)))

    assert AllOf(parts).needs == AnyOf(parts).needs == {Need.TAG, Need.COMPONENTS}


def test_nested_triggers_are_described_with_their_parts() -> None:
    assert AllOf((Fixed(T), Fixed(F))).describe() == "all of: a held one; a not_held one"
    assert AnyOf((Fixed(T),)).describe() == "any of: a held one"
    assert Not(Fixed(T)).describe() == "not: a held one"


def test_nothing_is_never_everything() -> None:
    for kind in (AllOf, AnyOf):
        with pytest.raises(ValueError, match="at least one"):
            kind(())
