from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict, foresee
from image_promotion.policy.criteria.vulnerabilities import ALL, Condition, Vulnerabilities
from image_promotion.policy.facts import (
    Band,
    Score,
    Statement,
    Status,
    Vulnerability,
    VulnerabilityCounts,
    VulnerabilityException,
    deciding_score,
)
from tests.support.policies import NOW, facts

HELD, NOT_HELD, UNKNOWN = Verdict.HELD, Verdict.NOT_HELD, Verdict.UNKNOWN

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
    fixed_in: tuple[str, ...] = (),
    status: Status | None = None,
) -> Vulnerability:
    return Vulnerability(
        f"CVE-2026-{number}", package, version, severity, score, fixed_in=fixed_in, status=status
    )


def bound(text: str) -> Condition:
    subject, sign, number = text.split()
    return Condition(
        Band(subject) if subject in set(Band) else subject, Comparison(sign), int(number)
    )


def verdict(condition: Condition, *flaws: Vulnerability, only_fixable: bool = False) -> Verdict:
    criterion = Vulnerabilities((condition,), only_fixable)
    return criterion.judge(facts(vulnerabilities=flaws), NOW).verdict


@pytest.mark.parametrize("sign", ORACLE)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_numbers_of_vulnerabilities_are_compared_as_the_sign_says(sign: str, count: int) -> None:
    held = verdict(
        Condition(Band.CRITICAL, Comparison(sign), 2),
        *(flaw(n, score=9.8) for n in range(count)),
        flaw(99, score=5.0),
    )

    assert (held is HELD) is ORACLE[sign](count, 2)


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


def test_of_several_scores_the_highest_of_the_newest_cvss_decides() -> None:
    scores = (Score(9.9, "2.0"), Score(5.0, "3.1", "nvd"), Score(6.1, "3.1", "vendor"))

    assert deciding_score(scores) == 6.1
    assert deciding_score(()) is None


def test_what_is_in_no_band_counts_in_all_alone() -> None:
    other = flaw(severity="NEGLIGIBLE")

    assert verdict(bound("all = 1"), other) is HELD
    for band in ("critical", "major", "minor"):
        assert verdict(bound(f"{band} = 0"), other) is HELD


def test_a_severity_counts_the_scanners_own_word_in_any_case() -> None:
    assert verdict(bound("HIGH = 2"), flaw(1, severity="High", score=2.0), flaw(2)) is HELD
    assert verdict(bound("HIGH = 2"), flaw(1), flaw(2, severity="CRITICAL")) is NOT_HELD


@pytest.mark.parametrize("word", ["", "UNKNOWN", "Unknown", "Unspecified"])
def test_an_unknown_severity_is_a_severity_of_its_own_and_never_none(word: str) -> None:
    unrated = flaw(severity=word)

    assert verdict(bound("UNKNOWN = 0"), unrated) is NOT_HELD
    assert verdict(bound("all = 0"), unrated) is NOT_HELD
    assert verdict(bound("NONE = 0"), unrated) is HELD
    finding = Vulnerabilities((bound("CRITICAL = 0"),)).judge(
        facts(vulnerabilities=(unrated,)), NOW
    )
    assert finding.found == "0 CRITICAL; 1 of unknown severity is in none of these"


def test_a_scanners_own_word_for_not_knowing_counts_under_that_word_too() -> None:
    assert verdict(bound("unspecified = 1"), flaw(severity="Unspecified")) is HELD


@pytest.mark.parametrize(
    ("score", "word"),
    [(9.0, "CRITICAL"), (8.9, "HIGH"), (6.9, "MEDIUM"), (3.9, "LOW"), (0.0, "NONE")],
)
def test_without_a_word_the_rating_of_the_score_is_the_word(score: float, word: str) -> None:
    assert flaw(severity="", score=score).severity_word == word
    assert verdict(bound(f"{word} = 1"), flaw(severity="", score=score)) is HELD


def test_a_vulnerability_counts_once_however_many_reports_name_it() -> None:
    once = bound("all = 1")

    assert verdict(once, flaw(1), flaw(1), flaw(1)) is HELD
    assert verdict(once, flaw(1), flaw(1, package="curl")) is NOT_HELD
    assert verdict(once, flaw(1), flaw(1, version="3.1")) is NOT_HELD


