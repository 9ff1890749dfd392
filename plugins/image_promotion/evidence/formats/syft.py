"""Syft's own JSON: the packages that it found in an image.

Source: Syft, `schema/json`; the shapes of versions 3 (licenses are texts) to 16 (they are objects).
"""

from __future__ import annotations

from image_promotion.evidence.formats.image_digest import digest_in
from image_promotion.evidence.formats.inventory import Inventory, known_licenses
from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report
from image_promotion.policy.facts import Component
from image_promotion.registry.document import Fields

_SCHEMA = "anchore/syft"
_SHOWN_CHARACTERS = 20


def recognises(fields: Fields) -> bool:
    """Say whether a document names Syft's schema as its own."""
    schema = fields.said_fields("schema")
    return schema is not None and _SCHEMA in schema.said("url")


def read(fields: Fields) -> Report:
    """Read a document of Syft's.

    Args:
        fields: The document.

    Returns:
        Its artifacts, as components; None when it has no list of them.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    inventory = Inventory()
    for artifact in items_of(fields, "artifacts"):
        inventory.add(
            Component(
                name=needed_text(artifact, "name"),
                version=artifact.optional_text("version") or None,
                purl=artifact.optional_text("purl") or None,
                licenses=_licenses(artifact),
                kind=artifact.optional_text("type") or None,
            )
        )
    version = fields.fields("schema").optional_text("version") or "unknown"
    return Report(
        format=f"syft-json-{version[:_SHOWN_CHARACTERS]}",
        provenance=_provenance(fields),
        components=inventory.components() if "artifacts" in fields else None,
    )


def _licenses(artifact: Fields) -> tuple[str, ...]:
    """Read the licenses: what was concluded, where Syft tells it from what was declared."""
    if "licenses" not in artifact:
        return ()
    words = artifact.said_each("licenses")
    if words:
        return known_licenses(artifact.texts("licenses"))
    declared: list[str] = []
    concluded: list[str] = []
    for each in artifact.each_fields("licenses"):
        word = each.optional_text("spdxExpression") or each.optional_text("value") or ""
        (concluded if each.said("type") == "concluded" else declared).append(word)
    return known_licenses(concluded) or known_licenses(declared)


def _provenance(fields: Fields) -> Provenance:
    descriptor = fields.optional_fields("descriptor")
    source = fields.optional_fields("source")
    return Provenance(
        tool=(descriptor.optional_text("name") or "") if descriptor else "",
        tool_version=(descriptor.optional_text("version") or "") if descriptor else "",
        created_at=optional_time(descriptor, "timestamp") if descriptor else None,
        subject_digest=_image_digest(source) if source else None,
    )


def _image_digest(source: Fields) -> str | None:
    """Find the digest of the image's manifest; its place has had two names."""
    if source.said("type") != "image":
        return None
    about = source.said_fields("metadata") or source.said_fields("target")
    return digest_in(about.said("manifestDigest")) if about else None
