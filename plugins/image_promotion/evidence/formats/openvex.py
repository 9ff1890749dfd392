"""OpenVEX: statements about whether vulnerabilities affect a product.

Source: OpenVEX specification 0.2.0, "Document", "Statement", "Product" and "Vulnerability"; 0.0.1,
where products and vulnerabilities are plain texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from image_promotion.evidence.formats.text import items_of, needed_text, optional_time
from image_promotion.evidence.report import Provenance, Report, Statement
from image_promotion.policy.facts import Status
from image_promotion.registry.document import Fields

_CONTEXT = "https://openvex.dev/ns"

_HASHES = {"sha-256": "sha256", "sha256": "sha256", "sha-512": "sha512", "sha512": "sha512"}


def recognises(fields: Fields) -> bool:
    """Say whether a document names OpenVEX as its context."""
    return fields.said("@context").startswith(_CONTEXT)


def read(fields: Fields) -> Report:
    """Read an OpenVEX document.

    A statement was said when it says so, else when it was last changed, else when the document was.

    Args:
        fields: The document.

    Returns:
        Its statements; it knows no components and finds no vulnerabilities.

    Raises:
        UnreadableEvidenceError: It breaks the format.
    """
    version = fields.text("@context").removeprefix(_CONTEXT).strip("/").removeprefix("v")
    said_at = optional_time(fields, "last_updated") or optional_time(fields, "timestamp")
    if not fields.holds("statements", list):
        fields.refuse("statements", "is no list")
    return Report(
        format="openvex" + (f"-{version}" if version else ""),
        provenance=Provenance(
            tool=fields.optional_text("tooling") or "",
            created_at=said_at,
        ),
        statements=tuple(
            Statement(
                vulnerability=name,
                aliases=aliases,
                products=products,
                status=_status(each),
                justification=each.optional_text("justification") or "",
                at=optional_time(each, "last_updated")
                or optional_time(each, "timestamp")
                or said_at,
                subcomponents=subcomponents,
            )
            for each in items_of(fields, "statements")
            for name, aliases in (_vulnerability(each),)
            for subcomponents, products in _products(each).items()
        ),
    )


def _vulnerability(statement: Fields) -> tuple[str, tuple[str, ...]]:
    if statement.holds("vulnerability", str):
        return needed_text(statement, "vulnerability"), ()
    vulnerability = statement.fields("vulnerability")
    aliases = vulnerability.texts("aliases") if "aliases" in vulnerability else ()
    return needed_text(vulnerability, "name"), aliases


def _status(statement: Fields) -> Status:
    word = statement.text("status")
    if word not in set(Status):
        statement.refuse("status", f"is not one of {', '.join(Status)}")
    return Status(word)


def _products(statement: Fields) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Return the products by the subcomponents that are meant of them.

    What is said of a part of one product is not said of that part of another.
    """
    common = tuple(_names_in(statement, "subcomponents"))
    if statement.holds_list_of("products", str):
        return {common: tuple(statement.texts("products"))}
    products: dict[tuple[str, ...], tuple[str, ...]] = {}
    for product in items_of(statement, "products"):
        parts = (*common, *_names_in(product, "subcomponents"))
        products[parts] = products.get(parts, ()) + tuple(_names_of(product))
    return products or {common: ()}


def _names_in(fields: Fields, name: str) -> Iterable[str]:
    """Yield all that identifies the components of a list; texts were allowed before 0.2.0."""
    if fields.holds_list_of(name, str):
        yield from fields.texts(name)
        return
    for component in items_of(fields, name):
        yield from _names_of(component)


def _names_of(component: Fields) -> Iterable[str]:
    names = [component.optional_text("@id"), *component.text_by_key("identifiers").values()]
    yield from dict.fromkeys(each for each in names if each)
    for algorithm, encoded in component.text_by_key("hashes").items():
        if algorithm.lower() in _HASHES:
            yield f"{_HASHES[algorithm.lower()]}:{encoded.lower()}"
