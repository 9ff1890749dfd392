from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.recognition import read_report
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from tests.support import sboms
from tests.support.sboms import Document, written


def _report(**members: object) -> Report:
    return read_report(written({"bomFormat": "CycloneDX", "specVersion": "1.6"} | members))


def _components(*components: Document, **members: object) -> tuple[Component, ...]:
    read = _report(components=components, **members).components
    assert read is not None
    return read


def _licenses(*choices: Document) -> tuple[str, ...]:
    [component] = _components({"name": "bash", "licenses": choices})
    return component.licenses


def _about(**members: object) -> Provenance:
    return _report(metadata={"component": {"name": "website"} | members}).provenance


def test_a_document_is_read() -> None:
    report = read_report(written(sboms.cyclonedx(2)))
    words = ("MIT", "MIT-like")
    assert report.format == "cyclonedx-json-1.6"
    assert report.provenance == Provenance(
        "syft", "1.18.1", datetime(2026, 11, 23, 21, 45, 35, tzinfo=UTC), sboms.IMAGE_DIGEST
    )
    assert report.components == (
        Component("package-0", "1.0-2+b1", sboms.purl(0), words, kind="library"),
        Component("package-1", "1.1-2+b1", sboms.purl(1), words, kind="library"),
    )


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"])
def test_each_version_is_read(version: str) -> None:
    assert _report(specVersion=version).format == f"cyclonedx-json-{version}"


@pytest.mark.parametrize("version", ["1.1", "2.0", "1.60", ""])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(UnreadableEvidenceError, match="specVersion is not one of"):
        _report(specVersion=version)


def test_nested_components_count_and_what_the_document_is_about_does_not() -> None:
    inner: Document = {"name": "inner", "type": "file"}
    middle: Document = {"group": "org.example", "name": "middle", "components": [inner]}
    about: Document = {"name": "website", "type": "container", "components": [{"name": "module"}]}
    read = _components({"name": "outer", "components": [middle]}, metadata={"component": about})
    assert read == (
        Component("module"),
        Component("outer"),
        Component("middle", group="org.example"),
        Component("inner", kind="file"),
    )


def test_components_of_another_history_are_none_of_the_image() -> None:
    pedigree: Document = {"ancestors": [{"name": "ancestor"}]}
    assert _components({"name": "bash", "pedigree": pedigree}) == (Component("bash"),)


def test_components_count_once_by_group_name_version_and_package_url() -> None:
    one: Document = {"group": "g", "name": "n", "version": "1", "purl": "pkg:npm/g/n@1"}
    others = [one | {member: "x"} for member in one]
    again = one | {"bom-ref": "again", "licenses": [{"license": {"id": "MIT"}}]}
    read = _components(one, *others, again)
    assert len(read) == 5
    assert read[0].licenses == ("MIT",)


def test_licenses_are_read_by_identifier_name_and_expression() -> None:
    assert _licenses(
        {"license": {"id": "MIT"}},
        {"license": {"name": "Apache 2.0"}},
        {"expression": "GPL-2.0-only OR BSD-3-Clause"},
        {"license": {"name": "NOASSERTION"}},
        {"license": {}},
    ) == ("MIT", "Apache 2.0", "GPL-2.0-only OR BSD-3-Clause")


def test_concluded_licenses_go_before_declared_ones() -> None:
    declared: Document = {"license": {"id": "GPL-3.0-only", "acknowledgement": "declared"}}
    assert _licenses(declared, {"license": {"id": "MIT", "acknowledgement": "concluded"}}) == (
        "MIT",
    )
    assert _licenses(declared, {"expression": "Zlib", "acknowledgement": "concluded"}) == ("Zlib",)


@pytest.mark.parametrize(
    "tools",
    [
        [{"vendor": "anchore", "name": "syft", "version": "1.18.1"}],
        {"components": [{"name": "syft", "version": "1.18.1"}, {"name": "other"}]},
        {"services": [{"name": "syft", "version": "1.18.1"}]},
    ],
)
def test_the_tool_is_read_from_either_of_its_places(tools: object) -> None:
    made = _report(metadata={"tools": tools}).provenance
    assert (made.tool, made.tool_version) == ("syft", "1.18.1")


@pytest.mark.parametrize(
    "about",
    [
        {"purl": sboms.IMAGE_PURL},
        {"purl": sboms.IMAGE_PURL.replace("@sha256:", "@sha256%3A")},
        {"type": "container", "version": sboms.IMAGE_DIGEST},
        {
            "properties": [
                {"name": "aquasecurity:trivy:ImageID", "value": "sha256:" + "0" * 64},
                {
                    "name": "aquasecurity:trivy:RepoDigest",
                    "value": f"dev/website@{sboms.IMAGE_DIGEST}",
                },
            ]
        },
    ],
)
def test_the_digest_of_the_image_is_found_where_tools_put_it(about: Document) -> None:
    assert _about(**about).subject_digest == sboms.IMAGE_DIGEST


@pytest.mark.parametrize(
    "about",
    [
        {"version": sboms.IMAGE_DIGEST, "type": "application"},
        {"version": "1.4", "type": "container"},
        {"purl": f"pkg:generic/website@{sboms.IMAGE_DIGEST}"},
        {"purl": "pkg:oci/website@sha256:5b"},
    ],
)
def test_what_is_no_digest_of_an_image_is_not_taken_for_one(about: Document) -> None:
    assert _about(**about).subject_digest is None


def test_a_document_without_a_list_says_nothing_of_it() -> None:
    report = _report()
    assert report.components is None
    assert report.vulnerabilities is None
    assert _components() == ()


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_component_without_a_name_is_refused_by_its_path(name: object) -> None:
    nested: Document = {"name": "outer", "components": [{"name": "bash"}, {"name": name}]}
    with pytest.raises(UnreadableEvidenceError, match=r"components\[0\]\.components\[1\]\.name"):
        _components(nested)
