from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.evidence.dossier import Dossier, Entry, Note, PlatformImage
from image_promotion.evidence.report import BandCounts, Provenance, Report, ScanState
from image_promotion.evidence.weighing import (
    TOLERATED_CLOCK_DIFFERENCE,
    Weights,
    age,
    describe,
    is_known,
    weigh,
)
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.facts import (
    Component,
    ImageFacts,
    Statement,
    Status,
    Vulnerability,
    VulnerabilityCounts,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)
ANY_AGE, ONE_WEEK = Weights(None, NOW), Weights(WEEK, NOW)
IMAGE, AMD64 = "sha256:index", "sha256:amd64"
BAD = Vulnerability("CVE-1", "openssl", "3.0", "CRITICAL", 9.8)


def report(
    *,
    name: str = "trivy-json-2",
    tool: str = "trivy",
    made_at: datetime | None = NOW - MINUTE,
    components: str | None = None,
    found: tuple[Vulnerability, ...] | None = None,
    **changes: object,
) -> Report:
    return Report(
        name,
        Provenance(tool, created_at=made_at),
        None if components is None else tuple(map(Component, components.split())),
        found,
        **changes,  # type: ignore[arg-type]
    )


def entry(says: Report | None = None, source: str = "referrers", **changes: object) -> Entry:
    made = Entry(source, "somewhere", "sha256:d", IMAGE, NOW, says)
    return replace(made, **changes)  # type: ignore[arg-type]


def facts(
    *entries: Entry, weights: Weights = ANY_AGE, notes: tuple[Note, ...] = (), at: str = IMAGE
) -> ImageFacts:
    platforms = (PlatformImage("linux/amd64", AMD64),)
    subjects = (IMAGE,) if at == IMAGE else (at, IMAGE)
    dossier = Dossier(IMAGE, platforms, entries, notes, NOW)
    known = weigh(dossier, subjects, weights, ImageFacts("1.0"))
    # What is known and what makes asking again of no use are one and the same.
    assert is_known(dossier, Need.COMPONENTS, subjects, weights) is (known.components is not None)
    assert is_known(dossier, Need.VULNERABILITIES, subjects, weights) is (
        known.vulnerabilities is not None or known.vulnerability_counts is not None
    )
    return known


def names(known: ImageFacts) -> list[str] | None:
    return None if known.components is None else [each.name for each in known.components.items]


def ids(known: ImageFacts) -> list[str] | None:
    items = known.vulnerabilities
    return None if items is None else [each.id for each in items.items]


# The age of reports


@pytest.mark.parametrize(
    ("made_at", "weights", "problem"),
    [
        (NOW - WEEK, ONE_WEEK, None),
        (NOW - WEEK - timedelta(microseconds=1), ONE_WEEK, "longer ago than max_age"),
        (NOW - WEEK - MINUTE, ANY_AGE, None),
        (None, ONE_WEEK, "does not say when it was made"),
        (None, ANY_AGE, None),
        (NOW + TOLERATED_CLOCK_DIFFERENCE, ANY_AGE, None),
        (NOW + TOLERATED_CLOCK_DIFFERENCE + MINUTE, ANY_AGE, "was made in the future"),
        (NOW + TOLERATED_CLOCK_DIFFERENCE + MINUTE, ONE_WEEK, "was made in the future"),
    ],
)
def test_a_report_counts_by_its_age(
    made_at: datetime | None, weights: Weights, problem: str | None
) -> None:
    known = facts(entry(report(components="a", made_at=made_at)), weights=weights)

    assert (known.components is None) is (problem is not None)
    assert (problem or "") in known.why_no_components


@pytest.mark.parametrize("state", [each for each in ScanState if each is not ScanState.COMPLETE])
def test_what_a_scan_that_is_not_complete_lists_does_not_count(state: ScanState) -> None:
    unfinished = report(
        components="a", found=(), statements=(_says(),), state=state, problem="so it is"
    )
    known = facts(entry(unfinished))

    assert (known.components, known.vulnerabilities, known.statements) == (None, None, ())
    assert "so it is" in known.why_no_components
    assert "so it is" in known.why_no_vulnerabilities


# Whose word is believed


def test_the_first_source_that_knows_is_believed_and_all_its_reports_together() -> None:
    known = facts(
        entry(report(found=())),
        entry(report(components="a", tool="syft"), "registry"),
        entry(report(components="b", tool="trivy"), "registry"),
        entry(report(components="c", found=(BAD,)), "files"),
    )
    assert names(known) == ["a", "b"]
    assert ids(known) == []
    assert known.components
    assert known.components.source.count("report of 2026-11-24 11:59Z") == 2


