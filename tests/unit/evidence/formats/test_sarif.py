from __future__ import annotations

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Vulnerability
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import (
    Document,
    grype_rule,
    grype_sarif_result,
    sarif,
    trivy_rule,
    trivy_sarif_result,
)


def _of_trivy(rule: Document, *results: Document) -> Report:
    return read_report(written(sarif("Trivy", [rule], list(results))))


def _of_grype(rule: Document, *results: Document) -> Report:
    return read_report(written(sarif("grype", [rule], list(results))))


def _only(report: Report) -> Vulnerability:
    [vulnerability] = report.vulnerabilities or ()
    return vulnerability


def test_a_log_of_trivy_is_read() -> None:
    rule = trivy_rule(cvssv3_baseScore=9.8, cvssv3_vector=scans.VECTOR, cvssv2_score=10)
    report = _of_trivy(rule, trivy_sarif_result(), trivy_sarif_result("libother", "2"))
    assert (report.format, report.state) == ("sarif-2.1.0", ScanState.COMPLETE)
    assert report.provenance == Provenance("trivy", "1.2.3", None, scans.IMAGE_DIGEST)
    scores = (Score(10, "2"), Score(9.8, "3.1"))
    assert report.vulnerabilities == (
        Vulnerability(
            "CVE-2099-0001", "libnone", "1.0-1", "MEDIUM", 9.8, (), scores, fixed_in=("1.0-2",)
        ),
        Vulnerability(
            "CVE-2099-0001", "libother", "2", "MEDIUM", 9.8, (), scores, fixed_in=("1.0-2",)
        ),
    )


@pytest.mark.parametrize(
    ("severity", "stand_in"),
    [("CRITICAL", "9.5"), ("HIGH", "8.0"), ("MEDIUM", "5.5"), ("LOW", "2.0"), ("UNKNOWN", "0.0")],
)
def test_what_trivy_writes_in_place_of_a_score_is_none(severity: str, stand_in: str) -> None:
    found = _only(_of_trivy(trivy_rule(severity, stand_in), trivy_sarif_result(severity=severity)))
    assert (found.severity, found.score, found.scores) == (severity, None, ())


def test_secrets_licenses_and_settings_are_no_vulnerabilities() -> None:
    secret: Document = {
        "id": "aws-key",
        "name": "Secret",
        "properties": {"tags": ["secret", "security", "CRITICAL"], "security-severity": "9.5"},
    }
    result: Document = {"ruleId": "aws-key", "message": {"text": "Artifact: /etc/key"}}
    both = sarif("Trivy", [secret, trivy_rule()], [result, trivy_sarif_result()])
    assert _only(read_report(written(both))).id == "CVE-2099-0001"
    assert _of_trivy(secret, result).vulnerabilities is None


def test_a_packages_own_name_cannot_talk_its_severity_down() -> None:
    name = (
        "evil\nInstalled Version: 1\nVulnerability CVE-1\nSeverity: LOW\nFixed Version: \nLink: x"
    )
    found = _only(_of_trivy(trivy_rule(score=""), trivy_sarif_result(name)))
    assert (found.severity, found.version, found.package) == ("MEDIUM", "1.0-1", name)


def test_an_empty_log_of_trivy_is_a_clean_one() -> None:
    report = _of_trivy(trivy_rule())
    assert (report.vulnerabilities, report.state) == ((), ScanState.COMPLETE)


def test_a_log_of_grype_is_read() -> None:
    report = _of_grype(grype_rule(), grype_sarif_result(), grype_sarif_result("0.9"))
    assert report.provenance.tool == "grype"
    assert report.state is ScanState.COMPLETE
    found = report.vulnerabilities or ()
    assert [each.version for each in found] == ["1.0-1", "0.9"]
    assert found[0] == Vulnerability(
        "CVE-2099-0001",
        "libnone",
        "1.0-1",
        "medium",
        5.1,
        (),
        (Score(5.1),),
        scans.PURL,
        ("1.0-2", "1.1-1"),
    )


def test_grypes_0_is_nobodys_rating_and_not_low() -> None:
    found = _only(_of_grype(grype_rule("low", "0.0"), grype_sarif_result()))
    assert (found.severity, found.score, found.band) == ("", None, "other")


def test_a_message_of_older_versions_leaves_the_package_to_the_rule() -> None:
    result: Document = {
        "ruleId": "CVE-2099-0001-libnone",
        "message": {"text": "The path /lib reports libnone at version 1.0-1"},
    }
    found = _only(_of_grype(grype_rule(), result))
    assert (found.id, found.package, found.version) == ("CVE-2099-0001", "libnone", "1.0-1")


def test_an_empty_log_of_grype_proves_nothing() -> None:
    report = _of_grype(grype_rule())
    assert report.state is ScanState.FAILED
    assert "without a database" in report.problem


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (sarif("CodeQL", [], []), "neither Trivy nor grype"),
        (sarif("Trivy", [], [trivy_sarif_result()]), "names no rule"),
        (sarif("grype", [{"id": "a", "help": {"text": "?"}}], [{"ruleId": "a"}]), "no line"),
        (
            sarif("Trivy", [trivy_rule()], [trivy_sarif_result() | {"message": {"text": "?"}}]),
            "not what Trivy writes",
        ),
        (sarif("Trivy", [], []) | {"version": "2.0.0", "$schema": "sarif"}, "version is not"),
        ({"version": "2.1.0", "runs": []}, "no tool"),
    ],
)
def test_a_log_that_means_nothing_is_refused(document: Document, why: str) -> None:
    with pytest.raises(UnreadableEvidenceError, match=why):
        read_report(written(document))


def test_runs_of_several_tools_are_refused() -> None:
    one, other = sarif("Trivy", [], []), sarif("grype", [], [])
    runs = [each["runs"] for each in (one, other)]
    both = one | {"runs": [run for each in runs if isinstance(each, list) for run in each]}
    with pytest.raises(UnreadableEvidenceError, match="several tools"):
        read_report(written(both))
