from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.criteria.age import Updated
from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.text import TagName, TextOperator
from image_promotion.policy.criteria.verdict import Criterion, Verdict, foresee
from tests.support.policies import NOW, facts

HOUR = timedelta(hours=1)
STABLE = TagName(TextOperator.ENDS_WITH, ("-stable",))
OTHER = TagName(TextOperator.ENDS_WITH, ("-other",))


def foreseen(criterion: Criterion, updated: datetime | None = NOW) -> datetime | None:
    return foresee(criterion, facts("1-stable", updated=updated), NOW)


def test_an_image_that_is_too_young_will_be_old_enough() -> None:
    assert foreseen(Updated(older_than=HOUR)) == NOW + HOUR
    assert foreseen(AllOf((STABLE, Updated(older_than=HOUR)))) == NOW + HOUR
    assert foreseen(Not(Updated(newer_than=HOUR))) == NOW + HOUR


def test_time_does_not_help_what_fails_for_another_reason() -> None:
    assert foreseen(AllOf((OTHER, Updated(older_than=HOUR)))) is None
    assert foreseen(Updated(newer_than=HOUR), NOW - 2 * HOUR) is None
    assert foreseen(Updated(before=NOW - HOUR)) is None


def test_what_holds_or_is_unknown_needs_no_waiting_for_time() -> None:
    assert foreseen(Updated(older_than=HOUR), NOW - HOUR) is None
    assert foreseen(Updated(older_than=HOUR), None) is None
    assert foreseen(STABLE) is None


def test_the_first_moment_that_is_enough_is_found() -> None:
    two, five = Updated(older_than=2 * HOUR), Updated(older_than=5 * HOUR)

    assert foreseen(AllOf((two, five))) == NOW + 5 * HOUR
    assert foreseen(AnyOf((two, five))) == NOW + 2 * HOUR
    assert foreseen(AnyOf((OTHER, AllOf((two, Not(OTHER)))))) == NOW + 2 * HOUR


def test_a_moment_at_which_the_answer_is_no_longer_no_counts_though_it_be_unknown() -> None:
    needs_evidence = ComponentName(TextOperator.EQUALS, ("a",))

    assert foreseen(AllOf((needs_evidence, Updated(older_than=HOUR)))) == NOW + HOUR


_ages = st.builds(
    lambda hours, older: (
        Updated(older_than=hours * HOUR) if older else Updated(newer_than=hours * HOUR)
    ),
    st.integers(1, 6),
    st.booleans(),
)
_criteria: st.SearchStrategy[Criterion] = st.recursive(
    _ages | st.sampled_from([STABLE, OTHER]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(tuple(parts)))
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts)))
        | inner.map(Not)
    ),
    max_leaves=6,
)


@given(_criteria, st.integers(-3, 8))
def test_what_is_foreseen_is_what_looking_at_every_hour_finds(
    criterion: Criterion, age_hours: int
) -> None:
    image = facts("1-stable", updated=NOW - age_hours * HOUR)
    hours = [NOW + n * HOUR for n in range(1, 12)]
    fails_now = criterion.judge(image, NOW).verdict is Verdict.NOT_HELD
    by_looking = next(
        (at for at in hours if criterion.judge(image, at).verdict is not Verdict.NOT_HELD), None
    )

    assert foresee(criterion, image, NOW) == (by_looking if fails_now else None)
