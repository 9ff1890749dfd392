from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.dtr import read_answer
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import BandCounts, Provenance, ScanState
from image_promotion.policy.facts import Band, Component, Score, Vulnerability
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import dtr_scan, dtr_summary


def test_a_tag_carries_the_numbers_of_its_scan_and_no_list() -> None:
    tag = {"name": "1.0", "digest": scans.IMAGE_DIGEST, "vuln_summary": dtr_summary()}
    report = read_report(written(tag))
    assert (report.format, report.state) == ("dtr-scan-summary", ScanState.COMPLETE)
    assert report.counts == BandCounts(critical=1, major=0, minor=2)
    assert (report.components, report.vulnerabilities) == (None, None)
    assert report.provenance == Provenance(
        "dtr", "", datetime(2026, 11, 23, 0, 0, 0, 235343, UTC), scans.IMAGE_DIGEST
    )


def test_the_layers_details_give_components_licenses_and_vulnerabilities() -> None:
    report = read_report(written(dtr_scan()))
    assert (report.format, report.counts) == ("dtr-scan", None)
    assert report.components == (Component("libnone", "1.0", None, ("MIT",)),)
    found = report.vulnerabilities or ()
    assert len(found) == 4
    assert set(found) == {
        Vulnerability("CVE-2099-0001", "libnone", "1.0", "", 9.8, scores=(Score(9.8),)),
        Vulnerability("CVE-2099-0002", "libnone", "1.0", ""),
    }
    assert [each.band for each in found[:2]] == [Band.CRITICAL, Band.OTHER]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, ScanState.FAILED),
        (1, ScanState.NOT_SCANNED),
        (2, ScanState.RUNNING),
        (3, ScanState.PENDING),
        (4, ScanState.RUNNING),
        (5, ScanState.RUNNING),
    ],
)
def test_the_zeros_of_a_scan_that_is_not_completed_are_no_numbers(
    status: int, state: ScanState
) -> None:
    summary = dtr_summary(critical=0, minor=0, last_scan_status=status)
    report = read_report(written(summary))
    assert report.state is state
    assert report.problem.startswith("DTR ")
    assert report.counts is None


def test_a_scan_that_dtr_wants_repeated_is_complete_as_far_as_it_goes() -> None:
    # How old a scan may be is for the policy to say, by max_age.
    report = read_report(written(dtr_summary(should_rescan=True)))
    assert report.state is ScanState.COMPLETE
    assert report.counts is not None


def test_the_details_of_older_versions_tell_by_their_time_whether_they_are_complete() -> None:
    old = {"layer_details": [], "check_completed_at": "2026-11-23T00:00:00Z"}
    assert read_report(written(old)).state is ScanState.COMPLETE
    unset = read_report(written(old | {"check_completed_at": "0001-01-01T00:00:00Z"}))
    assert unset.state is ScanState.PENDING
    assert unset.provenance.created_at is None


@pytest.mark.parametrize("status", [7, -1, "6"])
def test_an_unknown_status_is_refused(status: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match="last_scan_status"):
        read_report(written(dtr_summary(last_scan_status=status)))


@pytest.mark.parametrize("number", [None, -1, 1.5, "0"])
def test_a_number_that_is_none_is_refused(number: object) -> None:
    tag = {"vuln_summary": dtr_summary(major=number)}
    with pytest.raises(UnreadableEvidenceError, match=r"vuln_summary\.major"):
        read_report(written(tag))


def test_the_answer_is_a_list_with_one_scan() -> None:
    one = written(dtr_scan())
    assert read_answer(b"[" + one + b"]") == read_report(one)
    assert read_answer(b"[]").state is ScanState.NOT_SCANNED


@pytest.mark.parametrize(
    ("answer", "why"), [(b"[{}, {}]", "holds 2 scans"), (b"[{}]", "no scan"), (b"[", "not JSON")]
)
def test_another_list_is_refused(answer: bytes, why: str) -> None:
    with pytest.raises(UnreadableEvidenceError, match=why):
        read_answer(answer)
