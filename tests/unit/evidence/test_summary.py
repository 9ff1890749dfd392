from __future__ import annotations

import base64
import json

import pytest

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.report import BandCounts, Report, ScanState, Statement
from image_promotion.evidence.summary import VulnerabilityNumbers, read_evidence, summarise
from image_promotion.policy.facts import Band, Component, Status, Vulnerability
from tests.support import sboms, scans
from tests.support.sboms import written
from tests.support.scans import Document, cosign_predicate, dtr_summary, trivy, trivy_result


def _vulnerability(
    number: int = 1,
    severity: str = "HIGH",
    score: float | None = None,
    *,
    package: str = "libnone",
    status: Status | None = None,
) -> Vulnerability:
    return Vulnerability(f"CVE-{number}", package, "1", severity, score, status=status)


def _numbers(*vulnerabilities: Vulnerability) -> VulnerabilityNumbers:
    numbers = summarise(Report("any", vulnerabilities=vulnerabilities)).vulnerabilities
    assert numbers is not None
    return numbers


def test_a_vulnerability_counts_once_for_each_identifier_package_and_version() -> None:
    numbers = _numbers(_vulnerability(), _vulnerability(), _vulnerability(package="other"))
    assert numbers.total == 2
    assert numbers.by_severity == {"HIGH": 2}
    assert numbers.by_band == {Band.CRITICAL: 2, Band.MAJOR: 0, Band.MINOR: 0}


def test_one_that_is_rated_twice_counts_under_both_and_once_in_all() -> None:
    numbers = _numbers(_vulnerability(severity="HIGH"), _vulnerability(severity="LOW"))
    assert numbers.total == 1
    assert numbers.by_severity == {"HIGH": 1, "LOW": 1}
    assert numbers.by_band == {Band.CRITICAL: 1, Band.MAJOR: 0, Band.MINOR: 1}


def test_what_nobody_rated_counts_in_all_and_as_unknown() -> None:
    numbers = _numbers(_vulnerability(severity=""), _vulnerability(2, severity="", score=9.8))
    assert numbers.total == 2
    assert numbers.by_severity == {"UNKNOWN": 1, "CRITICAL": 1}
    assert sum(numbers.by_band.values()) == 1


def test_what_the_report_itself_rules_out_does_not_count() -> None:
    numbers = _numbers(*(_vulnerability(at, status=status) for at, status in enumerate(Status)))
    assert numbers.total == 2


def test_components_count_once_and_each_under_all_of_its_licenses() -> None:
    components = (
        Component("a", "1", None, ("MIT", "Zlib")),
        Component("a", "2", None, ("MIT",)),
        Component("a", "2", None, ("MIT",)),
        Component("b"),
    )
    summary = summarise(Report("any", components=components))
    assert summary.components == 3
    assert list(summary.licenses.items()) == [("MIT", 2), ("Zlib", 1)]


def test_a_document_that_says_nothing_of_something_has_no_number_for_it() -> None:
    statement = Statement("CVE-1", (), (), Status.FIXED)
    summary = summarise(Report("openvex", statements=(statement,)))
    assert (summary.components, summary.vulnerabilities) == (None, None)
    assert summary.statements == 1
    empty = summarise(Report("any", components=(), vulnerabilities=()))
    assert empty.components == 0
    assert empty.vulnerabilities is not None
    assert empty.vulnerabilities.total == 0


def test_numbers_without_a_list_are_taken_as_they_are() -> None:
    numbers = summarise(Report("any", counts=BandCounts(1, 2, 3))).vulnerabilities
    by_band = {Band.CRITICAL: 1, Band.MAJOR: 2, Band.MINOR: 3}
    assert numbers == VulnerabilityNumbers(6, {}, by_band)


def test_nothing_found_by_a_scan_that_failed_is_not_zero() -> None:
    failed = Report("any", vulnerabilities=(), state=ScanState.FAILED, problem="no database")
    assert summarise(failed).vulnerabilities is None
    found = Report("any", vulnerabilities=(_vulnerability(),), state=ScanState.FAILED)
    numbers = summarise(found).vulnerabilities
    assert numbers is not None
    assert numbers.total == 1


def _statement(predicate_type: str, predicate: object, *digests: str) -> Document:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "website", "digest": {"sha256": each}} for each in digests],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def _envelope(statement: Document) -> Document:
    return {
        "payloadType": "application/vnd.in-toto+json",
        "payload": base64.b64encode(json.dumps(statement).encode()).decode(),
        "signatures": [{"sig": "AAAA"}],
    }


def _bundle(statement: Document) -> Document:
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "key"}},
        "dsseEnvelope": _envelope(statement),
    }


COSIGN = "https://cosign.sigstore.dev/attestation/vuln/v1"


@pytest.mark.parametrize("wrap", [dict, _envelope, _bundle])
def test_a_statement_is_read_whatever_wraps_it(wrap: type[Document]) -> None:
    scan = trivy(trivy_result(scans.trivy_vulnerability()), Metadata=None)
    statement = _statement(COSIGN, cosign_predicate(scan), 64 * "d")
    report = read_evidence(written(wrap(statement)))
    assert report.format == "cosign-vuln-v1+trivy-json-2"
    assert len(report.vulnerabilities or ()) == 1
    assert report.provenance.subject_digest == "sha256:" + 64 * "d"


def test_a_statement_with_an_sbom_is_read() -> None:
    statement = _statement("https://cyclonedx.org/bom/v1.6", sboms.cyclonedx(3), 64 * "d")
    assert summarise(read_evidence(written(_envelope(statement)))).components == 3


def test_a_statement_about_several_images_names_none() -> None:
    predicate = cosign_predicate(trivy(trivy_result(), Metadata=None))
    statement = _statement(COSIGN, predicate, 64 * "d", 64 * "e")
    assert read_evidence(written(statement)).provenance.subject_digest is None


def test_dtrs_answer_is_a_list() -> None:
    counts = read_evidence(b" [" + written(dtr_summary()) + b"]").counts
    assert counts == BandCounts(1, 0, 2)


def test_a_statement_of_another_kind_is_unknown() -> None:
    with pytest.raises(UnknownFormatError, match="slsa"):
        read_evidence(written(_statement("https://slsa.dev/provenance/v1", {}, 64 * "d")))


@pytest.mark.parametrize("content", [b"", b"  ", b"clean", b"\xa2\x01", b"null", b'"{}"'])
def test_what_is_neither_json_nor_xml_is_unknown(content: bytes) -> None:
    with pytest.raises(UnknownFormatError, match="neither JSON nor XML"):
        read_evidence(content)


def test_a_broken_envelope_is_refused() -> None:
    broken = _envelope(_statement(COSIGN, {}, 64 * "d")) | {"payload": "?"}
    with pytest.raises(UnreadableEvidenceError, match="payload"):
        read_evidence(written(broken))
