from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from tests.support import sboms
from tests.support.sboms import Document, written

IMAGE: Document = {
    "SPDXID": "SPDXRef-image",
    "name": "dev/website",
    "primaryPackagePurpose": "CONTAINER",
}
DESCRIBES = {
    "spdxElementId": "SPDXRef-DOCUMENT",
    "relatedSpdxElement": "SPDXRef-image",
    "relationshipType": "DESCRIBES",
}


def _report(*packages: Document, **members: object) -> Report:
    document = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": packages}
    return read_report(written(document | members))


def _components(*packages: Document, **members: object) -> tuple[Component, ...]:
    components = _report(*packages, **members).components
    assert components is not None
    return components


def _licenses(concluded: str | None, declared: str | None, **members: object) -> tuple[str, ...]:
    package = {"name": "bash", "licenseConcluded": concluded, "licenseDeclared": declared}
    [component] = _components({**package}, **members)
    return component.licenses


def test_a_document_of_syft_is_read() -> None:
    report = read_report(written(sboms.spdx2(2)))
    assert report == Report(
        "spdx-json-2.3",
        Provenance(
            "syft", "1.18.1", datetime(2026, 11, 23, 21, 45, 35, tzinfo=UTC), sboms.IMAGE_DIGEST
        ),
        components=(
            Component("package-0", "1.0-2+b1", sboms.purl(0), ("MIT", "MIT-like")),
            Component("package-1", "1.1-2+b1", sboms.purl(1), ("MIT", "MIT-like")),
        ),
    )


@pytest.mark.parametrize("version", ["2.2", "2.3"])
def test_both_versions_are_read(version: str) -> None:
    assert _report(spdxVersion=f"SPDX-{version}").format == f"spdx-json-{version}"


@pytest.mark.parametrize("version", ["SPDX-2.1", "SPDX-2.4", "SPDX-2.3.1"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"spdxVersion is not one of 2\.2, 2\.3"):
        _report(spdxVersion=version)


def test_the_described_image_is_no_component_of_itself() -> None:
    bash: Document = {"name": "bash"}
    by = {"spdxElementId": "SPDXRef-image", "relatedSpdxElement": "SPDXRef-DOCUMENT"}
    for told in (
        {"relationships": [DESCRIBES]},
        {"relationships": [by | {"relationshipType": "DESCRIBED_BY"}]},
        {"documentDescribes": ["SPDXRef-image"]},
    ):
        assert _components(bash, IMAGE, **told) == (Component("bash"),)


@pytest.mark.parametrize(
    "package",
    [
        {"externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:oci/website@sha256"}]},
        {"SPDXID": "SPDXRef-DocumentRoot-Directory-rootfs"},
    ],
)
def test_an_image_is_known_by_its_package_url_and_by_what_syft_scanned(package: Document) -> None:
    described: Document = {"SPDXID": "SPDXRef-image", "name": "rootfs"} | package
    assert _components(described, documentDescribes=[described["SPDXID"]]) == ()


def test_an_image_that_the_document_does_not_describe_is_a_component() -> None:
    assert _components(IMAGE) == (Component("dev/website", kind="container"),)


def test_a_described_package_that_is_no_image_is_a_component() -> None:
    library = IMAGE | {"primaryPackagePurpose": "LIBRARY"}
    assert _components(library, relationships=[DESCRIBES]) == (
        Component("dev/website", kind="library"),
    )


def test_what_was_concluded_goes_before_what_was_declared() -> None:
    assert _licenses("MIT", "GPL-3.0-only") == ("MIT",)
    assert _licenses("NOASSERTION", "GPL-3.0-only") == ("GPL-3.0-only",)


@pytest.mark.parametrize("nothing", ["NOASSERTION", "NONE", "", None])
def test_a_license_that_nobody_knows_is_none(nothing: str | None) -> None:
    assert _licenses(nothing, nothing) == ()


def test_licenses_of_the_document_go_by_the_words_that_it_has_for_them() -> None:
    defined = [
        {"licenseId": "LicenseRef-1", "extractedText": "Apache 2.0"},
        {"licenseId": "LicenseRef-2", "name": "House License", "extractedText": "Do.\nOr not."},
        {"licenseId": "LicenseRef-3", "name": "NOASSERTION", "extractedText": "Do.\nOr not."},
    ]
    declared = "LicenseRef-1 AND LicenseRef-2 AND LicenseRef-3 AND LicenseRef-4"
    assert _licenses(None, declared, hasExtractedLicensingInfos=defined) == (
        "Apache 2.0",
        "House License",
        "LicenseRef-3",
        "LicenseRef-4",
    )


def test_a_package_that_stands_twice_counts_once_with_all_its_licenses() -> None:
    packages: list[Document] = [
        {"name": "bash", "versionInfo": "5", "licenseDeclared": license_}
        for license_ in ("MIT", "GPL-3.0-only")
    ]
    assert _components(*packages) == (Component("bash", "5", licenses=("MIT", "GPL-3.0-only")),)


def test_a_document_without_a_list_of_packages_says_nothing_of_components() -> None:
    assert read_report(b'{"spdxVersion": "SPDX-2.3"}').components is None
    assert _components() == ()


@pytest.mark.parametrize("name", [None, "", "  ", 7])
def test_a_package_without_a_name_is_refused(name: object) -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"packages\[1\].name"):
        _report({"name": "bash"}, {"name": name})


@pytest.mark.parametrize(
    ("creators", "tool"),
    [
        (["Tool: trivy-0.58.0"], ("trivy", "0.58.0")),
        (["Person: Ada", "Tool: spdx-maven-plugin", "Tool: b-1"], ("spdx-maven-plugin", "")),
        (["Tool: tool-v2-rc1"], ("tool", "v2-rc1")),
        (["Organization: Example"], ("", "")),
    ],
)
def test_the_first_tool_that_made_it_is_named(creators: list[str], tool: tuple[str, str]) -> None:
    made = _report(creationInfo={"creators": creators}).provenance
    assert (made.tool, made.tool_version) == tool


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UnreadableEvidenceError, match=r"creationInfo\.created is no time"):
        _report(creationInfo={"created": "last week"})
