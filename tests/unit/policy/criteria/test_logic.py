from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.licenses import License
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.signatures import SignedBy
from image_promotion.policy.criteria.text import TagName, TextOperator
from image_promotion.policy.criteria.verdict import Criterion, Finding, Need, Verdict
from image_promotion.policy.criteria.vulnerabilities import ALL, Condition, Vulnerabilities
from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Signature,
    Vulnerability,
    VulnerabilityCounts,
)
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
    assert finding.found == "1 holds, 1 does not hold, 1 is not known: found not_held"
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


_on_evidence: st.SearchStrategy[Criterion] = st.sampled_from(
    [
        ComponentName(TextOperator.EQUALS, ("a",)),
        ComponentName(TextOperator.IS_NOT_ONE_OF, ("a",)),
        License(TextOperator.IS_ONE_OF, ("MIT",)),
        License(TextOperator.IS_NOT_ONE_OF, ("MIT",), allows_unlicensed=False),
        Vulnerabilities((Condition(ALL, Comparison.EQUAL, 0),)),
        Vulnerabilities((Condition("HIGH", Comparison.AT_LEAST, 1),), only_fixable=True),
        SignedBy(("release",)),
    ]
)
_on_tags: st.SearchStrategy[Criterion] = st.sampled_from(
    [TagName(TextOperator.EQUALS, (each,)) for each in ("1", "2")]
)


def _trees(leaves: st.SearchStrategy[Criterion]) -> st.SearchStrategy[Criterion]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(tuple(parts)))
            | st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts)))
            | inner.map(Not)
        ),
        max_leaves=6,
    )


@given(_trees(_on_evidence))
def test_whatever_asks_for_evidence_alone_is_unknown_without_any(criterion: Criterion) -> None:
    assert criterion.judge(facts("1"), NOW).verdict is U


_images = st.builds(
    facts,
    st.just("1"),
    components=st.sampled_from(
        [(), (Component("a", licenses=("MIT",)),), (Component("b", licenses=("MIT OR ISC",)),)]
    ),
    vulnerabilities=st.sampled_from(
        [
            (),
            (Vulnerability("CVE-1", "a", "1", "HIGH"),),
            (Vulnerability("CVE-1", "a", "1", "HIGH", fixed_in=("2",)),),
        ]
    ),
    signatures=st.sampled_from([(), (Signature("release"),), (Signature("ci"),)]),
)


@given(_trees(_on_evidence | _on_tags), _images, st.sets(st.sampled_from(list(Need))))
def test_what_is_decided_while_evidence_is_missing_is_decided_so_whatever_it_turns_out_to_be(
    criterion: Criterion, image: ImageFacts, missing: set[Need]
) -> None:
    """So missing evidence never promotes: what it could decide otherwise is unknown without it."""
    partial = ImageFacts(
        tag=image.tag,
        components=None if Need.COMPONENTS in missing else image.components,
        vulnerabilities=None if Need.VULNERABILITIES in missing else image.vulnerabilities,
        signatures=None if Need.SIGNATURES in missing else image.signatures,
    )

    early = criterion.judge(partial, NOW).verdict
    assert early in {U, criterion.judge(image, NOW).verdict}
    # A signature that is not there may come at any moment, so it counts as missing.
    is_signed = image.signatures is not None and Signature("release") in image.signatures.items
    if not criterion.needs & (missing if is_signed else missing | {Need.SIGNATURES}):
        assert early is not U


@given(_trees(_on_evidence | _on_tags), _images)
def test_what_numbers_alone_decide_the_list_decides_alike(
    criterion: Criterion, image: ImageFacts
) -> None:
    assert image.vulnerabilities is not None
    number = len(image.vulnerabilities.items)
    numbers_alone = ImageFacts(
        tag=image.tag,
        components=image.components,
        signatures=image.signatures,
        vulnerability_counts=VulnerabilityCounts(number, 0, 0, number, "a summary"),
    )

    early = criterion.judge(numbers_alone, NOW).verdict
    assert early in {U, criterion.judge(image, NOW).verdict}
