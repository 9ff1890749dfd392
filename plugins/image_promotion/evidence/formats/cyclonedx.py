"""CycloneDX 1.2 to 1.7: the components of an image, and what is known of their vulnerabilities.

Source: CycloneDX 1.6 JSON Reference; later and earlier versions differ in what is not read here.
"""

from __future__ import annotations

from collections.abc import Iterator

from image_promotion.evidence.formats.cyclonedx_parts import Parts, Subject
from image_promotion.evidence.formats.cyclonedx_vulnerabilities import (
    read_statements,
    read_vulnerabilities,
)
from image_promotion.evidence.formats.image_digest import digest_in, digest_in_purl
from image_promotion.evidence.formats.inventory import Inventory, known_licenses
from image_promotion.evidence.formats.text import MAX_ITEMS, items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from image_promotion.registry.document import Fields

VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
"""The versions of the format that are read."""

_TRIVY_IMAGE_DIGEST = "aquasecurity:trivy:RepoDigest"


def recognises(fields: Fields) -> bool:
    """Say whether a document names CycloneDX as its format."""
    return fields.said("bomFormat") == "CycloneDX"


def read(fields: Fields) -> Report:
    """Read a CycloneDX document in JSON.

    Args:
        fields: The document.

    Returns:
        Its components and vulnerabilities, each None when it has no list of them.

    Raises:
        UnreadableEvidenceError: It is of another version, or breaks the format.
    """
    return read_bom(fields, "json")


def read_bom(fields: Fields, encoding: str) -> Report:
    """Read a CycloneDX document, in JSON or as JSON would have it.

    What the document is about, the component in its metadata, is no component of itself; components
    nested in it are.

    Args:
        fields: The document.
        encoding: How it was written, ``json`` or ``xml``.

    Returns:
        As `read`.

    Raises:
        UnreadableEvidenceError: As `read`.
    """
    version = fields.text("specVersion")
    if version not in VERSIONS:
        fields.refuse("specVersion", f"is not one of {', '.join(VERSIONS)}")
    metadata = fields.optional_fields("metadata")
    provenance = _provenance(metadata)
    about = metadata.optional_fields("component") if metadata else None
    parts = Parts(fields.said("serialNumber"), _subject(about, provenance.subject_digest))
    inventory = Inventory()
    for count, part in enumerate(_each_part(fields, about), start=1):
        if count > MAX_ITEMS:
            fields.refuse("components", f"has more than {MAX_ITEMS} entries")
        component = _component(part)
        inventory.add(component)
        parts.add(part.said("bom-ref"), component)
    has_components = "components" in fields or (about is not None and "components" in about)
    return Report(
        format=f"cyclonedx-{encoding}-{version}",
        provenance=provenance,
        components=inventory.components() if has_components else None,
        vulnerabilities=read_vulnerabilities(fields, parts, provenance.tool),
        statements=read_statements(fields, parts, provenance.created_at),
    )


def _each_part(fields: Fields, about: Fields | None) -> Iterator[Fields]:
    if about is not None:
        yield from _nested(about)
    yield from _nested(fields)


def _nested(whole: Fields) -> Iterator[Fields]:
    for part in items_of(whole, "components"):
        yield part
        if "components" in part:
            yield from _nested(part)


def _component(part: Fields) -> Component:
    return Component(
        name=needed_text(part, "name"),
        version=part.optional_text("version") or None,
        purl=part.optional_text("purl") or None,
        licenses=_licenses(part),
        group=part.optional_text("group") or None,
        kind=part.optional_text("type") or None,
    )


def _licenses(part: Fields) -> tuple[str, ...]:
    """Read the licenses: what was concluded, where the report tells it from what was declared."""
    if "licenses" not in part:
        return ()
    declared: list[str] = []
    concluded: list[str] = []
    for choice in part.each_fields("licenses"):
        license_ = choice.optional_fields("license")
        if license_ is None:
            word, holder = choice.optional_text("expression"), choice
        else:
            word = license_.optional_text("id") or license_.optional_text("name")
            holder = license_
        said = concluded if holder.said("acknowledgement") == "concluded" else declared
        said.append(word or "")
    return known_licenses(concluded) or known_licenses(declared)


def _subject(about: Fields | None, digest: str | None) -> Subject:
    if about is None:
        return Subject()
    names = (digest, about.optional_text("purl"), about.optional_text("name"))
    return Subject(
        ref=about.said("bom-ref"),
        products=tuple(name for name in names if name)[:1],
        name=about.optional_text("name") or "",
        version=about.optional_text("version") or "",
        purl=about.optional_text("purl") or None,
    )


def _provenance(metadata: Fields | None) -> Provenance:
    if metadata is None:
        return Provenance()
    tool, version = _tool(metadata)
    about = metadata.optional_fields("component")
    return Provenance(
        tool=tool,
        tool_version=version,
        created_at=optional_time(metadata, "timestamp"),
        subject_digest=_image_digest(about) if about else None,
    )


def _tool(metadata: Fields) -> tuple[str, str]:
    if metadata.holds("tools", list):
        tools = metadata.each_fields("tools")
    else:  # since 1.5
        listed = metadata.optional_fields("tools")
        tools = (items_of(listed, "components") + items_of(listed, "services")) if listed else ()
    for tool in tools:
        return tool.optional_text("name") or "", tool.optional_text("version") or ""
    return "", ""


def _image_digest(about: Fields) -> str | None:
    """Find the digest where scanners put it: in package URL, version or Trivy's property."""
    digest = digest_in_purl(about.optional_text("purl"))
    if digest is None and about.said("type") == "container":
        digest = digest_in(about.optional_text("version") or "")
    if digest is None:
        for each in items_of(about, "properties"):
            if each.said("name") == _TRIVY_IMAGE_DIGEST:
                return digest_in(each.said("value"))
    return digest
