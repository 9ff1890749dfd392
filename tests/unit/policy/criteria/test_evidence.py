from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.criteria.evidence import (
    ALL,
    Comparison,
    Condition,
    License,
    Vulnerabilities,
)
from image_promotion.policy.criteria.text import TextOperator
from image_promotion.policy.criteria.verdict import Need, Verdict
from image_promotion.policy.facts import Band, Component, Vulnerability
from tests.support.policies import NOW, facts

ORACLE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
}


def flaw(
    number: int = 1,
    *,
    severity: str = "HIGH",
    score: float | None = None,
    package: str = "openssl",
    version: str = "3.0",
) -> Vulnerability:
    return Vulnerability(f"CVE-2026-{number}", package, version, severity, score)


def verdict(condition: Condition, *flaws: Vulnerability) -> Verdict:
    return Vulnerabilities((condition,)).judge(facts(vulnerabilities=flaws), NOW).verdict


@pytest.mark.parametrize("sign", ORACLE)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_numbers_of_vulnerabilities_are_compared_as_the_sign_says(sign: str, count: int) -> None:
    held = verdict(
        Condition(Band.CRITICAL, Comparison(sign), 2),
        *(flaw(n, score=9.8) for n in range(count)),
        flaw(99, score=5.0),
    )

    assert (held is Verdict.HELD) is ORACLE[sign](count, 2)


@pytest.mark.parametrize(
    ("score", "word", "band"),
    [
        (10.0, "LOW", Band.CRITICAL),
        (7.0, "MEDIUM", Band.CRITICAL),
        (6.9, "CRITICAL", Band.MAJOR),
        (4.0, "LOW", Band.MAJOR),
        (3.9, "HIGH", Band.MINOR),
        (0.1, "HIGH", Band.MINOR),
        (0.0, "HIGH", Band.OTHER),
        (None, "CRITICAL", Band.CRITICAL),
        (None, "high", Band.CRITICAL),
        (None, "Medium", Band.MAJOR),
        (None, "LOW", Band.MINOR),
        (None, "NEGLIGIBLE", Band.OTHER),
        (None, "", Band.OTHER),
    ],
)
def test_the_score_makes_the_band_and_without_one_the_word(
    score: float | None, word: str, band: Band
) -> None:
    assert flaw(severity=word, score=score).band is band


def test_what_is_in_no_band_counts_in_all_alone() -> None:
    other = flaw(severity="NEGLIGIBLE")

    assert verdict(Condition(ALL, Comparison.EQUAL, 1), other) is Verdict.HELD
    for band in (Band.CRITICAL, Band.MAJOR, Band.MINOR):
        assert verdict(Condition(band, Comparison.EQUAL, 0), other) is Verdict.HELD


def test_a_severity_counts_the_scanners_own_word_in_any_case() -> None:
    condition = Condition("HIGH", Comparison.EQUAL, 2)

    assert verdict(condition, flaw(1, severity="High", score=2.0), flaw(2)) is Verdict.HELD
    assert verdict(condition, flaw(1), flaw(2, severity="CRITICAL")) is Verdict.NOT_HELD


def test_a_vulnerability_counts_once_however_many_reports_name_it() -> None:
    once = Condition(ALL, Comparison.EQUAL, 1)

    assert verdict(once, flaw(1), flaw(1), flaw(1)) is Verdict.HELD
    assert verdict(once, flaw(1), flaw(1, package="curl")) is Verdict.NOT_HELD
    assert verdict(once, flaw(1), flaw(1, version="3.1")) is Verdict.NOT_HELD


@given(st.permutations([flaw(1, severity="LOW"), flaw(1, severity="CRITICAL")]))
def test_no_report_hides_that_another_rates_the_same_vulnerability_higher(
    flaws: list[Vulnerability],
) -> None:
    assert verdict(Condition(Band.CRITICAL, Comparison.EQUAL, 0), *flaws) is Verdict.NOT_HELD
    assert verdict(Condition(ALL, Comparison.EQUAL, 1), *flaws) is Verdict.HELD


def test_all_bounds_must_hold_and_the_finding_names_what_broke_one() -> None:
    criterion = Vulnerabilities(
        (
            Condition(Band.CRITICAL, Comparison.EQUAL, 0),
            Condition(Band.MAJOR, Comparison.AT_MOST, 3),
        )
    )
    finding = criterion.judge(facts(vulnerabilities=(flaw(7, score=9.1), flaw(8, score=5.0))), NOW)

    assert finding.verdict is Verdict.NOT_HELD
    assert finding.trigger == "vulnerabilities: critical = 0, major <= 3"
    assert finding.found == "1 critical, 1 major: CVE-2026-7 in openssl 3.0"
    assert finding.source == "a report"
    assert criterion.needs == {Need.VULNERABILITIES}


def test_no_report_is_unknown_and_an_empty_report_is_clean() -> None:
    criterion = Vulnerabilities((Condition(Band.CRITICAL, Comparison.EQUAL, 0),))

    assert criterion.judge(facts(), NOW).verdict is Verdict.UNKNOWN
    assert criterion.judge(facts(), NOW).found == "no vulnerability report yet"
    assert criterion.judge(facts(vulnerabilities=()), NOW).verdict is Verdict.HELD


def test_conditions_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one condition"):
        Vulnerabilities(())
    with pytest.raises(ValueError, match="never negative"):
        Condition(ALL, Comparison.EQUAL, -1)
    with pytest.raises(ValueError, match="needs a word"):
        Condition("", Comparison.EQUAL, 1)


LICENSED = (
    Component("busybox", licenses=("GPL-2.0-only",)),
    Component("zlib", licenses=("Zlib", "MIT")),
    Component("unknown"),
)


@pytest.mark.parametrize(
    ("operator_", "values", "expected"),
    [
        (TextOperator.IS_ONE_OF, ("MIT",), Verdict.HELD),
        (TextOperator.IS_ONE_OF, ("mit", "BSD-3-Clause"), Verdict.HELD),
        (TextOperator.IS_ONE_OF, ("BSD-3-Clause",), Verdict.NOT_HELD),
        (TextOperator.IS_NOT_ONE_OF, ("GPL-3.0-only",), Verdict.HELD),
        (TextOperator.IS_NOT_ONE_OF, ("gpl-2.0-ONLY",), Verdict.NOT_HELD),
        (TextOperator.IS_NOT_ONE_OF, ("GPL-2.0",), Verdict.HELD),
    ],
)
def test_licenses_of_components_are_looked_up_whatever_their_case(
    operator_: TextOperator, values: tuple[str, ...], expected: Verdict
) -> None:
    criterion = License(operator_, values)

    assert criterion.judge(facts(components=LICENSED), NOW).verdict is expected
    assert criterion.needs == {Need.COMPONENTS}


def test_a_finding_on_licenses_names_components_and_those_without_any() -> None:
    finding = License(TextOperator.IS_NOT_ONE_OF, ("GPL-2.0-only",)).judge(
        facts(components=LICENSED), NOW
    )

    assert finding.found == '1: "busybox (GPL-2.0-only)"; 1 of 3 components name no license'
    assert finding.trigger == 'no license is one of "GPL-2.0-only"'


def test_licenses_are_unknown_without_a_component_list() -> None:
    for each in (TextOperator.IS_ONE_OF, TextOperator.IS_NOT_ONE_OF):
        assert License(each, ("MIT",)).judge(facts(), NOW).verdict is Verdict.UNKNOWN


def test_licenses_have_two_operators() -> None:
    with pytest.raises(ValueError, match="is_one_of and is_not_one_of alone"):
        License(TextOperator.STARTS_WITH, ("GPL",))
