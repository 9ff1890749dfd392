from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.text import TextOperator
from image_promotion.policy.criteria.verdict import Need, Verdict
from image_promotion.policy.facts import Component
from image_promotion.policy.version_ranges import VersionRange
from tests.support.policies import NOW, facts

HELD, NOT_HELD, UNKNOWN = Verdict.HELD, Verdict.NOT_HELD, Verdict.UNKNOWN
EQUALS, NONE_OF = TextOperator.EQUALS, TextOperator.IS_NOT_ONE_OF

COMPONENTS = (Component("BusyBox"), Component("zlib"), Component("zlib", "1.3"))


def verdict(
    components: tuple[Component, ...],
    operator: TextOperator,
    *values: str,
    versions: str | None = None,
    type_: str | None = None,
) -> Verdict:
    criterion = ComponentName(
        operator, values, None if versions is None else VersionRange(versions), type_
    )
    return criterion.judge(facts(components=components), NOW).verdict


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
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
    operator: str, values: list[str], expected: Verdict
) -> None:
    criterion = ComponentName(TextOperator(operator), tuple(values))

    assert criterion.judge(facts(components=COMPONENTS), NOW).verdict is expected
    assert criterion.needs == {Need.COMPONENTS}


@pytest.mark.parametrize("operator", list(TextOperator))
def test_without_a_component_list_nothing_is_known(operator: TextOperator) -> None:
    finding = ComponentName(operator, ("b",)).judge(facts(), NOW)

    assert finding.verdict is UNKNOWN
    assert finding.found == "no component list yet"
    assert finding.source == ""


def test_the_reason_why_there_is_no_component_list_is_told() -> None:
    image = facts(why_no_components="the SBOM is 90 days old, older than 7 days")

    finding = ComponentName(EQUALS, ("b",)).judge(image, NOW)

    assert finding.verdict is UNKNOWN
    assert finding.found == "the SBOM is 90 days old, older than 7 days"


def test_an_empty_component_list_is_an_answer() -> None:
    assert verdict((), TextOperator.STARTS_WITH, "b") is NOT_HELD
    assert verdict((), NONE_OF, "b") is HELD


def test_a_finding_names_the_matching_components_and_the_report() -> None:
    finding = ComponentName(NONE_OF, ("zlib",)).judge(facts(components=COMPONENTS), NOW)

    assert finding.trigger == 'no component is one of "zlib"'
    assert finding.found == "2 of 3 components: zlib, zlib 1.3"
    assert finding.source == "an SBOM"
    assert (finding.count, finding.items) == (2, ("zlib", "zlib 1.3"))


def test_a_finding_names_ten_components_and_counts_each_once() -> None:
    many = tuple(Component(f"lib{n:02}") for n in range(12)) * 2

    finding = ComponentName(TextOperator.CONTAINS, ("lib",)).judge(facts(components=many), NOW)

    assert finding.found.startswith("12 of 12 components: lib00, lib01")
    assert finding.found.endswith("lib09 and 2 more")
    assert (finding.count, len(finding.items)) == (12, 10)


NPM = Component("core", "1.0", "pkg:npm/%40angular/core@1.0", group="@angular")
NPM_BY_PURL = Component("core", "1.0", "pkg:npm/%40angular/core@1.0")
NPM_IN_NAME = Component("@angular/core", "1.0", "pkg:npm/%40angular/core@1.0")
MAVEN = Component("log4j-core", "2.17", "pkg:maven/org.apache.logging/log4j-core@2.17")
MAVEN_IN_NAME = Component("org.apache.logging:log4j-core", "2.17")
GO = Component("github.com/gin-gonic/gin", "v1", "pkg:golang/github.com/gin-gonic/gin@v1")


