from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_predicate, read_report
from image_promotion.evidence.formats.text import read_json_report
from image_promotion.evidence.report import Report, Statement
from image_promotion.policy.facts import Status
from tests.support import scans
from tests.support.sboms import written
from tests.support.scans import Document, openvex, vex_statement

SAID = datetime(2026, 11, 23, tzinfo=UTC)


def _report(*statements: Document, **members: object) -> Report:
    return read_report(written(openvex(*statements, **members)))


def test_a_document_is_read() -> None:
    report = _report(vex_statement())
    assert report.format == "openvex-0.2.0"
    assert (report.components, report.vulnerabilities) == (None, None)
    assert report.provenance.created_at == SAID
    assert report.statements == (
        Statement(
            vulnerability="CVE-2099-0001",
            aliases=("GHSA-aaaa-bbbb-cccc",),
            products=("pkg:oci/website", scans.IMAGE_DIGEST),
            status=Status.NOT_AFFECTED,
            justification="vulnerable_code_not_present",
            at=SAID,
            subcomponents=("libnone", scans.PURL),
        ),
    )


def test_what_is_said_of_a_part_of_one_product_is_not_said_of_another() -> None:
    statements = _report(
        vex_statement(
            products=[
                {"@id": "pkg:oci/website", "subcomponents": [{"@id": scans.PURL}]},
                {"@id": "pkg:oci/shop"},
                {"@id": "pkg:oci/blog", "subcomponents": [{"@id": scans.PURL}]},
            ]
        )
    ).statements
    assert [(each.products, each.subcomponents) for each in statements] == [
        (("pkg:oci/website", "pkg:oci/blog"), (scans.PURL,)),
        (("pkg:oci/shop",), ()),
    ]


def test_a_product_that_names_nothing_is_nothing_else_either() -> None:
    [statement] = _report(vex_statement(products=[{"subcomponents": [{"@id": "a"}]}])).statements
    assert (statement.products, statement.subcomponents) == ((), ("a",))


def test_documents_of_before_0_2_name_everything_by_texts() -> None:
    old: Document = {
        "vulnerability": "CVE-2099-0001",
        "products": ["pkg:oci/website"],
        "subcomponents": [scans.PURL],
        "status": "fixed",
    }
    report = _report(old, **{"@context": "https://openvex.dev/ns"})
    assert report.format == "openvex"
    [statement] = report.statements
    assert statement.vulnerability == "CVE-2099-0001"
    assert statement.products == ("pkg:oci/website",)
    assert statement.subcomponents == (scans.PURL,)


def test_a_statement_without_products_is_about_what_it_is_attached_to() -> None:
    [statement] = _report(vex_statement(products=None)).statements
    assert (statement.products, statement.subcomponents) == ((), ())


def test_a_statement_was_said_when_it_last_changed() -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    statements = _report(
        vex_statement(timestamp=early),
        vex_statement(timestamp=early, last_updated=late),
        vex_statement(),
        last_updated="2026-12-01T00:00:00Z",
    ).statements
    months = [each.at.month for each in statements if each.at]
    assert months == [1, 2, 12]


def test_each_status_is_read_and_no_other() -> None:
    for status in Status:
        [statement] = _report(vex_statement(status=str(status))).statements
        assert statement.status is status
    with pytest.raises(UnreadableEvidenceError, match=r"status is not one of .*not_affected"):
        _report(vex_statement(status="harmless"))


@pytest.mark.parametrize("statements", [None, {}, "none"])
def test_a_document_without_a_list_of_statements_is_refused(statements: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match="statements is no list"):
        _report(statements=statements)


def test_a_predicate_is_read_as_a_document() -> None:
    fields = read_json_report(written(openvex(vex_statement())))
    assert len(read_predicate("https://openvex.dev/ns/v0.2.0", fields).statements) == 1
