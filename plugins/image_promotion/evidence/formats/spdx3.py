"""SPDX 3.0 in JSON-LD: the packages of an image with their licenses.

The document is read in the shape that the specification's own serialization gives it: one graph of
elements that refer to one another by identifier. It is not expanded as JSON-LD in general may be.

Source: SPDX Specification 3.0.1, Core, Software and Licensing profiles; its JSON-LD context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from image_promotion.evidence.formats.image_digest import digest_in_purl, is_image_purl
from image_promotion.evidence.formats.inventory import Inventory
from image_promotion.evidence.formats.spdx3_licenses import LicenseElements
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.formats.tool import named_tool
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from image_promotion.registry.document import Fields

_CONTEXT = re.compile(r"https://spdx\.org/rdf/(?P<version>3\.[0-9.]+)/.*")
_VERSION = re.compile(r"3\.0(\.[0-9]+)?")

_PACKAGES = frozenset({"software_Package", "ai_AIPackage", "dataset_DatasetPackage"})
_COLLECTIONS = frozenset({"SpdxDocument", "software_Sbom", "Bom"})
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def recognises(fields: Fields) -> bool:
    """Say whether a document names the context of SPDX 3 as its own."""
    return _version(fields) is not None


def read(fields: Fields) -> Report:
    """Read an SPDX 3 document.

    The image that the document is about is no component of itself.

    Args:
        fields: The document.

    Returns:
        Its packages, as components.

    Raises:
        UnreadableEvidenceError: It is of another version, or breaks the format.
    """
    version = _version(fields) or ""
    if not _VERSION.fullmatch(version):
        fields.refuse("@context", "is not that of SPDX 3.0")
    if "@graph" not in fields:
        fields.refuse("@graph", "is missing")
    graph = items_of(fields, "@graph")
    elements = {_id_of(element): element for element in graph}
    roots = frozenset(_roots(graph))
    licenses = LicenseElements(elements, graph)
    inventory = Inventory()
    digest: str | None = None
    for element in graph:
        if element.said("type") in _PACKAGES:
            component = _component(element, licenses)
            if _id_of(element) in roots and _is_image(component):
                digest = digest or digest_in_purl(component.purl)
            else:
                inventory.add(component)
    return Report(
        format=f"spdx-json-{version}",
        provenance=_provenance(elements, graph, digest),
        components=inventory.components(),
    )


def _version(fields: Fields) -> str | None:
    found = (_CONTEXT.fullmatch(each) for each in fields.said_each("@context"))
    return next((match["version"] for match in found if match), None)


def _id_of(element: Fields) -> str:
    return element.said("spdxId") or element.said("@id")


def _roots(graph: tuple[Fields, ...]) -> Iterator[str]:
    for element in graph:
        if element.said("type") in _COLLECTIONS:
            yield from element.said_each("rootElement")
        elif element.said("relationshipType") == "describes":
            yield from element.said_each("to")


def _is_image(component: Component) -> bool:
    return component.kind == "container" or is_image_purl(component.purl)


def _component(element: Fields, licenses: LicenseElements) -> Component:
    purpose = element.optional_text("software_primaryPurpose") or ""
    return Component(
        name=needed_text(element, "name"),
        version=element.optional_text("software_packageVersion") or None,
        purl=_purl(element),
        licenses=licenses.of(_id_of(element)),
        # Written as in SPDX 2 and CycloneDX: operating-system.
        kind=_CAPITAL.sub("-", purpose).lower() or None,
    )


def _purl(element: Fields) -> str | None:
    purl = element.optional_text("software_packageUrl")
    if not purl and "externalIdentifier" in element:
        for identifier in element.each_fields("externalIdentifier"):
            if identifier.said("externalIdentifierType") == "packageUrl":
                return identifier.text("identifier") or None
    return purl or None


def _provenance(
    elements: Mapping[str, Fields], graph: tuple[Fields, ...], digest: str | None
) -> Provenance:
    for element in graph:
        if element.said("type") == "SpdxDocument":
            reference = element.said("creationInfo")
            creation = (
                elements.get(reference) if reference else element.optional_fields("creationInfo")
            )
            if creation is not None:
                tools = (elements.get(each) for each in creation.said_each("createdUsing"))
                names = (tool.optional_text("name") or "" for tool in tools if tool is not None)
                tool, version = named_tool(next(names, ""))
                return Provenance(tool, version, optional_time(creation, "created"), digest)
    return Provenance(subject_digest=digest)
