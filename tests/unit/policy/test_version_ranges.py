from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from univers.versions import DebianVersion

from image_promotion.policy.version_ranges import MAX_LENGTH, VersionRange, compare


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        (">= 1.2, < 2.0", ["1.2", "1.10", "1.99.9"], ["1.1.9", "2.0", "2.0.1"]),
        (">=1.2 <2.0", ["1.2"], ["2.0"]),
        (">=1.2<2.0", ["1.2"], ["2.0"]),
        ("1.2", ["1.2", "1.2.0"], ["1.2.1"]),
        ("= 1.2", ["1.2"], ["1.3"]),
        ("== 1.2", ["1.2"], ["1.3"]),
        ("!= 1.2", ["1.3"], ["1.2"]),
        ("> 1.2, <= 1.4", ["1.3", "1.4"], ["1.2", "1.5"]),
        ("< 1 || >= 2, < 3", ["0.9", "2.5"], ["1", "1.5", "3"]),
        (">= v1.2", ["1.2", "v1.2"], ["v1.1"]),
    ],
)
def test_a_range_is_bounds_that_all_hold_or_alternatives(
    expression: str, inside: list[str], outside: list[str]
) -> None:
    versions = VersionRange(expression)

    for ecosystem in (None, "npm"):
        assert [versions.contains(each, ecosystem) for each in inside] == [True] * len(inside)
        assert [versions.contains(each, ecosystem) for each in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    "expression",
    ["", " ", ",", ">= ", ">= 1,", "< 2 3", ">= 1 ||", "|| 1", "^1.2", "~1.2", "~> 1.2", "1.x",
     "1.*", "*", "[1.0,2.0)", ">= abc", ">= latest", "=> 1"],
)  # fmt: skip
def test_what_is_no_range_is_refused_with_how_one_is_written(expression: str) -> None:
    with pytest.raises(ValueError, match=r"is no range of versions.*>= 1\.2, < 2\.0"):
        VersionRange(expression)


@pytest.mark.parametrize(
    ("ecosystem", "less", "more"),
    [
        ("deb", "3.0.14", "3.0.14-1~deb12u2"),
        ("deb", "3.0.14~rc1", "3.0.14"),
        ("deb", "2.36-9+deb12u9", "2.36-9+deb12u10"),
        ("deb", "2.40", "1:2.38.1-5+b1"),
        ("apk", "1.36.1-r2", "1.36.1-r10"),
        ("apk", "0.7.3_alpha", "0.7.3"),
        ("apk", "1.1.1k-r0", "1.1.1l-r0"),
        ("rpm", "1.1.1k-9.el8", "1.1.1k-10.el8"),
        ("rpm", "9.18", "32:9.16-1.el9"),
        ("npm", "1.2.3-rc.2", "1.2.3-rc.11"),
        ("npm", "2.0.0-rc.1", "2.0"),
        ("pypi", "1.0rc1", "1.0"),
        ("pypi", "1.0", "1.0.post1"),
        ("maven", "2.17.0-beta1", "2.17.0"),
        ("gem", "1.0.0.pre1", "1.0.0"),
        ("nuget", "1.2.3.9", "1.2.3.10"),
        ("golang", "v0.0.0-20200101000000-abcdefabcdef", "v0.1.0"),
        ("golang", "go1.21.13", "go1.22.1"),
        ("alpm", "2.0-1", "1:1.0-1"),
        (None, "1.9", "1.10"),
        (None, "1.0-rc2", "1.0-rc10"),
        (None, "1.0-beta", "1.0-rc1"),
        (None, "1.0-rc1", "1.0"),
        (None, "1.0-snapshot", "1.0"),
        (None, "1.1.1k", "1.1.2"),
    ],
)
def test_versions_are_ordered_as_their_ecosystem_orders_them(
    ecosystem: str | None, less: str, more: str
) -> None:
    assert compare(less, more, ecosystem) == -1
    assert compare(more, less, ecosystem) == 1
    assert compare(less, less, ecosystem) == 0


def test_what_means_nothing_to_the_order_is_overlooked() -> None:
    assert compare("v1.2.3+incompatible", "1.2.3", "golang") == 0
    assert compare("1.2.3+build.5", "1.2.3+build.12", "npm") == 0
    assert compare("2.17", "2.17.0", "maven") == 0
    assert compare("1.0", "1", None) == 0


@pytest.mark.parametrize(
    ("ecosystem", "version"),
    [
        ("deb", "abc"),
        ("maven", "UNKNOWN"),
        ("maven", "${project.version}"),
        ("rpm", "unknown"),
        ("rpm", "x:1"),
        ("npm", "1.2.3.4"),
        ("npm", "latest"),
        ("pypi", "2004d-legacy"),
        ("apk", "1.2_git2020"),
        ("npm", "1" * (MAX_LENGTH + 1)),
        (None, "abc"),
        (None, "1:1.0"),
        (None, ""),
    ],
)
def test_what_is_no_version_of_the_ecosystem_is_neither_inside_nor_outside(
    ecosystem: str | None, version: str
) -> None:
    for sign in (">=", ">", "=", "!=", "<=", "<"):
        assert VersionRange(f"{sign} 1.0").contains(version, ecosystem) is None


@pytest.mark.parametrize("version", ["1.2-3", "1.2k", "1.2~foo", "1.2.post1"])
def test_where_no_rules_are_known_what_numbers_do_not_settle_is_not_settled(version: str) -> None:
    assert VersionRange("< 1.2").contains(version, None) is None
    assert VersionRange(">= 1.2").contains(version, "unheard-of") is None
    assert VersionRange("< 1.3").contains(version, None) is True
    assert VersionRange(">= 1.3").contains(version, None) is False


def test_one_bound_that_settles_it_is_enough() -> None:
    assert VersionRange("< 1.0, < 1.2").contains("1.2-3", None) is False
    assert VersionRange("< 1.2 || < 1.3").contains("1.2-3", None) is True
    assert VersionRange("< 1.2 || > 1.3").contains("1.2-3", None) is None


_numbers = st.lists(st.integers(0, 12), min_size=1, max_size=3)


@given(_numbers, _numbers, st.sampled_from([None, "npm", "cargo", "pypi", "gem", "nuget"]))
def test_versions_of_numbers_alone_are_ordered_as_lists_of_numbers(
    first: list[int], second: list[int], ecosystem: str | None
) -> None:
    padded = [[*each, 0, 0][:3] for each in (first, second)]
    texts = [".".join(map(str, each)) for each in (first, second)]

    assert compare(*texts, ecosystem) == (padded[0] > padded[1]) - (padded[0] < padded[1])


_debian = st.from_regex(
    r"[0-9]{1,2}(\.[0-9a-w]{1,2}){0,2}(~rc[0-9])?(-[0-9]{1,2})?", fullmatch=True
)


@given(_debian, _debian)
def test_ranges_agree_with_the_librarys_order_of_debian_versions(first: str, second: str) -> None:
    one, two = DebianVersion(first), DebianVersion(second)

    assert VersionRange(f">= {second}").contains(first, "deb") is (not one < two)
    assert VersionRange(f"< {second}").contains(first, "deb") is bool(one < two)


@given(st.text(max_size=12), st.sampled_from([None, "deb", "rpm", "maven", "gem", "apk", "nuget"]))
def test_any_text_gives_an_answer(version: str, ecosystem: str | None) -> None:
    versions = [VersionRange(each).contains(version, ecosystem) for each in (">= 1.5", "< 1.5")]

    assert versions in ([None, None], [True, False], [False, True])
