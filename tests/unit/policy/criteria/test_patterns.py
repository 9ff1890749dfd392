from __future__ import annotations

import pytest

from image_promotion.policy.criteria.patterns import TagMatches, TagSemver
from image_promotion.policy.criteria.verdict import Need, Verdict
from tests.support.policies import NOW, facts


def matches(pattern: str, tag: str) -> bool:
    return TagMatches(pattern).judge(facts(tag), NOW).verdict is Verdict.HELD


def in_range(expression: str, tag: str) -> bool:
    return TagSemver(expression).judge(facts(tag), NOW).verdict is Verdict.HELD


def test_an_expression_describes_the_whole_tag() -> None:
    assert matches(r"[0-9.]+-stable", "1.4-stable")
    assert not matches(r"[0-9.]+-stable", "1.4-stable-2")
    assert not matches(r"[0-9.]+-stable", "v1.4-stable")
    assert not matches(r"a|b", "ab")
    assert TagMatches("a").needs == {Need.TAG}


@pytest.mark.parametrize("pattern", ["(1.4", "[a", "*", "(?!x)y", r"(a)\1", "a{1001}", "\\"])
def test_what_is_no_re2_expression_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no RE2 expression: .+"):
        TagMatches(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(.*)*(.*)*(.*)*b", "(a?){64}a{64}b"])
def test_an_expression_that_ruins_backtracking_matchers_is_answered(pattern: str) -> None:
    # Python's own matcher would not come back from the first of these.
    assert not matches(pattern, "a" * 128)


def test_groups_are_captured_by_number_and_by_name() -> None:
    pattern = TagMatches(r"v?(?P<version>[0-9.]+)(-(rc[0-9]+))?")

    assert pattern.group_count == 3
    assert pattern.group_names == {"version"}
    assert pattern.capture("v1.4-rc2") == {"1": "1.4", "2": "-rc2", "3": "rc2", "version": "1.4"}
    assert pattern.capture("1.4") == {"1": "1.4", "2": "", "3": "", "version": "1.4"}
    assert pattern.capture("stable") == {}


@pytest.mark.parametrize("pattern", ["(?P<a>x)|(?P<a>y)", "(?P<1>x)", r"\\(?<a>x)(?<a>)"])
def test_a_name_that_could_mean_two_groups_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="a second group, or a number, named"):
        TagMatches(pattern)


@pytest.mark.parametrize("pattern", [r"(?P<a>x)\(?P<a>y", "(?P<a>x)[](?P<a>]", "(?P<a>x)(?P<b>y)"])
def test_what_only_looks_like_a_second_group_is_none(pattern: str) -> None:
    assert "a" in TagMatches(pattern).group_names


def test_a_finding_on_an_expression_shows_it() -> None:
    finding = TagMatches("v.*").judge(facts("1.4"), NOW)

    assert finding.trigger == "tag matches /v.*/"
    assert finding.found == '"1.4"'


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        ("^1.4", ["1.4.0", "1.9.2", "v1.4.1"], ["1.3.9", "2.0.0", "vv1.4.1"]),
        ("~1.4.2", ["1.4.2", "1.4.9"], ["1.4.1", "1.5.0"]),
        (">=1.2.0 <2", ["1.2.0", "1.99.0"], ["2.0.0", "1.1.9"]),
        ("1.x || 3.x", ["1.0.0", "3.7.1"], ["2.0.0"]),
        ("1.2.3 - 1.4", ["1.2.3", "1.4.9"], ["1.5.0"]),
        ("*", ["0.0.1", "12.0.0"], ["1.4", "latest", "1.4.0.0", "01.4.0"]),
        ("1.4.0", ["1.4.0"], ["1.4.1"]),
    ],
)
def test_a_range_holds_the_versions_that_npm_says(
    expression: str, inside: list[str], outside: list[str]
) -> None:
    assert [tag for tag in inside if not in_range(expression, tag)] == []
    assert [tag for tag in outside if in_range(expression, tag)] == []


def test_a_pre_release_is_in_a_range_that_names_one_of_its_version() -> None:
    assert not in_range("^1.4.0", "1.5.0-rc1")
    assert in_range(">=1.5.0-rc1", "1.5.0-rc2")
    assert not in_range(">=1.5.0-rc1", "1.6.0-rc1")


def test_a_finding_on_a_range_says_when_the_tag_is_no_version() -> None:
    finding = TagSemver("^1").judge(facts("latest"), NOW)

    assert finding.found == '"latest", no semantic version'
    assert finding.trigger == "tag is a semantic version in ^1"


@pytest.mark.parametrize("expression", ["latest", "1.4.", "=>1", "^", "1.2.3.4", "a || 1"])
def test_what_is_no_range_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="no range of versions"):
        TagSemver(expression)