@given(st.permutations([flaw(1, severity="LOW"), flaw(1, severity="CRITICAL")]))
def test_no_report_hides_that_another_rates_the_same_vulnerability_higher(
    flaws: list[Vulnerability],
) -> None:
    assert verdict(bound("critical = 0"), *flaws) is NOT_HELD
    assert verdict(bound("all = 1"), *flaws) is HELD


def test_only_fixable_counts_those_that_some_version_mends() -> None:
    flaws = flaw(1, fixed_in=("3.0.1",)), flaw(2)

    assert verdict(bound("all = 1"), *flaws, only_fixable=True) is HELD
    assert verdict(bound("all = 2"), *flaws) is HELD
    assert Vulnerabilities((bound("all = 1"),), only_fixable=True).describe() == (
        "fixable vulnerabilities: all = 1"
    )


def test_all_bounds_must_hold_and_the_finding_names_what_broke_one() -> None:
    criterion = Vulnerabilities((bound("critical = 0"), bound("major <= 3")))
    finding = criterion.judge(facts(vulnerabilities=(flaw(7, score=9.1), flaw(8, score=5.0))), NOW)

    assert finding.verdict is NOT_HELD
    assert finding.trigger == "vulnerabilities: critical = 0, major <= 3"
    assert finding.found == "1 critical, 1 major: CVE-2026-7 in openssl 3.0"
    assert finding.source == "a report"
    assert (finding.count, finding.items) == (1, ("CVE-2026-7 in openssl 3.0",))
    assert criterion.needs == {Need.VULNERABILITIES}


def test_a_finding_that_holds_names_what_was_counted_the_first_ten() -> None:
    flaws = tuple(flaw(n + 10) for n in range(12))
    finding = Vulnerabilities((bound("critical <= 12"),)).judge(facts(vulnerabilities=flaws), NOW)

    assert finding.verdict is HELD
    assert finding.found.startswith("12 critical: CVE-2026-10 in openssl 3.0, CVE-2026-11")
    assert finding.found.endswith("CVE-2026-19 in openssl 3.0 and 2 more")
    assert (finding.count, len(finding.items)) == (12, 10)


def test_no_report_is_unknown_and_an_empty_report_is_clean() -> None:
    criterion = Vulnerabilities((bound("critical = 0"),))

    assert criterion.judge(facts(), NOW).verdict is UNKNOWN
    assert criterion.judge(facts(), NOW).found == "no vulnerability report yet"
    assert criterion.judge(facts(vulnerabilities=()), NOW).verdict is HELD
    failed = facts(why_no_vulnerabilities="the scan failed: no database")
    assert criterion.judge(failed, NOW).verdict is UNKNOWN
    assert criterion.judge(failed, NOW).found == "the scan failed: no database"


def test_conditions_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one condition"):
        Vulnerabilities(())
    with pytest.raises(ValueError, match="never negative"):
        Condition(ALL, Comparison.EQUAL, -1)
    with pytest.raises(ValueError, match="needs a word"):
        Condition("", Comparison.EQUAL, 1)


NUMBERS = VulnerabilityCounts(critical=0, major=2, minor=5, all=8, source="DTR's summary")
NOBODY = VulnerabilityException("CVE-1", "tested", date(2027, 1, 1), "alice")


def by_numbers(*bounds: str, only_fixable: bool = False, **further: object) -> Finding:
    criterion = Vulnerabilities(tuple(bound(each) for each in bounds), only_fixable)
    return criterion.judge(facts(counts=NUMBERS, **further), NOW)  # type: ignore[arg-type]


def test_numbers_alone_are_enough_for_bounds_on_bands() -> None:
    finding = by_numbers("critical = 0", "major <= 2", "minor = 5", "all < 9")

    assert finding.verdict is HELD
    assert finding.found == ("0 critical; 2 major; 5 minor; 8 all; the report gives numbers alone")
    assert finding.source == "DTR's summary"
    assert by_numbers("major = 0").verdict is NOT_HELD


