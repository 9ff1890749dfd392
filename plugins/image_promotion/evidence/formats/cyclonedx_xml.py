"""CycloneDX in XML, read into the same members as the format has in JSON.

What is read stands in a table of shapes; all else is passed over, with what is within it. A
document type declaration is refused, and with it every entity that could grow or reach outside.

Source: CycloneDX 1.6 XML Reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.sax import SAXException

from defusedxml import expatreader

from image_promotion.errors import UnknownFormatError
from image_promotion.evidence.formats.cyclonedx import read_bom
from image_promotion.evidence.formats.text import MAX_DEPTH, MAX_VALUES, refuse, refuse_large
from image_promotion.evidence.report import Report
from image_promotion.registry.document import Fields

_NAMESPACE = re.compile(r"http://cyclonedx\.org/schema/bom/(?P<version>[0-9]+\.[0-9]+)")

_TEXT = "text"

_ANY = "*"
"""The member of a list: each child is an entry of it."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of an element is read.

    Args:
        children: The member that each child becomes, and the child's own shape.
        attributes: The attributes that are members, of the same name.
        text: The member that the element's text becomes; empty when it has none.
        many: The members that several children may become, as a list.
        is_list: Whether the element is a list of its children.
        within: The member of an entry that this element is; empty when it is the entry.
    """

    children: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    text: str = ""
    many: frozenset[str] = frozenset()
    is_list: bool = False
    within: str = ""


def _texts(*names: str) -> dict[str, tuple[str, str]]:
    return {name: (name, _TEXT) for name in names}


def _list_of(**children: str) -> _Shape:
    return _Shape({name: (_ANY, shape) for name, shape in children.items()}, is_list=True)


_SHAPES: Mapping[str, _Shape] = {
    "bom": _Shape(
        {
            "metadata": ("metadata", "metadata"),
            "components": ("components", "components"),
            "vulnerabilities": ("vulnerabilities", "vulnerabilities"),
        },
        attributes=("serialNumber",),
    ),
    "metadata": _Shape(
        _texts("timestamp") | {"tools": ("tools", "tools"), "component": ("component", "about")}
    ),
    "about": _Shape(
        _texts("name", "group", "version", "purl")
        | {
            "components": ("components", "components"),
            "properties": ("properties", "properties"),
        },
        attributes=("type", "bom-ref"),
    ),
    # Until 1.4 a list of tools, and since then of components and services.
    "tools": _Shape(
        {
            "tool": ("components", "component"),
            "components": ("components", "components"),
            "services": ("services", "services"),
        },
        many=frozenset({"components"}),
    ),
    "services": _list_of(service="component"),
    "components": _list_of(component="component"),
    "component": _Shape(
        _texts("name", "group", "version", "purl")
        | {
            "licenses": ("licenses", "licenses"),
            "components": ("components", "components"),
        },
        attributes=("type", "bom-ref"),
    ),
    "licenses": _list_of(license="license", expression="expression"),
    "license": _Shape(_texts("id", "name"), attributes=("acknowledgement",), within="license"),
    "expression": _Shape(attributes=("acknowledgement",), text="expression"),
    "properties": _list_of(property="property"),
    "property": _Shape(attributes=("name",), text="value"),
    "vulnerabilities": _list_of(vulnerability="vulnerability"),
    "vulnerability": _Shape(
        _texts("id", "recommendation")
        | {
            "source": ("source", "source"),
            "references": ("references", "references"),
            "ratings": ("ratings", "ratings"),
            "analysis": ("analysis", "analysis"),
            "affects": ("affects", "affects"),
        }
    ),
    "source": _Shape(_texts("name")),
    "references": _list_of(reference="reference"),
    "reference": _Shape(_texts("id")),
    "ratings": _list_of(rating="rating"),
    "rating": _Shape(
        _texts("severity", "score", "method", "vector") | {"source": ("source", "source")}
    ),
    "analysis": _Shape(_texts("state", "justification", "firstIssued", "lastUpdated")),
    "affects": _list_of(target="target"),
    "target": _Shape(_texts("ref") | {"versions": ("versions", "versions")}),
    "versions": _list_of(version="version"),
    "version": _Shape(_texts("version", "range", "status")),
}


def read(content: bytes) -> Report:
    """Read a CycloneDX document in XML.

    Args:
        content: The document.

    Returns:
        As for one in JSON.

    Raises:
        UnknownFormatError: It is no CycloneDX document.
        UnreadableEvidenceError: It is too large or too deep, has a document type declaration, or
            breaks the format.
    """
    refuse_large(content)
    # Each element begins with this mark, and nearly each ends with another.
    if content.count(b"<") > MAX_VALUES:
        raise refuse(f"cannot read the report: it may have more than {MAX_VALUES // 2} elements")
    reader = _Reader()
    parser = expatreader.create_parser(forbid_dtd=True)
    # Straight from expat: SAX's own objects for attributes and its calls for each piece of text
    # take longer than all that is done here.
    parser.start_element = reader.begin_element
    parser.end_element = reader.end_element
    parser.getContentHandler().characters = reader.pieces.append
    try:
        parser.feed(content)
        parser.close()
    # What defusedxml refuses and encodings that Python cannot read are a ValueError, and encodings
    # that it does not know are a LookupError.
    except (SAXException, ValueError, LookupError) as error:
        raise refuse(f"cannot read the report: it is no XML that is read here: {error}") from error
    return read_bom(Fields("the report", "", reader.members, refuse), "xml")


class _Open:
    """An element with members or entries that has begun."""

    __slots__ = ("entries", "member", "members", "shape")

    def __init__(self, member: str, shape: _Shape) -> None:
        self.member = member
        self.shape = shape
        self.members: dict[str, object] = {}
        self.entries: list[object] = []

    def take(self, member: str, value: object) -> None:
        """Take what a child has become."""
        if self.shape.is_list:
            self.entries.append(value)
        elif member in self.shape.many:
            known = self.members.setdefault(member, [])
            if isinstance(known, list):
                known.extend(value if isinstance(value, list) else [value])
        elif member in self.members:
            _refuse(f"{member} stands twice in one element")
        else:
            self.members[member] = value

    def value(self, text: str) -> object:
        """Return what it has become, now that it ends."""
        if self.shape.is_list:
            return self.entries
        if self.shape.text:
            self.members[self.shape.text] = text
        return {self.shape.within: self.members} if self.shape.within else self.members


class _Reader:
    """Builds the members of the outermost element while the parser goes through the text."""

    def __init__(self) -> None:
        self.members: dict[str, object] = {}
        self.pieces: list[str] = []
        self._open: list[_Open] = []
        self._leaf = ""
        self._passed_over = 0
        self._prefix = ""
        self._declaration = "xmlns"

    def begin_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element, or pass over it."""
        if self._leaf:
            _refuse(f"{self._leaf} is not a text")
        if len(self._open) + self._passed_over >= MAX_DEPTH:
            _refuse(f"it is nested more than {MAX_DEPTH} levels deep")
        if self._passed_over:
            self._passed_over += 1
        elif not self._open:
            self._begin_document(name, attributes)
        elif known := self._known(name, attributes):
            if known[1] == _TEXT:
                self._leaf = known[0]
            else:
                self._begin(known[0], _SHAPES[known[1]], attributes)
            self.pieces.clear()
        else:
            self._passed_over = 1

    def end_element(self, _name: str) -> None:
        """End an element, and give it to the one around it."""
        if self._passed_over:
            self._passed_over -= 1
        elif self._leaf:
            self._open[-1].take(self._leaf, "".join(self.pieces).strip())
            self._leaf = ""
        else:
            ended = self._open.pop()
            value = ended.value("".join(self.pieces).strip())
            if self._open:
                self._open[-1].take(ended.member, value)
            else:
                self.members = ended.members

    def _begin_document(self, name: str, attributes: Mapping[str, str]) -> None:
        prefix, _, local = name.rpartition(":")
        self._prefix = f"{prefix}:" if prefix else ""
        self._declaration = f"xmlns:{prefix}" if prefix else "xmlns"
        namespace = _NAMESPACE.fullmatch(attributes.get(self._declaration, ""))
        if local != "bom" or namespace is None:
            raise UnknownFormatError(
                "cannot read the report: it is XML, but does not say that it is CycloneDX"
            )
        self._begin("", _SHAPES["bom"], attributes)
        self._open[-1].members |= {"bomFormat": "CycloneDX", "specVersion": namespace["version"]}

    def _known(self, name: str, attributes: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the member and the shape that an element has; None for one to pass over."""
        if self._prefix:
            if not name.startswith(self._prefix):
                return None
            name = name.removeprefix(self._prefix)
        # It may give its own prefix another meaning.
        declared = attributes.get(self._declaration) if attributes else None
        if declared is not None and not _NAMESPACE.fullmatch(declared):
            return None
        return self._open[-1].shape.children.get(name)

    def _begin(self, member: str, shape: _Shape, attributes: Mapping[str, str]) -> None:
        begun = _Open(member, shape)
        for attribute in shape.attributes:
            if attribute in attributes:
                begun.members[attribute] = attributes[attribute]
        self._open.append(begun)


def _refuse(rule: str) -> NoReturn:
    raise refuse(f"cannot read the report: {rule}")
