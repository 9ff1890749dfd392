from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as ModelComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.impact_analysis import ImpactAnalysisState
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.model.tool import ToolRepository
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilityReference,
    VulnerabilityScoreSource,
    VulnerabilitySeverity,
    VulnerabilitySource,
)
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from image_promotion.errors import UnknownFormatError, UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.formats.text import MAX_DEPTH, MAX_VALUES
from image_promotion.evidence.report import Report
from image_promotion.policy.facts import Component
from tests.support import sboms

RATING = (
    "<vulnerabilities><vulnerability><id>x</id><ratings><rating><score>{}</score></rating>"
    "</ratings></vulnerability></vulnerabilities>"
)
NAMESPACE = "http://cyclonedx.org/schema/bom/1.6"


def _read(inside: str, namespace: str = NAMESPACE) -> Report:
    return read_report(f'<bom xmlns="{namespace}">{inside}</bom>'.encode())


def _components(inside: str) -> tuple[Component, ...]:
    components = _read(f"<components>{inside}</components>").components
    assert components is not None
    return components


def _as_xml(report: Report) -> Report:
    """Return what a report in JSON would be in XML."""
    return replace(report, format=report.format.replace("json", "xml"))


def _made_by_the_library() -> Bom:
    inner = ModelComponent(name="inner", version="2", bom_ref="inner", type=ComponentType.FILE)
    outer = ModelComponent(
        name="jackson-databind",
        group="com.fasterxml.jackson.core",
        version="2.9.1",
        bom_ref="outer",
        type=ComponentType.LIBRARY,
        purl=PackageURL("maven", "com.fasterxml.jackson.core", "jackson-databind", "2.9.1"),
        licenses=[DisjunctiveLicense(id="MIT"), DisjunctiveLicense(name="House <License>")],
        components=[inner],
    )
    choice = ModelComponent(name="choice", licenses=[LicenseExpression("MIT OR Zlib")])
    image = ModelComponent(name="website", bom_ref="image")
    bom = Bom(
        metadata=BomMetaData(
            tools=ToolRepository(components=[ModelComponent(name="syft", version="1.18.1")]),
            component=image,
        ),
        components=[outer, choice],
        vulnerabilities=[
            Vulnerability(
                id="CVE-2099-0001",
                source=VulnerabilitySource(name="nvd"),
                references=[
                    VulnerabilityReference(id="GHSA-1", source=VulnerabilitySource(name="github"))
                ],
                ratings=[
                    VulnerabilityRating(
                        source=VulnerabilitySource(name="nvd"),
                        severity=VulnerabilitySeverity.HIGH,
                        method=VulnerabilityScoreSource.CVSS_V3_1,
                        score=Decimal("7.5"),
                    )
                ],
                recommendation=(
                    "Upgrade com.fasterxml.jackson.core:jackson-databind to version 2.9.9"
                ),
                affects=[BomTarget(ref="outer"), BomTarget(ref="image")],
                analysis=VulnerabilityAnalysis(state=ImpactAnalysisState.EXPLOITABLE),
            )
        ],
    )
    bom.register_dependency(image, [outer, choice])
    return bom


def _written(bom: Bom, form: OutputFormat, version: SchemaVersion) -> bytes:
    return make_outputter(bom, form, version).output_as_string().encode()


@pytest.mark.parametrize("version", [SchemaVersion.V1_4, SchemaVersion.V1_5, SchemaVersion.V1_6])
def test_what_the_reference_library_writes_means_the_same_in_xml_and_json(
    version: SchemaVersion,
) -> None:
    bom = _made_by_the_library()
    in_json = read_report(_written(bom, OutputFormat.JSON, version))
    assert read_report(_written(bom, OutputFormat.XML, version)) == _as_xml(in_json)
    assert in_json.components
    assert in_json.vulnerabilities
    assert len(in_json.components) == 3
    assert [each.score for each in in_json.vulnerabilities] == [7.5, 7.5]
    assert len(in_json.statements) == 1
    assert in_json.provenance.tool == "syft"


