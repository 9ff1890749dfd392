"""Which policies follow one another."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.policy.chaining import Place, may_share, outlets_of
from image_promotion.policy.model import Policy
from image_promotion.policy.repositories import name_in

SEGMENTS = st.text("ab*", min_size=1, max_size=4).filter(lambda text: text.count("*") < 2)
PATTERNS = (
    st.lists(SEGMENTS, min_size=1, max_size=3)
    .map("/".join)
    .filter(lambda text: text.count("*") < 2)
)


def policy(name: str, source: str, target: str, **more: object) -> Policy:
    """Give a policy from one repository to another, each as ``CONNECTION:REPOSITORY``."""
    return Policy.model_validate(
        {
            "name": name,
            "source": dict(zip(("connection", "repository"), source.split(":"), strict=True)),
            "target": dict(zip(("connection", "repository"), target.split(":"), strict=True)),
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            "schedule": "@daily",
            **more,
        }
    )


@given(one=PATTERNS, other=PATTERNS, names=st.lists(st.text("ab", min_size=1, max_size=6)))
@settings(max_examples=300, deadline=None)
def test_two_patterns_share_a_repository_when_one_matches_both(
    one: str, other: str, names: list[str]
) -> None:
    candidates = {each.replace("*", name) for each in (one, other) for name in [*names, "a"]}
    shared = [
        each
        for each in candidates
        if name_in(one, each) is not None and name_in(other, each) is not None
    ]

    assert may_share(one, other) == may_share(other, one)
    if shared:
        assert may_share(one, other)


@given(one=PATTERNS, other=PATTERNS)
@settings(max_examples=300, deadline=None)
def test_what_two_patterns_share_can_be_shown(one: str, other: str) -> None:
    if may_share(one, other):
        # The longest beginning and the longest end of each segment, with room for both between.
        shown = "/".join(
            _joined(*pair) for pair in zip(one.split("/"), other.split("/"), strict=True)
        )
        assert re.fullmatch(one.replace("*", "[^/]+"), shown), shown
        assert re.fullmatch(other.replace("*", "[^/]+"), shown), shown


def _joined(one: str, other: str) -> str:
    if "*" not in one or "*" not in other:
        return other if "*" in one else one
    (before, _, after), (before_other, _, after_other) = one.partition("*"), other.partition("*")
    return max(before, before_other, key=len) + "ab" + max(after, after_other, key=len)


def test_a_policy_announces_its_targets_and_what_others_wait_for_there() -> None:
    first = policy("first", "one:dev/*", "two:qa/{name}")
    others = [
        first,
        policy("by-name", "two:qa/website", "one:prod/website"),
        policy("by-pattern", "two:qa/a-*", "one:prod/{name}"),
        policy("elsewhere", "two:uat/website", "one:prod/website"),
        policy("other-connection", "one:qa/website", "one:prod/website"),
        policy("by-hand", "two:qa/tool", "one:prod/tool", schedule="manual"),
    ]

    assert outlets_of(first, others) == (
        Place("two", "qa/*"),
        Place("two", "qa/website"),
        Place("two", "qa/a-*"),
    )


def test_a_place_holds_its_repositories_behind_its_connection() -> None:
    place = Place("two", "qa/*")

    assert place.holds("two", "qa/website")
    assert not place.holds("one", "qa/website")
    assert not place.holds("two", "qa/team/website")
