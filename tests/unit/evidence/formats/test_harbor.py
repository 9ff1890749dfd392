from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats import harbor as harbor_format
from image_promotion.evidence.formats.harbor import OLD_REPORT_TYPE, REPORT_TYPE
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.report import Provenance, Report, ScanState
from image_promotion.policy.facts import Score, Vulnerability
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import Document, harbor, harbor_vulnerability


def _report(*vulnerabilities: Document, **members: object) -> Report:
    return read_report(written(harbor(*vulnerabilities, **members)))


def test_a_report_is_read() -> None:
    report = _report(harbor_vulnerability(), artifact={"digest": scans.IMAGE_DIGEST})
    assert (report.format, report.state) == ("harbor-report-1.1", ScanState.COMPLETE)
    assert report.components is None
    assert report.provenance == Provenance(
        "trivy", "0.70.0", datetime(2026, 11, 23, tzinfo=UTC), scans.IMAGE_DIGEST
    )
    assert report.vulnerabilities == (
        Vulnerability(
            id="CVE-2099-0001",
            package="libnone",
            version="1.0-1",
            severity="Critical",
            score=9.8,
            scores=(Score(9.8, "3.1"), Score(9.1, "3.1", "nvd")),
            fixed_in=("1.0-2",),
        ),
    )


@pytest.mark.parametrize("media_type", [REPORT_TYPE, OLD_REPORT_TYPE])
def test_the_answer_wraps_the_report_in_its_media_type(media_type: str) -> None:
    answer: Document = {media_type: harbor(harbor_vulnerability())}
    assert read_report(written(answer)) == _report(harbor_vulnerability())


@pytest.mark.parametrize("vulnerabilities", [[], None])
def test_a_report_of_a_scanner_that_found_nothing_is_a_clean_one(vulnerabilities: object) -> None:
    report = _report(vulnerabilities=vulnerabilities)
    assert (report.vulnerabilities, report.state) == ((), ScanState.COMPLETE)


@pytest.mark.parametrize("answer", [{}, {REPORT_TYPE: None}, {REPORT_TYPE: {}}])
def test_an_empty_answer_is_not_a_clean_image(answer: Document) -> None:
    report = harbor_format.read(read_json_report(written(answer)))
    assert report.state is ScanState.NOT_SCANNED
    assert report.vulnerabilities is None
    assert report.problem == "Harbor has no report about the image"


def test_an_empty_document_from_elsewhere_is_nobodys() -> None:
    with pytest.raises(UnknownFormatError):
        read_report(b"{}")


def test_a_list_that_no_scanner_vouches_for_is_refused() -> None:
    answer: Document = {REPORT_TYPE: {"vulnerabilities": []}}
    with pytest.raises(UnreadableEvidenceError, match="nobody says that anything was scanned"):
        read_report(written(answer))


def test_what_other_scanners_put_into_their_attributes_is_no_fault() -> None:
    found = _report(
        harbor_vulnerability(preferred_cvss=None, vendor_attributes={"CVSS": "none"})
    ).vulnerabilities
    assert found is not None
    assert (found[0].score, found[0].band) == (None, "critical")
