from __future__ import annotations

import json

import pytest

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_predicate, read_report
from image_promotion.evidence.formats.text import (
    MAX_DEPTH,
    MAX_SIZE_BYTES,
    MAX_VALUES,
    read_json_report,
    refuse,
)
from image_promotion.registry.document import Fields
from tests.support import sboms
from tests.support.sboms import Document, written


@pytest.mark.parametrize("named", list(sboms.in_each_format(0)))
def test_each_format_is_recognised_by_what_it_says_of_itself(named: str) -> None:
    report = read_report(sboms.in_each_format(3)[named])
    assert report.format == named
    assert report.components is not None
    assert len(report.components) == 3
    assert report.provenance.subject_digest == sboms.IMAGE_DIGEST


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"packages": [{"name": "bash"}]},
        {"components": [{"name": "bash"}], "specVersion": "1.6"},
        {"artifacts": [], "descriptor": {"name": "syft"}},
        {"bomFormat": "cyclonedx", "specVersion": "1.6"},
        {"spdxVersion": 2.3},
        {"spdxVersion": "SPDX-1.2"},
    ],
)
def test_a_document_that_does_not_say_what_it_is_stays_unknown(document: Document) -> None:
    with pytest.raises(UnknownFormatError):
        read_report(written(document))


@pytest.mark.parametrize(
    "content",
    [b"", b"   ", b"[]", b"null", b"SPDXVersion: SPDX-2.3\n", b"\xff\xfe", b'{"a": 1, "a": 2}'],
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableEvidenceError):
        read_report(content)


def test_a_report_is_bounded_in_size_depth_and_number_of_values() -> None:
    for content, rule in (
        (b" " * (MAX_SIZE_BYTES + 1), "bytes, more than"),
        (b"<" + b" " * MAX_SIZE_BYTES, "bytes, more than"),
        (b'{"a":' * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels deep"),
        (b'{"a":[' + b"[]," * (MAX_VALUES // 2 + 1), "may have more than"),
    ):
        with pytest.raises(UnreadableEvidenceError, match=rule):
            read_report(content)


@pytest.mark.parametrize(
    ("type_", "named"),
    [
        ("https://spdx.dev/Document", "spdx-json-2.3"),
        ("https://spdx.dev/Document/v2.3", "spdx-json-2.3"),
        ("https://spdx.dev/Document", "spdx-json-3.0.1"),
        ("https://cyclonedx.org/bom", "cyclonedx-json-1.6"),
        ("https://cyclonedx.org/bom/v1.6", "cyclonedx-json-1.6"),
    ],
)
def test_a_predicate_is_read_as_its_type_says(type_: str, named: str) -> None:
    document = sboms.JSON_FORMATS[named](3)
    for predicate in (document, {"Data": document, "Timestamp": "2026-01-01T00:00:00Z"}):
        fields = Fields("the statement", "predicate", predicate, refuse)
        assert read_predicate(type_, fields) == read_report(written(document))


def test_a_predicate_that_is_not_what_its_type_says_is_refused() -> None:
    fields = Fields("the statement", "predicate", sboms.cyclonedx(1), refuse)
    with pytest.raises(UnknownFormatError, match="is what its type says"):
        read_predicate("https://spdx.dev/Document", fields)


def test_a_predicate_of_an_unknown_type_stays_unknown() -> None:
    fields = Fields("the statement", "predicate", sboms.cyclonedx(1), refuse)
    with pytest.raises(UnknownFormatError, match=r"type 'https://example\.org/'"):
        read_predicate("https://example.org/", fields)


def test_a_refused_report_is_evidence_that_cannot_be_read() -> None:
    fields = read_json_report(json.dumps({"a": {"b": 3}}).encode())
    with pytest.raises(
        UnreadableEvidenceError, match=r"the report: a\.b is 3, not a text"
    ) as caught:
        fields.fields("a").text("b")
    assert "made anew" in caught.value.advice
