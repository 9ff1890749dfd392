from __future__ import annotations

import pytest

from image_promotion.policy.criteria.text import ComponentName, TagName, TextOperator, quoted
from image_promotion.policy.criteria.verdict import Need, Verdict
from image_promotion.policy.facts import Component
from tests.support.policies import NOW, facts

HELD, NOT_HELD, UNKNOWN = Verdict.HELD, Verdict.NOT_HELD, Verdict.UNKNOWN


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


COMPONENTS = (Component("BusyBox"), Component("zlib"), Component("zlib", "1.3"))


@pytest.mark.parametrize(
    ("operator", "values", "verdict"),
    [
        ("equals", ["busybox"], HELD),
        ("equals", ["busy"], NOT_HELD),
        ("starts_with", ["b"], HELD),
        ("starts_with", ["y"], NOT_HELD),
        ("ends_with", ["BOX"], HELD),
        ("ends_with", ["bo"], NOT_HELD),
        ("contains", ["LI"], HELD),
        ("contains", ["q"], NOT_HELD),
        ("is_one_of", ["log4j", "ZLIB"], HELD),
        ("is_one_of", ["log4j"], NOT_HELD),
        ("is_not_one_of", ["log4j"], HELD),
        ("is_not_one_of", ["log4j", "zlib"], NOT_HELD),
    ],
)
def test_some_component_meets_the_operator_or_none_is_one_of_the_values(
    operator: str, values: list[str], verdict: Verdict
) -> None:
    criterion = ComponentName(TextOperator(operator), tuple(values))

    assert criterion.judge(facts(components=COMPONENTS), NOW).verdict is verdict
    assert criterion.needs == {Need.COMPONENTS}


@pytest.mark.parametrize("operator", list(TextOperator))
def test_without_a_component_list_nothing_is_known(operator: TextOperator) -> None:
    finding = ComponentName(operator, ("b",)).judge(facts(), NOW)

    assert finding.verdict is UNKNOWN
    assert finding.found == "no component list yet"
    assert finding.source == ""


def test_an_empty_component_list_is_an_answer() -> None:
    empty = facts(components=())

    assert ComponentName(TextOperator.STARTS_WITH, ("b",)).judge(empty, NOW).verdict is NOT_HELD
    assert ComponentName(TextOperator.IS_NOT_ONE_OF, ("b",)).judge(empty, NOW).verdict is HELD


def test_a_finding_on_components_names_those_that_match_and_the_report() -> None:
    finding = ComponentName(TextOperator.IS_NOT_ONE_OF, ("zlib",)).judge(
        facts(components=COMPONENTS), NOW
    )

    assert finding.trigger == 'no component is one of "zlib"'
    assert finding.found == '"zlib", 1 of 2 component names'
    assert finding.source == "an SBOM"


def test_long_lists_are_shortened_in_words() -> None:
    assert quoted(tuple("abcdefghijkl")).endswith('"j" and 2 more')
    assert quoted(("a", "b")) == '"a" or "b"'


@pytest.mark.parametrize("values", [(), ("",), ("a", "")])
def test_a_comparison_with_nothing_is_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs at least one value|an empty text"):
        TagName(TextOperator.CONTAINS, values)
    with pytest.raises(ValueError, match=r"needs at least one value|an empty text"):
        ComponentName(TextOperator.CONTAINS, values)