def test_numbers_alone_say_nothing_of_scanners_words() -> None:
    finding = by_numbers("HIGH = 0")

    assert finding.verdict is UNKNOWN
    assert finding.found.startswith("the report gives numbers alone: not how scanners rate each")
    assert by_numbers("HIGH = 0", "major = 0").verdict is NOT_HELD


@pytest.mark.parametrize(
    "further",
    [
        {"only_fixable": True},
        {"exceptions": (NOBODY,)},
        {"statements": (Statement("CVE-1", (), (), Status.NOT_AFFECTED),)},
    ],
)
def test_of_numbers_alone_nobody_knows_what_is_fixable_excepted_or_not_affected(
    further: dict[str, object],
) -> None:
    assert by_numbers("major = 0", **further).verdict is UNKNOWN  # type: ignore[arg-type]
    assert by_numbers("major != 1", **further).verdict is UNKNOWN  # type: ignore[arg-type]
    # Whatever they are: of none there is none, and of two there are not more than two.
    assert by_numbers("critical = 0", **further).verdict is HELD  # type: ignore[arg-type]
    assert by_numbers("major <= 2", **further).verdict is HELD  # type: ignore[arg-type]
    assert by_numbers("major > 2", **further).verdict is NOT_HELD  # type: ignore[arg-type]


def test_exceptions_for_another_repository_or_expired_leave_numbers_as_they_are() -> None:
    other = VulnerabilityException("CVE-1", "r", date(2027, 1, 1), "a", repository="dev/other")
    past = VulnerabilityException("CVE-1", "r", date(2026, 1, 1), "a")

    assert by_numbers("major = 2", exceptions=(other, past)).verdict is HELD


def test_a_list_goes_before_numbers() -> None:
    assert by_numbers("all = 0", vulnerabilities=()).verdict is HELD


