from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from tests.support import sboms
from tests.support.sboms import Document, written

SCHEMA = {"version": "3.3.2", "url": "https://raw.githubusercontent.com/anchore/syft/main/s.json"}


def _report(**members: object) -> Report:
    return read_report(written({"schema": SCHEMA, "artifacts": []} | members))


def _licenses(licenses: object) -> tuple[str, ...]:
    components = _report(artifacts=[{"name": "bash", "licenses": licenses}]).components
    assert components is not None
    return components[0].licenses


def test_a_document_is_read() -> None:
    words = ("MIT", "MIT-like")
    assert read_report(written(sboms.syft(2))) == Report(
        "syft-json-16.0.18",
        Provenance(
            "syft", "1.18.1", datetime(2026, 11, 23, 21, 45, 35, tzinfo=UTC), sboms.IMAGE_DIGEST
        ),
        components=(
            Component("package-0", "1.0-2+b1", sboms.purl(0), words, kind="deb"),
            Component("package-1", "1.1-2+b1", sboms.purl(1), words, kind="deb"),
        ),
    )


@pytest.mark.parametrize(
    ("licenses", "read"),
    [
        (["MIT", "", "GPLv2+"], ("MIT", "GPLv2+")),
        ([{"value": "Apache 2.0", "spdxExpression": ""}], ("Apache 2.0",)),
        ([{"value": "gpl", "spdxExpression": "GPL-2.0-only OR MIT"}], ("GPL-2.0-only OR MIT",)),
        (
            [{"value": "MIT", "type": "concluded"}, {"value": "GPL", "type": "declared"}],
            ("MIT",),
        ),
        ([], ()),
        (None, ()),
    ],
)
def test_licenses_are_texts_in_older_versions_and_objects_in_newer(
    licenses: object, read: tuple[str, ...]
) -> None:
    assert _licenses(licenses) == read


def test_licenses_of_both_kinds_at_once_are_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"artifacts\[0\]\.licenses\[1\]"):
        _licenses(["MIT", {"value": "GPL"}])


def test_the_image_of_older_versions_is_called_target() -> None:
    source: Document = {"type": "image", "target": {"manifestDigest": sboms.IMAGE_DIGEST}}
    assert _report(source=source).provenance.subject_digest == sboms.IMAGE_DIGEST


def test_a_directory_has_no_digest() -> None:
    source: Document = {"type": "directory", "target": "/srv"}
    assert _report(source=source).provenance.subject_digest is None


def test_a_document_without_artifacts_says_nothing_of_components() -> None:
    assert _report(artifacts=None).components is None
    assert _report().components == ()


def test_an_artifact_without_a_name_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"artifacts\[0\].name is missing"):
        _report(artifacts=[{"version": "1"}])


@pytest.mark.parametrize("schema", [None, "syft", {}, {"url": 3}, {"url": "https://example.org"}])
def test_another_schema_is_not_recognised(schema: object) -> None:
    with pytest.raises(UnknownFormatError):
        _report(schema=schema)