def test_a_later_source_does_not_talk_away_what_an_earlier_one_counted() -> None:
    counted = report(counts=BandCounts(1, 2, 3), name="dtr-scan-summary", tool="dtr")
    clean = report(found=())

    known = facts(entry(counted, "registry"), entry(clean, "files"))
    assert known.vulnerabilities is None
    assert known.vulnerability_counts
    assert known.vulnerability_counts.critical == 1
    assert ids(facts(entry(clean, "files"), entry(counted, "registry"))) == []
    # Within a source a list says more than numbers.
    assert ids(facts(entry(counted), entry(report(found=(BAD,))))) == ["CVE-1"]


def test_of_several_numbers_the_largest_count() -> None:
    one, other = (
        entry(report(counts=each, name="dtr-scan-summary", tool=""))
        for each in (BandCounts(0, 5, 0), BandCounts(1, 0, 0))
    )
    counts = facts(one, other).vulnerability_counts
    assert counts
    assert (counts.critical, counts.major, counts.minor, counts.all) == (1, 5, 0, 5)
    assert isinstance(counts, VulnerabilityCounts)


def test_an_entry_with_a_problem_counts_nowhere() -> None:
    flawed = entry(problem="is not signed", signed_by=("release",))
    known = facts(flawed, replace(flawed, signs_image=True))

    assert (known.components, known.vulnerabilities, known.vulnerability_counts) == (None,) * 3
    assert (known.signatures, known.statements) == (None, ())


# Reports of one tool


NEWER, OLDER = NOW - MINUTE, NOW - 2 * MINUTE


def test_a_newer_report_of_the_same_tool_replaces_the_older() -> None:
    for pair in ((OLDER, NEWER), (NEWER, OLDER)):
        old_and_new = [
            entry(report(found=(BAD,) if at == OLDER else (), made_at=at)) for at in pair
        ]
        assert ids(facts(*old_and_new)) == []


@pytest.mark.parametrize(
    "newer",
    [
        entry(report(found=(), tool="grype")),
        entry(report(found=(), name="cyclonedx-json-1.6")),
        entry(report(found=(), made_at=OLDER)),
        entry(report(found=(), made_at=None)),
        entry(report(found=()), subject=AMD64),
        entry(report(found=()), signed_by=("qa",)),
        entry(report(found=())),
        entry(report(components="a")),
        entry(report(found=(), state=ScanState.RUNNING)),
        entry(report(found=(), made_at=NOW + timedelta(days=1))),
        entry(problem="is not signed"),
        entry(report(found=()), source="registry"),
    ],
    ids=[
        "another tool's",
        "of another format",
        "no newer",
        "undated",
        "of one platform",
        "signed by another",
        "unsigned",
        "about something else",
        "of a running scan",
        "of the future",
        "untrusted",
        "of a later source",
    ],
)
def test_what_speaks_against_an_image_is_not_hidden_by_another_report(newer: Entry) -> None:
    adverse = entry(report(found=(BAD,), made_at=OLDER), signed_by=("release",))

    for entries in ((adverse, newer), (newer, adverse)):
        if newer.source == "registry" and entries[0] is newer:
            continue
        known = facts(*entries, at=AMD64)
        assert ids(known) == ["CVE-1"], entries


def test_reports_of_nobody_or_of_no_time_all_count() -> None:
    nameless = [
        entry(report(found=(BAD,), tool="", made_at=OLDER)),
        entry(report(found=(), tool="")),
    ]
    undated = [entry(report(found=each, made_at=None)) for each in ((BAD,), ())]
    for pair in (nameless, undated):
        assert ids(facts(*pair)) == ids(facts(*reversed(pair))) == ["CVE-1"]


def test_whoever_signs_more_may_replace_what_one_signed() -> None:
    old = entry(report(found=(BAD,), made_at=OLDER), signed_by=("release",))
    new = entry(report(found=()), signed_by=("qa", "release"))

    assert ids(facts(old, new)) == []


_reports = st.builds(
    lambda bad, tool, at, source, by: entry(
        report(found=(BAD,) if bad else (), tool=tool, made_at=at), source, signed_by=by
    ),
    st.booleans(),
    st.sampled_from(["", "trivy", "grype"]),
    st.sampled_from([None, OLDER, NEWER]),
    st.just("referrers"),
    st.sampled_from([(), ("release",), ("qa",)]),
)


