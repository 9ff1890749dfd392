from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from tests.support import sboms
from tests.support.sboms import Document, written

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
BASH: Document = {"spdxId": "bash", "type": "software_Package", "name": "bash"}


def _related(kind: str, *to: str) -> Document:
    return {"type": "Relationship", "from": "bash", "relationshipType": kind, "to": list(to)}


def _components(*elements: Document, context: object = CONTEXT) -> tuple[Component, ...]:
    components = read_report(written({"@context": context, "@graph": elements})).components
    assert components is not None
    return components


def _licenses(*elements: Document) -> tuple[str, ...]:
    [component] = _components(BASH, *elements)
    return component.licenses


def _expression(identifier: str, expression: str) -> Document:
    return {
        "spdxId": identifier,
        "type": "simplelicensing_LicenseExpression",
        "simplelicensing_licenseExpression": expression,
    }


def test_a_document_is_read() -> None:
    report = read_report(written(sboms.spdx3(2)))
    words = ("MIT", "MIT-like")
    assert report == Report(
        "spdx-json-3.0.1",
        Provenance(
            "syft", "1.18.1", datetime(2026, 11, 23, 21, 45, 35, tzinfo=UTC), sboms.IMAGE_DIGEST
        ),
        components=(
            Component("package-0", "1.0-2+b1", sboms.purl(0), words, kind="library"),
            Component("package-1", "1.1-2+b1", sboms.purl(1), words, kind="library"),
        ),
    )


def test_the_context_may_stand_in_a_list() -> None:
    assert _components(BASH, context=[{"x": "y"}, CONTEXT]) == (Component("bash"),)


@pytest.mark.parametrize("context", ["https://schema.org", 3, None, ["https://spdx.org/"]])
def test_another_context_is_not_recognised(context: object) -> None:
    with pytest.raises(UnknownFormatError):
        _components(BASH, context=context)


def test_another_version_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"@context is not that of SPDX 3\.0"):
        _components(context="https://spdx.org/rdf/3.1/spdx-context.jsonld")


def test_a_document_without_a_graph_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match="@graph is missing"):
        read_report(written({"@context": CONTEXT}))


@pytest.mark.parametrize(
    "root",
    [
        {"type": "SpdxDocument", "rootElement": ["image"]},
        {"type": "software_Sbom", "rootElement": ["image"]},
        {"type": "Relationship", "relationshipType": "describes", "to": ["image"]},
    ],
)
def test_the_image_that_it_is_about_is_no_component(root: Document) -> None:
    image = BASH | {"spdxId": "image", "name": "w", "software_primaryPurpose": "container"}
    assert _components(BASH, image, root) == (Component("bash"),)
    assert len(_components(BASH, image)) == 2, "an image that it is not about is one"


def test_concluded_licenses_go_before_declared_ones() -> None:
    both = (
        _expression("mit", "MIT"),
        _expression("gpl", "GPL-2.0-only"),
        _related("hasDeclaredLicense", "gpl"),
    )
    assert _licenses(*both, _related("hasConcludedLicense", "mit")) == ("MIT",)
    for nobody_knows in ("https://spdx.org/rdf/3.0.1/terms/Licensing/NoAssertion", "none"):
        unknown = _related("hasConcludedLicense", nobody_knows)
        assert _licenses(*both, unknown, _expression("none", "NOASSERTION")) == ("GPL-2.0-only",)


def test_a_listed_license_needs_no_element() -> None:
    declared = _related("hasDeclaredLicense", "https://spdx.org/licenses/Zlib")
    assert _licenses(declared) == ("Zlib",)


def test_sets_of_licenses_bind_as_they_say() -> None:
    elements: list[Document] = [
        {
            "spdxId": "all",
            "type": "expandedlicensing_ConjunctiveLicenseSet",
            "expandedlicensing_member": ["any", "https://spdx.org/licenses/Zlib", "later"],
        },
        {
            "spdxId": "any",
            "type": "expandedlicensing_DisjunctiveLicenseSet",
            "expandedlicensing_member": ["mit", "with"],
        },
        _expression("mit", "MIT"),
        {
            "spdxId": "with",
            "type": "expandedlicensing_WithAdditionOperator",
            "expandedlicensing_subjectExtendableLicense": "https://spdx.org/licenses/GPL-2.0-only",
            "expandedlicensing_subjectAddition": "exception",
        },
        {
            "spdxId": "exception",
            "type": "expandedlicensing_CustomLicenseAddition",
            "name": "House-exception",
        },
        {
            "spdxId": "later",
            "type": "expandedlicensing_OrLaterOperator",
            "expandedlicensing_subjectLicense": "own",
        },
        {"spdxId": "own", "type": "expandedlicensing_CustomLicense", "name": "House"},
    ]
    assert _licenses(*elements, _related("hasDeclaredLicense", "all")) == (
        "MIT OR (GPL-2.0-only WITH House-exception)",
        "Zlib",
        "House+",
    )


def test_a_set_of_licenses_that_contains_itself_is_refused() -> None:
    itself: Document = {
        "spdxId": "all",
        "type": "expandedlicensing_ConjunctiveLicenseSet",
        "expandedlicensing_member": ["all"],
    }
    with pytest.raises(UnreadableEvidenceError, match="made of one another"):
        _licenses(itself, _related("hasDeclaredLicense", "all"))


def test_kinds_are_spelled_as_in_other_formats() -> None:
    system = BASH | {"software_primaryPurpose": "operatingSystem"}
    assert _components(system) == (Component("bash", kind="operating-system"),)


def test_a_package_without_a_name_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"@graph\[0\].name is missing"):
        _components({"type": "software_Package"})


def test_creation_information_may_stand_in_the_document_itself() -> None:
    document = {"type": "SpdxDocument", "creationInfo": {"created": "2026-01-02T03:04:05Z"}}
    report = read_report(written({"@context": CONTEXT, "@graph": [document]}))
    assert report.provenance.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
