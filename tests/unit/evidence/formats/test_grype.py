from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Status, Vulnerability
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import Document, grype, grype_match


def _report(*matches: Document, database: object = None, **members: object) -> Report:
    return read_report(written(grype(*matches, database=database, **members)))


def test_a_report_is_read() -> None:
    report = _report(grype_match())
    assert (report.format, report.state, report.problem) == ("grype-json", ScanState.COMPLETE, "")
    assert report.components is None
    assert report.provenance == Provenance(
        "grype", "0.99.0", datetime(2026, 11, 23, 11, 0, 0, 607929, UTC), scans.IMAGE_DIGEST
    )
    assert report.vulnerabilities == (
        Vulnerability(
            id="GHSA-aaaa-bbbb-cccc",
            package="libnone",
            version="1.0-1",
            severity="Medium",
            score=9.8,
            aliases=("CVE-2099-0001",),
            scores=(Score(5.1, "3.1"), Score(9.8, "3.1", "nvd")),
            purl=scans.PURL,
            fixed_in=("1.0-2",),
        ),
    )


def test_no_matches_with_a_database_in_order_is_a_clean_scan() -> None:
    report = _report()
    assert (report.vulnerabilities, report.state) == ((), ScanState.COMPLETE)


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ({}, "when its vulnerability database was built"),
        ({"status": {"built": "2026-11-22T00:00:00Z", "valid": False}}, "was not valid"),
        (
            {"status": {"built": "2026-11-22T00:00:00Z", "valid": True, "error": "no such file"}},
            "in error: no such file",
        ),
        ({"status": {"valid": True}}, "when its vulnerability database was built"),
        ({"status": {"built": "0001-01-01T00:00:00Z", "valid": True}}, "database was built"),
        ({"built": "2026-11-22T00:00:00Z", "error": "broken"}, "in error: broken"),
        ({"schemaVersion": 5, "error": None}, "when its vulnerability database was built"),
    ],
)
def test_a_scan_whose_database_was_not_in_order_has_failed(database: object, problem: str) -> None:
    report = _report(database=database)
    assert report.state is ScanState.FAILED
    assert problem in report.problem


def test_a_report_that_names_no_database_is_of_a_failed_scan() -> None:
    report = _report(grype_match(), descriptor={"name": "grype"})
    assert report.state is ScanState.FAILED
    assert "does not say which vulnerability database" in report.problem


def test_the_status_of_the_database_stood_elsewhere_in_older_versions() -> None:
    built = {"built": "2023-05-17T01:32:43Z", "schemaVersion": 5, "error": None}
    assert _report(database=built).state is ScanState.COMPLETE
    assert _report(database=built | {"valid": True}).state is ScanState.COMPLETE


def test_ignored_matches_are_not_listed_but_what_vex_ruled_out_is() -> None:
    def ignored(**rule: object) -> Document:
        return grype_match() | {"appliedIgnoreRules": [rule]}

    report = _report(
        ignoredMatches=[
            ignored(vulnerability="GHSA-aaaa-bbbb-cccc"),
            ignored(**{"namespace": "vex", "vex-status": "not_affected"}),
            ignored(**{"vex-status": "fixed"}),
            ignored(**{"vex-status": "affected"}),
        ]
    )
    statuses = [each.status for each in report.vulnerabilities or ()]
    assert statuses == [Status.NOT_AFFECTED, Status.FIXED]


def test_a_vulnerability_without_a_score_keeps_its_word() -> None:
    bare = grype_match(severity="Negligible", cvss=[]) | {"relatedVulnerabilities": None}
    [found] = _report(bare).vulnerabilities or ()
    assert (found.severity, found.score, found.band) == ("Negligible", None, "other")


def test_the_registrys_digest_goes_before_grypes_own() -> None:
    target = {"manifestDigest": "sha256:" + 64 * "b", "repoDigests": [f"a@{scans.IMAGE_DIGEST}"]}
    report = _report(source={"type": "image", "target": target})
    assert report.provenance.subject_digest == scans.IMAGE_DIGEST
    folder = _report(source={"type": "directory", "target": "/srv"})
    assert folder.provenance.subject_digest is None


def test_a_report_whose_matches_are_no_list_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match="matches"):
        _report(matches={})