@pytest.mark.parametrize(
    ("component", "names"),
    [
        (NPM, ["core", "@angular/core", "@ANGULAR/Core"]),
        (NPM_BY_PURL, ["core", "@angular/core"]),
        (NPM_IN_NAME, ["core", "@angular/core"]),
        (MAVEN, ["log4j-core", "org.apache.logging:log4j-core", "org.apache.logging/log4j-core"]),
        (
            MAVEN_IN_NAME,
            ["log4j-core", "org.apache.logging:log4j-core", "org.apache.logging/log4j-core"],
        ),
        (GO, ["gin", "github.com/gin-gonic/gin"]),
    ],
)
def test_the_full_name_and_its_last_part_both_count(component: Component, names: list[str]) -> None:
    for name in names:
        assert verdict((component,), EQUALS, name) is HELD
        assert verdict((component,), NONE_OF, "other", name) is NOT_HELD
    assert verdict((component,), EQUALS, "other") is NOT_HELD


def test_the_vendor_of_a_systems_package_is_no_part_of_its_name() -> None:
    openssl = Component("openssl", "3.0", "pkg:deb/debian/openssl@3.0")

    assert verdict((openssl,), TextOperator.STARTS_WITH, "debian") is NOT_HELD
    grouped = Component("libc6:amd64", purl="pkg:deb/debian/libc6", group="debian")
    assert verdict((grouped,), TextOperator.STARTS_WITH, "debian") is NOT_HELD
    assert verdict((grouped,), EQUALS, "amd64") is NOT_HELD


def test_a_path_is_not_taken_for_a_name_with_a_group() -> None:
    assert verdict((Component("/usr/bin/curl", kind="file"),), EQUALS, "curl") is NOT_HELD
    assert verdict((Component("Foo::Bar"),), EQUALS, "Bar") is NOT_HELD


@pytest.mark.parametrize(
    "purl",
    [
        "pkg:deb/debian/libssl3@3.0.11?arch=amd64&upstream=openssl",
        "pkg:deb/debian/libssl3@3.0.11?upstream=openssl%403.0.11-1&arch=amd64",
        "pkg:rpm/centos/openssl-libs@3.0?upstream=openssl-3.0.7-2.el9.src.rpm",
    ],
)
def test_the_name_of_the_source_package_counts_and_is_told(purl: str) -> None:
    libssl = Component("libssl3", "3.0.11", purl)

    assert verdict((libssl,), EQUALS, "OpenSSL") is HELD
    finding = ComponentName(NONE_OF, ("openssl",)).judge(facts(components=(libssl,)), NOW)
    assert finding.verdict is NOT_HELD
    assert finding.found == "1 of 1 component: libssl3 3.0.11 (built from openssl)"
    assert verdict((libssl,), EQUALS, "libssl3") is HELD


def deb(version: str | None) -> Component:
    return Component("openssl", version, "pkg:deb/debian/openssl")


def test_only_components_in_the_range_count() -> None:
    old, new = deb("3.0.11-1~deb12u2"), deb("3.0.14-1")

    assert verdict((old, new), NONE_OF, "openssl", versions="< 3.0.11-1") is NOT_HELD
    assert verdict((new,), NONE_OF, "openssl", versions="< 3.0.11-1") is HELD
    assert verdict((old, new), EQUALS, "openssl", versions=">= 4") is NOT_HELD
    assert verdict((new,), EQUALS, "openssl", versions=">= 3.0.14-1") is HELD


@pytest.mark.parametrize("version", [None, "", "UNKNOWN"])
@pytest.mark.parametrize("versions", ["< 2", ">= 2", "!= 2"])
def test_a_version_that_cannot_be_compared_is_neither_inside_nor_outside(
    version: str | None, versions: str
) -> None:
    for operator in (EQUALS, NONE_OF):
        assert verdict((deb(version),), operator, "openssl", versions=versions) is UNKNOWN
    # Unless another settles it, or it is of another name.
    assert verdict((deb(version), deb("1")), EQUALS, "openssl", versions="< 2") is HELD
    assert verdict((deb(version), deb("1")), NONE_OF, "openssl", versions="< 2") is NOT_HELD
    assert verdict((deb(version),), NONE_OF, "curl", versions=versions) is HELD


def test_a_finding_names_what_cannot_be_compared() -> None:
    criterion = ComponentName(NONE_OF, ("openssl",), VersionRange("< 2"))

    finding = criterion.judge(facts(components=(deb("UNKNOWN"),)), NOW)

    assert finding.trigger == 'no component in version < 2 is one of "openssl"'
    assert finding.found == (
        "none of 1 component; 1 of such a name whose version or type cannot be told: "
        "openssl UNKNOWN"
    )


