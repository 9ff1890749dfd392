"""SPDX 2.2 and 2.3 in JSON: the packages of an image with their licenses.

Source: SPDX Specification 2.3, clauses 6 (creation), 7 (packages), 10 (other licenses), 11
(relationships).
"""

from __future__ import annotations

from image_promotion.evidence.formats.image_digest import digest_in_purl, is_image_purl
from image_promotion.evidence.formats.inventory import Inventory
from image_promotion.evidence.formats.license_words import LicenseWords, word_of
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.formats.tool import named_tool
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from image_promotion.registry.document import Fields

_BEGINNING = "SPDX-2."
_VERSIONS = ("2.2", "2.3")

_SYFT_ROOT = "SPDXRef-DocumentRoot-"
"""How syft begins the identifier of what it scanned, also where that was a directory."""


def recognises(fields: Fields) -> bool:
    """Say whether a document names SPDX 2 as its format."""
    return fields.said("spdxVersion").startswith(_BEGINNING)


def read(fields: Fields) -> Report:
    """Read an SPDX 2 document.

    The image that the document describes is no component of itself.

    Args:
        fields: The document.

    Returns:
        Its packages, as components; None when it has no list of them.

    Raises:
        UnreadableEvidenceError: It is of another version, or breaks the format.
    """
    version = fields.text("spdxVersion").removeprefix("SPDX-")
    if version not in _VERSIONS:
        fields.refuse("spdxVersion", f"is not one of {', '.join(_VERSIONS)}")
    described = _described(fields)
    licenses = LicenseWords(_license_words(fields))
    inventory = Inventory()
    digest: str | None = None
    for package in items_of(fields, "packages"):
        component = _component(package, licenses)
        if package.said("SPDXID") in described and _is_image(package, component):
            digest = digest or digest_in_purl(component.purl)
        else:
            inventory.add(component)
    return Report(
        format=f"spdx-json-{version}",
        provenance=_provenance(fields, digest),
        components=inventory.components() if "packages" in fields else None,
    )


def _described(fields: Fields) -> frozenset[str]:
    """Return the identifiers of what the document says it is about."""
    document = fields.said("SPDXID")
    described = set(fields.texts("documentDescribes") if "documentDescribes" in fields else ())
    for relation in items_of(fields, "relationships"):
        kind = relation.said("relationshipType")
        ends = relation.said("spdxElementId"), relation.said("relatedSpdxElement")
        if kind == "DESCRIBES" and ends[0] == document:
            described.add(ends[1])
        elif kind == "DESCRIBED_BY" and ends[1] == document:
            described.add(ends[0])
    return frozenset(described)


def _is_image(package: Fields, component: Component) -> bool:
    return (
        component.kind == "container"
        or is_image_purl(component.purl)
        or package.said("SPDXID").startswith(_SYFT_ROOT)
    )


def _component(package: Fields, licenses: LicenseWords) -> Component:
    # What the document's author concluded goes before what the package's authors declared.
    concluded = licenses.of(package.optional_text("licenseConcluded") or "")
    kind = package.optional_text("primaryPackagePurpose")
    return Component(
        name=needed_text(package, "name"),
        version=package.optional_text("versionInfo") or None,
        purl=_purl(package),
        licenses=concluded or licenses.of(package.optional_text("licenseDeclared") or ""),
        kind=kind.lower() if kind else None,
    )


def _purl(package: Fields) -> str | None:
    if "externalRefs" in package:
        for reference in package.each_fields("externalRefs"):
            # Written out, the type is a URL that ends in the same word.
            if reference.said("referenceType").endswith("purl"):
                return reference.text("referenceLocator") or None
    return None


def _license_words(fields: Fields) -> dict[str, str]:
    words = {}
    for defined in items_of(fields, "hasExtractedLicensingInfos"):
        word = word_of(defined.optional_text("name"), defined.optional_text("extractedText"))
        if word:
            words[defined.text("licenseId")] = word
    return words


def _provenance(fields: Fields, digest: str | None) -> Provenance:
    creation = fields.optional_fields("creationInfo")
    if creation is None:
        return Provenance(subject_digest=digest)
    creators = creation.texts("creators") if "creators" in creation else ()
    tools = (each.partition(":") for each in creators)
    tool, version = named_tool(next((name for role, _, name in tools if role == "Tool"), ""))
    return Provenance(tool, version, optional_time(creation, "created"), digest)
