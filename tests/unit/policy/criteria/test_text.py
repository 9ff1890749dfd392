from __future__ import annotations

import pytest

from image_promotion.policy.criteria.text import TagName, TextOperator, first, listed, quoted
from image_promotion.policy.criteria.verdict import Need, Verdict
from tests.support.policies import NOW, facts

HELD, NOT_HELD = Verdict.HELD, Verdict.NOT_HELD


@pytest.mark.parametrize(
    ("operator", "values", "tag", "verdict"),
    [
        ("equals", ["latest"], "latest", HELD),
        ("equals", ["latest"], "latest2", NOT_HELD),
        ("equals", ["latest", "stable"], "stable", HELD),
        ("starts_with", ["v1"], "v1.4", HELD),
        ("starts_with", ["v1"], "xv1.4", NOT_HELD),
        ("starts_with", ["v1", "v2"], "v2.0", HELD),
        ("ends_with", ["-stable"], "1.4-stable", HELD),
        ("ends_with", ["-stable"], "1.4-stable-2", NOT_HELD),
        ("ends_with", ["-a", "-b"], "1-b", HELD),
        ("contains", ["rc"], "1.5-rc1", HELD),
        ("contains", ["rc"], "1.5-r1", NOT_HELD),
        ("contains", ["rc", "beta"], "1-beta", HELD),
        ("is_one_of", ["a", "b"], "b", HELD),
        ("is_one_of", ["a", "b"], "ab", NOT_HELD),
        ("is_not_one_of", ["a", "b"], "b", NOT_HELD),
        ("is_not_one_of", ["a", "b"], "ab", HELD),
    ],
)
def test_a_tag_is_compared_by_the_operator(
    operator: str, values: list[str], tag: str, verdict: Verdict
) -> None:
    criterion = TagName(TextOperator(operator), tuple(values))

    assert criterion.judge(facts(tag), NOW).verdict is verdict
    assert criterion.needs == {Need.TAG}


def test_upper_and_lower_case_of_tags_differ() -> None:
    assert TagName(TextOperator.EQUALS, ("RC",)).judge(facts("rc"), NOW).verdict is NOT_HELD


def test_a_finding_on_a_tag_says_what_was_asked_for_and_what_was_there() -> None:
    finding = TagName(TextOperator.ENDS_WITH, ("-stable", "-lts")).judge(facts("1-rc"), NOW)

    assert finding.trigger == 'tag ends with "-stable" or "-lts"'
    assert finding.expected == 'ends with "-stable" or "-lts"'
    assert finding.found == '"1-rc"'
    assert finding.source == "tag name"
    assert finding.changes_at is None


def test_long_lists_are_shortened_in_words() -> None:
    assert quoted(tuple("abcdefghijkl")).endswith('"j" and 2 more')
    assert quoted(("a", "b")) == '"a" or "b"'
    assert first("lkjihgfedcba") == tuple("abcdefghij")
    assert listed(first("lkjihgfedcba"), of=12) == "a, b, c, d, e, f, g, h, i, j and 2 more"
    assert listed("ab") == listed("ab", of=2) == "a, b"


@pytest.mark.parametrize("values", [(), ("",), ("a", "")])
def test_a_comparison_with_nothing_is_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs at least one value|an empty text"):
        TagName(TextOperator.CONTAINS, values)
