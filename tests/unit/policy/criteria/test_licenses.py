from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.criteria.licenses import License
from image_promotion.policy.criteria.text import TextOperator
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict
from image_promotion.policy.facts import Component
from tests.support.policies import NOW, facts

HELD, NOT_HELD = Verdict.HELD, Verdict.NOT_HELD
ONE_OF, NONE_OF = TextOperator.IS_ONE_OF, TextOperator.IS_NOT_ONE_OF

LICENSED = (
    Component("busybox", "1.36", licenses=("GPL-2.0-only",)),
    Component("zlib", licenses=("Zlib", "MIT")),
    Component("unknown"),
)


def finding(
    operator: TextOperator, values: tuple[str, ...], *components: Component, allows: bool = True
) -> Finding:
    criterion = License(operator, values, allows)
    return criterion.judge(facts(components=components), NOW)


def under(*licenses: str) -> Component:
    return Component("a", "1", licenses=licenses)


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        (ONE_OF, ("MIT",), HELD),
        (ONE_OF, ("mit", "BSD-3-Clause"), HELD),
        (ONE_OF, ("BSD-3-Clause",), NOT_HELD),
        (NONE_OF, ("GPL-3.0-only",), HELD),
        (NONE_OF, ("gpl-2.0-ONLY",), NOT_HELD),
        (NONE_OF, ("GPL-2.0",), NOT_HELD),
        (NONE_OF, ("GNU GPL v2",), NOT_HELD),
        (NONE_OF, ("GPL-2.0-or-later",), HELD),
    ],
)
def test_licenses_of_components_are_looked_up_however_they_are_spelled(
    operator: TextOperator, values: tuple[str, ...], expected: Verdict
) -> None:
    assert finding(operator, values, *LICENSED).verdict is expected
    assert License(operator, values).needs == {Need.COMPONENTS}


@pytest.mark.parametrize(
    ("licenses", "values", "one_of", "none_of"),
    [
        (("MIT OR GPL-3.0-only",), ("GPL-3.0-only",), HELD, HELD),
        (("MIT OR GPL-3.0-only",), ("GPL-3.0", "Expat"), HELD, NOT_HELD),
        (("MIT AND GPL-3.0-only",), ("GPL-3.0-only",), HELD, NOT_HELD),
        (("MIT", "GPL-3.0-only"), ("GPL-3.0-only",), HELD, NOT_HELD),
        (("GPL-3.0-or-later",), ("GPL-3.0-only",), NOT_HELD, HELD),
        (("GPL-2.0-only WITH Classpath-exception-2.0",), ("GPL-2.0-only",), NOT_HELD, HELD),
        (
            ("GPL-2.0 with classpath-exception-2.0",),
            ("GPL-2.0-with-classpath-exception",),
            HELD,
            NOT_HELD,
        ),
        (("Apache License, Version 2.0",), ("Apache-2.0",), HELD, NOT_HELD),
        (("LicenseRef-Artistic",), ("artistic",), HELD, NOT_HELD),
        (("Frobnicator and Friends",), ("Frobnicator and friends License",), HELD, NOT_HELD),
        (("GPL-3.0-only AND (",), ("GPL-3.0-only",), HELD, NOT_HELD),
        (("NOASSERTION",), ("NOASSERTION",), NOT_HELD, HELD),
    ],
)
def test_a_choice_may_be_taken_and_avoided_and_what_binds_may_not(
    licenses: tuple[str, ...], values: tuple[str, ...], one_of: Verdict, none_of: Verdict
) -> None:
    assert finding(ONE_OF, values, under(*licenses)).verdict is one_of
    assert finding(NONE_OF, values, under(*licenses)).verdict is none_of


def test_a_finding_names_components_and_counts_those_without_a_license() -> None:
    found = finding(NONE_OF, ("GPL-2.0-only",), *LICENSED)

    assert found.trigger == 'no license is one of "GPL-2.0-only"'
    assert found.found == (
        "1 of 3 components under one: busybox 1.36 (GPL-2.0-only); "
        "1 of 3 components name no license"
    )
    assert found.source == "an SBOM"
    assert (found.count, found.items) == (1, ("busybox 1.36 (GPL-2.0-only)",))


