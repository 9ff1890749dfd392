from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Report, Statement
from image_promotion.policy.facts import Band, Score, Status, Vulnerability
from tests.support import sboms
from tests.support.sboms import Document, written

SSL: Document = {"bom-ref": "ssl", "name": "libssl3", "version": "3.0.1", "purl": "pkg:deb/libssl3"}
IMAGE: Document = {"bom-ref": "image", "name": "website", "purl": sboms.IMAGE_PURL}
SERIAL = "6a8af094-e673-41b9-b6cc-4f9a7d19c974"
ELSEWHERE = "urn:cdx:00000000-e673-41b9-b6cc-4f9a7d19c974/1#"
FOUND: Document = {"id": "CVE-1", "affects": [{"ref": "ssl"}]}
NOT_AFFECTED = {"state": "not_affected", "justification": "code_not_reachable"}


def _report(*vulnerabilities: Document, components: object = (SSL,), **metadata: object) -> Report:
    return read_report(
        written(
            {
                "bomFormat": "CycloneDX",
                "specVersion": "1.6",
                "serialNumber": f"urn:uuid:{SERIAL}",
                "metadata": {"timestamp": "2026-01-01T00:00:00Z", "component": IMAGE} | metadata,
                "components": components,
                "vulnerabilities": vulnerabilities,
            }
        )
    )


def _one(**members: object) -> Vulnerability:
    read = _report(FOUND | members).vulnerabilities
    assert read is not None
    [vulnerability] = read
    return vulnerability


def _affecting(*refs: str, **members: object) -> tuple[Vulnerability, ...]:
    affects = [{"ref": ref} for ref in refs]
    read = _report(FOUND | {"affects": affects} | members).vulnerabilities
    assert read is not None
    return read


def test_a_finding_of_a_scanner_is_read() -> None:
    read = read_report(written(sboms.cyclonedx(1))).vulnerabilities
    assert read == (
        Vulnerability(
            id="CVE-2099-0000",
            package="package-0",
            version="1.0-2+b1",
            severity="critical",
            score=9.8,
            aliases=("GHSA-0000-xxxx-yyyy",),
            scores=(Score(9.8, "3.1", "nvd"),),
            purl=sboms.purl(0),
            fixed_in=("1.0-3",),
        ),
    )


def test_one_that_affects_several_packages_is_one_for_each() -> None:
    other = {"bom-ref": "other", "group": "org.example", "name": "other", "purl": "pkg:maven/o/o@1"}
    affects = [{"ref": "ssl"}, {"ref": "other"}]
    report = _report(FOUND | {"affects": affects}, components=[SSL, other])
    assert report.vulnerabilities
    assert [(each.package, each.version) for each in report.vulnerabilities] == [
        ("libssl3", "3.0.1"),
        ("org.example:other", ""),
    ]


def test_the_newest_version_of_cvss_decides_and_all_scores_are_kept() -> None:
    read = _one(
        ratings=[
            {"score": 10, "method": "CVSSv2", "source": {"name": "nvd"}},
            {"score": 5.0, "method": "CVSSv3"},
            {"score": 6.5, "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
            {"score": 3.0, "method": "OWASP"},
            {"score": 1.0, "method": "other"},
        ]
    )
    assert read.scores == (Score(10, "2.0", "nvd"), Score(5, "3.0"), Score(6.5, "3.1"))
    assert read.score == 6.5
    assert read.band is Band.MAJOR


def test_the_newest_method_is_version_4() -> None:
    ratings = [{"score": 9.9, "method": "CVSSv31"}, {"score": 2.0, "method": "CVSSv4"}]
    assert _one(ratings=ratings).score == 2.0


@pytest.mark.parametrize("score", [-0.1, 10.1, 10**400, "99", "nan", "1_0", "-1", "", True, []])
def test_a_score_that_is_none_is_refused(score: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"ratings\[0\]\.score"):
        _one(ratings=[{"score": score, "method": "CVSSv31"}])


def test_a_score_may_be_written_as_a_text() -> None:
    assert _one(ratings=[{"score": "9.8", "method": "CVSSv31"}]).score == 9.8


def test_a_score_of_nothing_beside_a_severity_is_not_believed() -> None:
    read = _one(ratings=[{"score": 0.0, "severity": "critical", "method": "CVSSv31"}])
    assert (read.score, read.band) == (None, Band.CRITICAL)
    assert _one(ratings=[{"score": 0.0, "severity": "none", "method": "CVSSv31"}]).score == 0


def test_the_severity_is_that_of_the_source_of_the_vulnerability() -> None:
    ratings = [
        {"severity": "low", "source": {"name": "debian"}},
        {"severity": "critical", "source": {"name": "nvd"}},
    ]
    assert _one(source={"name": "debian"}, ratings=ratings).severity == "low"
    assert _one(source={"name": "ghsa"}, ratings=ratings).severity == "critical"
    assert _one(ratings=[]).severity == ""
    assert _one(ratings=[{"severity": "unknown"}]).severity == "unknown"
    assert _one(ratings=[{"severity": "dire"}, {"score": 1.0}]).severity == "dire"


def test_versions_that_mend_it_are_read_as_grype_and_trivy_write_them() -> None:
    unaffected = [
        {"version": "3.0.1", "status": "affected"},
        {"range": "vers:deb/>=3.0.2", "status": "unaffected"},
        {"version": "3.0.3", "status": "unaffected"},
        {"version": "3.0.1", "status": "unaffected"},
        {"range": "vers:deb/>=1|<2", "status": "unaffected"},
    ]
    advice = "Upgrade libssl3 to version 3.0.4, 3.1.0; Upgrade other to version 9"
    affects = [{"ref": "ssl", "versions": unaffected}]
    assert _one(affects=affects).fixed_in == ("3.0.2", "3.0.3")
    assert _one(recommendation=advice).fixed_in == ("3.0.4", "3.1.0")


def test_an_analysis_of_a_component_is_the_status_of_the_finding() -> None:
    states = {
        "resolved": Status.FIXED,
        "resolved_with_pedigree": Status.FIXED,
        "exploitable": Status.AFFECTED,
        "in_triage": Status.UNDER_INVESTIGATION,
        "false_positive": Status.NOT_AFFECTED,
        "not_affected": Status.NOT_AFFECTED,
    }
    for state, status in states.items():
        report = _report(FOUND | {"analysis": {"state": state}})
        assert report.statements == ()
        assert report.vulnerabilities
        assert report.vulnerabilities[0].status is status
    assert _one(analysis={"detail": "?"}).status is None


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"analysis\.state is not one of"):
        _one(analysis={"state": "fine"})


