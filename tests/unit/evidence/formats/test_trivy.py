from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Component, Score, Status, Vulnerability
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import Document, trivy, trivy_result, trivy_vulnerability


def _report(*results: Document, **members: object) -> Report:
    return read_report(written(trivy(*results, **members)))


def _vulnerability(**members: object) -> Vulnerability:
    found = _report(trivy_result(trivy_vulnerability(**members))).vulnerabilities
    assert found is not None
    [vulnerability] = found
    return vulnerability


def test_a_report_is_read() -> None:
    report = _report(trivy_result(trivy_vulnerability()))
    assert report.format == "trivy-json-2"
    assert report.state is ScanState.COMPLETE
    assert report.components is None
    assert report.provenance == Provenance(
        "trivy", "0.70.0", datetime(2026, 11, 23, 10, tzinfo=UTC), scans.IMAGE_DIGEST
    )
    assert report.vulnerabilities == (
        Vulnerability(
            id="CVE-2099-0001",
            package="libnone",
            version="1.0-1",
            severity="MEDIUM",
            score=9.8,
            scores=(Score(10, "2", "nvd"), Score(9.8, "3.1", "nvd"), Score(5.1, "3.1", "vendor")),
            purl=scans.PURL,
            fixed_in=("1.0-2", "1.1-1"),
        ),
    )


def test_a_result_about_packages_without_findings_is_a_clean_one() -> None:
    assert _report(trivy_result()).vulnerabilities == ()
    assert _report().vulnerabilities == ()


def test_results_about_other_things_say_nothing_of_vulnerabilities() -> None:
    secrets: Document = {"Target": "/etc/key", "Class": "secret", "Secrets": [{"RuleID": "x"}]}
    assert _report(secrets).vulnerabilities is None
    assert _report(secrets, trivy_result()).vulnerabilities == ()


def test_that_a_mended_package_can_be_had_does_not_make_the_image_mended() -> None:
    assert _vulnerability(Status="fixed").status is None
    assert _vulnerability(Status="not_affected").status is None
    assert _vulnerability(Status="under_investigation").status is Status.UNDER_INVESTIGATION


@pytest.mark.parametrize("status", ["not_affected", "fixed"])
def test_what_a_vex_document_ruled_out_is_kept_with_what_it_says(status: str) -> None:
    modified = {"Type": "vulnerability", "Status": status, "Finding": trivy_vulnerability()}
    report = _report(trivy_result(ExperimentalModifiedFindings=[modified]))
    assert [each.status for each in report.vulnerabilities or ()] == [Status(status)]


def test_what_trivy_was_told_to_ignore_is_not_listed() -> None:
    ignored = {"Type": "vulnerability", "Status": "ignored", "Finding": trivy_vulnerability()}
    license_ = {"Type": "license", "Status": "not_affected", "Finding": {"Name": "MIT"}}
    result = trivy_result(ExperimentalModifiedFindings=[ignored, license_])
    assert _report(result).vulnerabilities == ()


def test_a_score_of_0_without_a_vector_is_no_score() -> None:
    unrated = _vulnerability(CVSS={"nvd": {"V3Score": 0}, "vendor": {}})
    assert (unrated.score, unrated.scores) == (None, ())
    rated = _vulnerability(CVSS={"nvd": {"V3Score": 0, "V3Vector": scans.VECTOR}})
    assert rated.score == 0


def test_the_newest_version_of_cvss_decides() -> None:
    vector = "CVSS:4.0/AV:N/AC:L"
    scores = {"V2Score": 10, "V3Score": 9, "V40Score": 3.5, "V40Vector": vector}
    assert _vulnerability(CVSS={"nvd": scores}).score == 3.5


@pytest.mark.parametrize("score", [-1, 10.1, 1e400, "9.8", True])
def test_what_is_no_score_is_refused(score: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match="V3Score"):
        read_report(
            written(
                trivy(trivy_result(trivy_vulnerability(CVSS={"nvd": {"V3Score": score}})))
            ).replace(b"Infinity", b"1e400")
        )


def test_packages_are_components_with_the_whole_version_and_all_licenses() -> None:
    deb: Document = {
        "Name": "libnone",
        "Version": "1.0",
        "Release": "1",
        "Epoch": 2,
        "Licenses": ["MIT"],
    }
    npm: Document = {
        "Name": "@none/core",
        "Version": "3",
        "Identifier": {"PURL": "pkg:npm/%40none/core@3"},
    }
    report = _report(
        trivy_result(Packages=[deb]),
        trivy_result(Class="lang-pkgs", Packages=[npm, npm]),
        trivy_result(Class="license", Licenses=[{"PkgName": "@none/core", "Name": "Apache-2.0"}]),
    )
    assert report.components == (
        Component("libnone", "2:1.0-1", None, ("MIT",)),
        Component("@none/core", "3", "pkg:npm/%40none/core@3", ("Apache-2.0",)),
    )


def test_licenses_alone_make_no_list_of_components() -> None:
    result = trivy_result(Class="license", Licenses=[{"PkgName": "libnone", "Name": "MIT"}])
    assert _report(result).components is None


def test_the_configuration_is_not_taken_for_the_image() -> None:
    one = {"ImageID": scans.IMAGE_DIGEST}
    assert _report(Metadata=one).provenance.subject_digest is None
    two = {"RepoDigests": [f"a@{scans.IMAGE_DIGEST}", "b@sha256:" + 64 * "b"]}
    assert _report(Metadata=two).provenance.subject_digest is None
    same = {"RepoDigests": [f"a@{scans.IMAGE_DIGEST}", f"b@{scans.IMAGE_DIGEST}"]}
    assert _report(Metadata=same).provenance.subject_digest == scans.IMAGE_DIGEST


@pytest.mark.parametrize("member", ["VulnerabilityID", "PkgName"])
@pytest.mark.parametrize("value", [None, "", " ", 1])
def test_a_finding_that_cannot_be_counted_is_refused(member: str, value: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match=rf"Vulnerabilities\[0\]\.{member}"):
        _vulnerability(**{member: value})


@pytest.mark.parametrize("schema", [1, 3, "2"])
def test_another_schema_is_refused(schema: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match="SchemaVersion"):
        _report(SchemaVersion=schema)