def test_a_finding_names_components_under_another_form_of_a_listed_license() -> None:
    found = finding(NONE_OF, ("GPL-3.0",), under("GPL-3.0-or-later"), under("MIT OR GPL-3.0-only"))

    assert found.verdict is HELD
    assert found.found.startswith(
        "none of 1 component under one; 1 under another form of one, which is not listed: "
        "a 1 (GPL-3.0-or-later); 0 of 1"
    )


@pytest.mark.parametrize("operator", [ONE_OF, NONE_OF])
def test_components_without_a_license_can_be_reason_enough(operator: TextOperator) -> None:
    values = ("MIT",) if operator is ONE_OF else ("GPL-3.0-only",)
    licensed, nameless = Component("zlib", licenses=("MIT",)), Component("b", licenses=("NONE",))

    assert finding(operator, values, licensed, nameless).verdict is HELD
    assert finding(operator, values, licensed, allows=False).verdict is HELD
    rejected = finding(operator, values, licensed, nameless, allows=False)
    assert rejected.verdict is NOT_HELD
    assert rejected.found.endswith("1 of 2 components name no license: b")
    assert rejected.trigger.endswith(", and every component names one")


@pytest.mark.parametrize("kind", ["file", "operating-system", "OPERATING_SYSTEM", "container"])
def test_what_is_no_software_need_name_no_license(kind: str) -> None:
    listed = Component("etc", kind=kind)

    assert finding(NONE_OF, ("MIT",), listed, allows=False).verdict is HELD
    assert finding(ONE_OF, ("MIT",), Component("etc", kind=kind, licenses=("MIT",))).verdict is HELD


@pytest.mark.parametrize("backwards", [False, True])
def test_a_component_that_one_of_two_reports_knows_the_license_of_has_one(backwards: bool) -> None:
    entries = [Component("a", "1"), under("GPL-3.0-only"), under("MIT")]
    found = finding(NONE_OF, ("GPL-3.0",), *(entries[::-1] if backwards else entries), allows=False)

    assert found.found == (
        "1 of 1 component under one: a 1 (GPL-3.0-only); 0 of 1 component names no license"
    )


def test_licenses_are_unknown_without_a_component_list() -> None:
    for each in (ONE_OF, NONE_OF):
        assert License(each, ("MIT",)).judge(facts(), NOW).verdict is Verdict.UNKNOWN
        why = facts(why_no_components="no SBOM is signed")
        assert License(each, ("MIT",)).judge(why, NOW).found == "no SBOM is signed"


def test_licenses_have_two_operators() -> None:
    with pytest.raises(ValueError, match="is_one_of and is_not_one_of alone"):
        License(TextOperator.STARTS_WITH, ("GPL",))
    with pytest.raises(ValueError, match="needs at least one value"):
        License(ONE_OF, ())


# Each license text with every way to comply with it, as people who read it would say.
_WAYS = {
    "MIT": [{"MIT"}],
    "Expat": [{"MIT"}],
    "GPLv3+": [{"GPL-3.0-or-later"}],
    "GPL-3.0": [{"GPL-3.0-only"}],
    "MIT OR GPL-3.0": [{"MIT"}, {"GPL-3.0-only"}],
    "(MIT OR GPL-3.0+) AND ISC": [{"MIT", "ISC"}, {"GPL-3.0-or-later", "ISC"}],
    "MIT, ISC": [{"MIT", "ISC"}],
}


@given(
    st.lists(
        st.lists(st.sampled_from([*_WAYS, "NONE"]), max_size=2).map(tuple),
        max_size=4,
    ),
    st.sets(st.sampled_from(["MIT", "ISC", "GPL-3.0-only", "GPL-3.0-or-later"]), min_size=1),
    st.booleans(),
)
def test_licenses_are_judged_as_trying_every_way_to_comply_would(
    images: list[tuple[str, ...]], listed: set[str], allows: bool
) -> None:
    components = [Component(f"c{n}", licenses=each) for n, each in enumerate(images)]
    can_be_under, avoidable, nameless = False, True, False
    for licenses in images:
        texts = [each for each in licenses if each != "NONE"]
        nameless |= not texts
        for text in texts:
            can_be_under |= any(way & listed for way in _WAYS[text])
            avoidable &= any(not way & listed for way in _WAYS[text])
    refused = nameless and not allows

    one_of = finding(ONE_OF, tuple(listed), *components, allows=allows).verdict
    none_of = finding(NONE_OF, tuple(listed), *components, allows=allows).verdict
    assert (one_of is HELD) is (can_be_under and not refused)
    assert (none_of is HELD) is (avoidable and not refused)