def test_the_epoch_of_an_rpm_is_part_of_its_version() -> None:
    bind = Component("bind", "9.16-1.el9", "pkg:rpm/centos/bind@9.16-1.el9?epoch=32")

    assert verdict((bind,), EQUALS, "bind", versions="< 9.18") is NOT_HELD
    assert verdict((bind,), EQUALS, "bind", versions="< 32:9.18") is HELD


@pytest.mark.parametrize(
    ("component", "type_", "expected"),
    [
        (Component("a", purl="pkg:npm/a@1"), "npm", HELD),
        (Component("a", purl="pkg:npm/a@1"), "NPM", HELD),
        (Component("a", purl="pkg:deb/debian/a@1"), "npm", NOT_HELD),
        (Component("a", kind="library"), "library", HELD),
        (Component("a", kind="OPERATING_SYSTEM"), "operating-system", HELD),
        (Component("a", kind="file"), "library", NOT_HELD),
        (Component("a", kind="library"), "npm", UNKNOWN),
        (Component("a", purl="pkg:npm/a@1"), "library", UNKNOWN),
        (Component("a"), "npm", UNKNOWN),
    ],
)
def test_only_components_of_the_type_count_and_one_without_a_type_settles_nothing(
    component: Component, type_: str, expected: Verdict
) -> None:
    opposite = {HELD: NOT_HELD, NOT_HELD: HELD, UNKNOWN: UNKNOWN}

    assert verdict((component,), EQUALS, "a", type_=type_) is expected
    assert verdict((component,), NONE_OF, "a", type_=type_) is opposite[expected]


@pytest.mark.parametrize("values", [(), ("",), ("a", "")])
def test_a_comparison_with_nothing_is_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"needs at least one value|an empty text"):
        ComponentName(TextOperator.CONTAINS, values)


_words = st.sampled_from(["a", "B", "ab", "lib", "x-A"])
_components = st.builds(
    lambda name, group, upstream, version: (
        Component(
            name,
            version,
            f"pkg:deb/debian/{name.lower()}@{version}?upstream={upstream}",
        )
        if upstream
        else Component(name, version, f"pkg:npm/{name.lower()}@{version}", group=group)
    ),
    _words,
    st.none() | st.sampled_from(["@s", "@B"]),
    st.none() | _words,
    st.none() | st.integers(0, 4).map(lambda n: f"{n}.0.0") | st.just("none"),
)


def slowly(component: Component, operator: TextOperator, values: list[str], least: int) -> object:
    """Say whether a component counts, as the documentation has it, word for word."""
    names = [component.name]
    if component.group:
        names += [f"{component.group}/{component.name}", f"{component.group}:{component.name}"]
    _, _, upstream = (component.purl or "").partition("upstream=")
    if upstream:
        names.append(upstream)
    hit = False
    for name in (each.lower() for each in names):
        for value in (each.lower() for each in values):
            match operator.value:
                case "starts_with":
                    hit |= name[: len(value)] == value
                case "ends_with":
                    hit |= name[len(name) - len(value) :] == value and len(name) >= len(value)
                case "contains":
                    hit |= name.find(value) >= 0
                case _:
                    hit |= name == value
    if not hit:
        return False
    if component.version in {None, "none"}:
        return None
    return int((component.version or "").split(".")[0]) >= least


@given(
    st.lists(_components, max_size=5),
    st.sampled_from(list(TextOperator)),
    st.lists(_words | st.just("@b/ab"), min_size=1, max_size=3),
    st.integers(0, 4),
)
def test_components_are_judged_as_going_through_them_one_by_one_would(
    components: list[Component], operator: TextOperator, values: list[str], least: int
) -> None:
    answers = [slowly(each, operator, values, least) for each in components]
    some = HELD if True in answers else UNKNOWN if None in answers else NOT_HELD
    expected = some
    if operator is NONE_OF:
        expected = {HELD: NOT_HELD, NOT_HELD: HELD, UNKNOWN: UNKNOWN}[some]

    assert verdict(tuple(components), operator, *values, versions=f">= {least}.0.0") is expected