@pytest.mark.parametrize("version", [SchemaVersion.V1_2, SchemaVersion.V1_3])
def test_versions_without_vulnerabilities_have_the_same_components(version: SchemaVersion) -> None:
    bom = _made_by_the_library()
    in_json = read_report(_written(bom, OutputFormat.JSON, version))
    assert read_report(_written(bom, OutputFormat.XML, version)) == _as_xml(in_json)
    assert in_json.vulnerabilities is None


def test_a_document_means_the_same_in_xml_and_json() -> None:
    in_json = read_report(json.dumps(sboms.cyclonedx(11)).encode())
    assert read_report(sboms.cyclonedx_xml(11)) == _as_xml(in_json)


def test_a_prefix_is_as_good_as_none_and_a_byte_order_mark_does_no_harm() -> None:
    text = (
        f'<c:bom xmlns:c="{NAMESPACE}" xmlns:o="https://example.org/"><c:components>'
        "<c:component><c:name>bash</c:name><o:name>other</o:name></c:component>"
        "<component><name>no namespace</name></component>"
        "</c:components></c:bom>"
    )
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), b"\n " + text.encode()):
        assert read_report(content).components == (Component("bash"),)


def test_elements_of_others_are_passed_over_with_all_within() -> None:
    assert _components(
        "<component><name>bash</name><evidence><name>x</name><licenses/></evidence>"
        '<name xmlns="https://example.org/">other</name>'
        "<pedigree><ancestors><component><name>old</name></component></ancestors></pedigree>"
        "</component>"
    ) == (Component("bash"),)


def test_text_is_what_stands_between_its_marks() -> None:
    assert _components(
        "<component>\n <name> a &lt;<![CDATA[b]]><!-- no -->c\n</name><version/></component>"
    ) == (Component("a <bc"),)


def test_lists_that_are_empty_are_there() -> None:
    report = _read("<components/><vulnerabilities/>")
    assert (report.components, report.vulnerabilities) == ((), ())
    assert (_read("").components, _read("").vulnerabilities) == (None, None)


@pytest.mark.parametrize(
    "declaration",
    [
        "<!DOCTYPE bom>",
        '<!DOCTYPE bom [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE bom SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE bom [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_a_document_type_declaration_is_refused(declaration: str) -> None:
    text = f'<?xml version="1.0"?>{declaration}<bom xmlns="{NAMESPACE}"/>'
    with pytest.raises(UnreadableEvidenceError, match="DTDForbidden"):
        read_report(text.encode())


@pytest.mark.parametrize(
    "content",
    [
        b"<html/>",
        b'<bom xmlns="https://example.org/"/>',
        f'<x xmlns="{NAMESPACE}"/>'.encode(),
        b"<bom/>",
    ],
)
def test_other_xml_is_of_unknown_format(content: bytes) -> None:
    with pytest.raises(UnknownFormatError):
        read_report(content)


@pytest.mark.parametrize(
    ("inside", "rule"),
    [
        ("<components>", "no XML"),
        ("&nbsp;", "no XML"),
        ("</bom><bom>", "no XML"),
        ("<components/><components/>", "components stands twice"),
        ("<components><component/></components>", r"components\[0\]\.name is missing"),
        (
            "<components><component><name><b>x</b></name></component></components>",
            "name is not a text",
        ),
        (
            RATING.format("high"),
            r"ratings\[0\]\.score is no decimal number",
        ),
        ("<x>" * MAX_DEPTH + "</x>" * MAX_DEPTH, f"more than {MAX_DEPTH} levels deep"),
        ("<x/>" * (MAX_VALUES + 1), "may have more than"),
    ],
    ids=range(9),
)
def test_what_breaks_the_format_or_its_bounds_is_refused(inside: str, rule: str) -> None:
    with pytest.raises(UnreadableEvidenceError, match=rule):
        _read(inside)


def test_another_version_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match="specVersion is not one of"):
        _read("", namespace="http://cyclonedx.org/schema/bom/2.0")


@pytest.mark.parametrize("encoding", ["nonsense", "utf-7", "shift_jis"])
def test_an_encoding_that_is_not_known_is_refused(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><bom xmlns="{NAMESPACE}"/>'
    with pytest.raises(UnreadableEvidenceError, match="no XML that is read here"):
        read_report(text.encode())