@given(
    st.sampled_from(list(Comparison)),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_what_holds_for_every_number_in_a_span_holds_for_the_span(
    comparison: Comparison, number: int, least: int, further: int
) -> None:
    most = least + further
    answers = {ORACLE[comparison](each, number) for each in range(least, most + 1)}
    expected = UNKNOWN if len(answers) == 2 else HELD if True in answers else NOT_HELD

    assert Condition(ALL, comparison, number).verdict_within(least, most) is expected


def exception(expires: date, **further: str) -> VulnerabilityException:
    return VulnerabilityException("CVE-2026-1", "not compiled in", expires, "alice", **further)


def judged(*exceptions: VulnerabilityException, now: datetime = NOW, **further: object) -> Finding:
    image = facts(
        vulnerabilities=(flaw(1, score=9.8),),
        exceptions=exceptions,
        **further,  # type: ignore[arg-type]
    )
    return Vulnerabilities((bound("critical = 0"),)).judge(image, now)


def test_an_exception_takes_a_vulnerability_out_and_the_finding_says_why_and_by_whom() -> None:
    finding = judged(exception(date(2027, 3, 31)))

    assert finding.verdict is HELD
    assert finding.found == (
        "0 critical; 1 excepted: CVE-2026-1 in openssl "
        "(not compiled in; by alice, until 2027-03-31)"
    )
    assert finding.changes_at == datetime(2027, 4, 1, tzinfo=UTC)


def test_an_exception_is_warned_of_a_week_before_it_expires_and_then_no_longer_counts() -> None:
    day = date(2026, 12, 1)
    end = datetime(2026, 12, 2, tzinfo=UTC)
    warning = "the exception for CVE-2026-1 by alice expires on 2026-12-01"

    early = judged(exception(day), now=end - timedelta(days=7, seconds=1))
    late = judged(exception(day), now=end - timedelta(days=7))
    last = judged(exception(day), now=end - timedelta(microseconds=1))
    over = judged(exception(day), now=end)

    assert warning not in early.found
    assert warning in late.found
    assert [early.verdict, late.verdict, last.verdict] == [HELD] * 3
    assert over.verdict is NOT_HELD
    assert over.found.endswith("the exception for CVE-2026-1 by alice expired on 2026-12-01")


def test_an_image_that_asks_for_a_vulnerability_waits_until_its_exception_expires() -> None:
    image = facts(vulnerabilities=(flaw(1, score=9.8),), exceptions=(exception(date(2026, 12, 1)),))
    criterion = Vulnerabilities((bound("critical >= 1"),))

    assert foresee(criterion, image, NOW) == datetime(2026, 12, 2, tzinfo=UTC)


def test_a_statement_takes_a_vulnerability_out_and_the_finding_says_by_what() -> None:
    statement = Statement(
        "CVE-2026-1",
        (),
        (),
        Status.NOT_AFFECTED,
        "vulnerable_code_not_present",
        source="VEX signed by security",
    )
    finding = judged(statements=(statement,))

    assert finding.verdict is HELD
    assert finding.found == (
        "0 critical; 1 taken out by statements: CVE-2026-1 in openssl "
        "(not_affected: vulnerable_code_not_present by VEX signed by security)"
    )


_flaws = st.builds(
    flaw,
    st.integers(1, 4),
    severity=st.sampled_from(["CRITICAL", "high", "Low", "", "UNKNOWN", "weird"]),
    score=st.none() | st.sampled_from([0.0, 2.0, 4.0, 7.0, 9.8]),
    package=st.sampled_from(["a", "b"]),
    version=st.sampled_from(["1", "2"]),
    fixed_in=st.sampled_from([(), ("3",)]),
    status=st.sampled_from([None, None, *Status]),
)
_exceptions = st.builds(
    VulnerabilityException,
    st.integers(1, 4).map(lambda n: f"cve-2026-{n}"),
    st.just("r"),
    st.sampled_from([NOW.date() - timedelta(days=1), NOW.date(), NOW.date() + timedelta(days=30)]),
    st.just("alice"),
    st.none() | st.sampled_from(["a", "A", "c"]),
    st.none() | st.sampled_from(["dev/website", "dev/*", "qa/*"]),
)
_subjects = st.sampled_from(["critical", "major", "minor", "all", "HIGH", "UNKNOWN", "LOW"])


def slowly(
    subject: str,
    flaws: list[Vulnerability],
    exceptions: list[VulnerabilityException],
    *,
    only_fixable: bool,
) -> int:
    """Count as the documentation has it, word for word."""
    counted = set()
    for each in flaws:
        ratings = {0.0: "NONE", 2.0: "LOW", 4.0: "MEDIUM", 7.0: "HIGH", 9.8: "CRITICAL"}
        words = {each.severity.upper() or "UNKNOWN"}
        if words == {"UNKNOWN"} and each.score is not None:
            words = {each.severity.upper(), ratings[each.score]}
        if each.score is None:
            band = {"CRITICAL": "critical", "HIGH": "critical", "LOW": "minor"}.get(
                each.severity.upper(), "other"
            )
        else:
            band = {0.0: "other", 2.0: "minor", 4.0: "major"}.get(each.score, "critical")
        excepted = any(
            exception.id.upper() == each.id
            and exception.expires >= NOW.date()
            and (exception.package or each.package).lower() == each.package
            and exception.repository != "qa/*"
            for exception in exceptions
        )
        if (
            subject in {"all", band, *words}
            and not excepted
            and each.status not in {Status.NOT_AFFECTED, Status.FIXED}
            and (each.fixed_in or not only_fixable)
        ):
            counted.add((each.id, each.package, each.version))
    return len(counted)


@given(
    st.lists(_flaws, max_size=8),
    st.lists(_exceptions, max_size=3),
    st.tuples(_subjects, st.sampled_from(list(ORACLE)), st.integers(0, 4)),
    st.booleans(),
)
def test_vulnerabilities_are_counted_as_going_through_them_one_by_one_would(
    flaws: list[Vulnerability],
    exceptions: list[VulnerabilityException],
    asked: tuple[str, str, int],
    only_fixable: bool,
) -> None:
    subject, sign, number = asked
    image = facts(vulnerabilities=tuple(flaws), exceptions=tuple(exceptions))
    criterion = Vulnerabilities((bound(f"{subject} {sign} {number}"),), only_fixable)
    count = slowly(subject, flaws, exceptions, only_fixable=only_fixable)

    finding = criterion.judge(image, NOW)
    assert finding.found.startswith(f"{count} {subject}")
    assert (finding.verdict is HELD) is ORACLE[sign](count, number)