def test_a_document_of_statements_alone_found_nothing() -> None:
    about_image = FOUND | {
        "affects": [{"ref": "image"}],
        "analysis": NOT_AFFECTED | {"lastUpdated": "2026-02-02T00:00:00Z"},
        "references": [{"id": "GHSA-1"}, {"id": "CVE-1"}],
    }
    report = _report(about_image, components=None)
    assert report.vulnerabilities is None
    assert report.statements == (
        Statement(
            "CVE-1",
            ("GHSA-1",),
            (sboms.IMAGE_DIGEST,),
            Status.NOT_AFFECTED,
            "code_not_reachable",
            datetime(2026, 2, 2, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize(
    ("about", "products"),
    [
        ({"name": "website", "purl": sboms.IMAGE_PURL}, (sboms.IMAGE_DIGEST,)),
        ({"name": "website", "purl": "pkg:generic/website"}, ("pkg:generic/website",)),
        ({"name": "website"}, ("website",)),
        (None, ()),
    ],
)
def test_a_statement_is_about_what_its_document_is_about(
    about: Document | None, products: tuple[str, ...]
) -> None:
    said: Document = {"id": "CVE-1", "analysis": NOT_AFFECTED}
    [statement] = _report(said, components=None, component=about).statements
    assert statement.products == products
    assert statement.subcomponents == ()
    assert statement.at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_statement_about_a_part_of_another_document_names_the_part() -> None:
    part = {"ref": f"{ELSEWHERE}pkg:deb/debian/libssl3@3.0.1"}
    said = FOUND | {"affects": [part], "analysis": NOT_AFFECTED}
    [statement] = _report(said, components=None).statements
    assert statement.products == (sboms.IMAGE_DIGEST,)
    assert statement.subcomponents == ("pkg:deb/debian/libssl3@3.0.1",)
    [alone] = _report(said, components=None, component=None).statements
    assert (alone.products, alone.subcomponents) == (("pkg:deb/debian/libssl3@3.0.1",), ())


def test_an_analysis_in_a_document_with_findings_takes_none_of_them_away() -> None:
    about_image: Document = {"id": "CVE-2", "affects": [{"ref": "image"}], "analysis": NOT_AFFECTED}
    report = _report(FOUND, about_image)
    assert report.vulnerabilities
    assert [(each.id, each.status) for each in report.vulnerabilities] == [
        ("CVE-1", None),
        ("CVE-2", Status.NOT_AFFECTED),
    ]
    assert [each.vulnerability for each in report.statements] == ["CVE-2"]


def test_a_finding_about_something_outside_goes_by_its_reference() -> None:
    read = _affecting(
        f"urn:cdx:{SERIAL}/1#ssl",
        f"{ELSEWHERE}pkg:npm/%40angular/core@17.0.0",
        "pkg:deb/debian/zlib1g@1.3",
        f"{ELSEWHERE}some-ref",
        "image",
    )
    assert [(each.package, each.version, each.purl) for each in read] == [
        ("libssl3", "3.0.1", "pkg:deb/libssl3"),
        ("@angular/core", "17.0.0", "pkg:npm/@angular/core@17.0.0"),
        ("zlib1g", "1.3", "pkg:deb/debian/zlib1g@1.3"),
        ("some-ref", "", None),
        ("website", "", sboms.IMAGE_PURL),
    ]


def test_a_finding_that_does_not_say_what_it_affects_counts() -> None:
    assert [each.package for each in _affecting()] == [""]


def test_a_version_is_taken_from_the_finding_where_the_component_has_none() -> None:
    versions = [{"version": "9", "status": "unaffected"}, {"version": "2", "status": "affected"}]
    [read] = (
        _report(FOUND | {"affects": [{"ref": "x", "versions": versions}]}).vulnerabilities or ()
    )
    assert (read.version, read.fixed_in) == ("2", ("9",))


def test_a_reference_to_two_different_components_is_refused() -> None:
    twice = [SSL, SSL | {"name": "other"}]
    with pytest.raises(UnreadableEvidenceError, match="bom-ref of several components"):
        _report(FOUND, components=twice)
    assert _report(FOUND, components=[SSL, SSL]).vulnerabilities, "the same one twice is one"


@pytest.mark.parametrize("identifier", [None, "", 1])
def test_a_vulnerability_without_an_identifier_is_refused(identifier: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"vulnerabilities\[1\]\.id"):
        _report(FOUND, FOUND | {"id": identifier})


def test_an_empty_list_is_clean_unless_its_tool_writes_one_without_looking() -> None:
    assert _report(tools=[{"name": "scanner"}]).vulnerabilities == ()
    for silent in ("trivy", "grype"):
        assert _report(tools=[{"name": silent}]).vulnerabilities is None
        assert _report(FOUND, tools=[{"name": silent}]).vulnerabilities