@given(st.lists(_reports, min_size=1, max_size=6), st.randoms())
def test_the_order_of_documents_within_a_source_decides_nothing(
    entries: list[Entry], random: object
) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert sorted(ids(facts(*entries)) or ()) == sorted(ids(facts(*shuffled)) or ())
    # The newest of all is never dropped, and so neither is what it says.
    dated = [each for each in entries if each.made_at == NEWER and each.report]
    if any(each.report and each.report.vulnerabilities for each in dated):
        assert ids(facts(*entries))


# What counts for which image


def test_a_report_for_one_platform_counts_for_that_alone() -> None:
    of_amd64 = entry(report(components="a", found=()), subject=AMD64)

    assert names(facts(of_amd64, at=AMD64)) == ["a"]
    assert names(facts(of_amd64, at=IMAGE)) is None
    assert names(facts(entry(report(components="a")), at=AMD64)) == ["a"]


def test_a_signature_of_a_platforms_image_is_none_of_the_index() -> None:
    signature = entry(signs_image=True, signed_by=("release",))

    assert facts(replace(signature, subject=AMD64), at=AMD64).signatures is None
    known = facts(signature, at=AMD64).signatures
    assert known
    assert [each.by for each in known.items] == ["release"]


def test_signatures_are_known_when_each_trigger_finds_one_of_its_signers() -> None:
    dossier = Dossier(IMAGE, (), (entry(signs_image=True, signed_by=("release",)),), (), NOW)

    def known(*signers: set[str]) -> bool:
        weights = Weights(None, NOW, tuple(map(frozenset, signers)))
        return is_known(dossier, Need.SIGNATURES, (IMAGE,), weights)

    assert known({"release"})
    assert known({"release", "qa"}, {"release"})
    assert not known({"qa"})
    assert not known({"release"}, {"qa"})


# Statements


def _says(status: Status = Status.NOT_AFFECTED, at: datetime | None = None) -> Statement:
    return Statement("CVE-1", (), (), status, at=at)


def test_a_statement_of_the_future_takes_nothing_out_and_one_may_speak_against() -> None:
    tomorrow = NOW + timedelta(days=1)
    known = facts(
        entry(report(statements=(_says(at=tomorrow), _says(Status.AFFECTED, tomorrow), _says())))
    )
    assert [(each.status, each.at) for each in known.statements] == [
        (Status.AFFECTED, tomorrow),
        (Status.NOT_AFFECTED, None),
    ]
    assert "not signed" in known.statements[0].source


# What is said


def test_what_is_not_known_says_why_what_explains_it_first() -> None:
    notes = (
        Note("referrers", IMAGE, "a chart is no evidence"),
        Note("registry", IMAGE, "the scan is running", ScanState.RUNNING),
        Note("files", IMAGE, "could not be asked", is_failure=True),
        Note("files", AMD64, "of no concern", is_failure=True),
    )
    known = facts(
        entry(problem="is not signed"),
        entry(signs_image=True, problem="is by no known signer"),
        notes=notes,
    )
    assert known.why_no_components == (
        "no component list that counts: somewhere is not signed; registry: the scan is running; "
        "files: could not be asked"
    )
    assert "somewhere is by no known signer" in known.why_no_signatures
    assert "no known signer" not in known.why_no_components
    assert facts().why_no_vulnerabilities == "no vulnerability report yet"
    assert facts().why_no_signatures == "no signature yet"


def test_only_what_would_have_told_it_explains_that_something_is_unknown() -> None:
    sbom = entry(problem="is not signed", speaks_of=frozenset({Need.COMPONENTS}))
    known = facts(sbom)

    assert "is not signed" in known.why_no_components
    assert known.why_no_vulnerabilities == "no vulnerability report yet"


def test_a_report_is_described_by_tool_time_age_place_and_signers() -> None:
    made = entry(report(made_at=NOW - timedelta(days=3)), signed_by=("release", "qa"))

    assert describe(made, NOW) == (
        "trivy report of 2026-11-21 12:00Z (3 days old), somewhere, signed by release and qa"
    )
    assert describe(entry(report(tool="", made_at=None)), NOW) == "report, somewhere, not signed"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-0.01, "less than a day old"),
        (0.99, "less than a day old"),
        (1, "1 day old"),
        (2.5, "2 days old"),
    ],
)
def test_ages_change_with_the_day_alone(days: float, words: str) -> None:
    assert age(timedelta(days=days)) == words
