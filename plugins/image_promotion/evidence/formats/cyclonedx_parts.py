"""The parts of a CycloneDX document that its vulnerabilities refer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import unquote

from packageurl import PackageURL

from image_promotion.policy.facts import Component
from image_promotion.policy.packages import names_of, type_of

_BOM_LINK = "urn:cdx:"
_SERIAL_NUMBER = "urn:uuid:"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a document is about.

    Args:
        ref: Its ``bom-ref``; empty without one.
        products: What it is called by whoever speaks of it: its digest, its package URL or its
            name, whichever says most; empty when the document does not say what it is about.
        name: Its name.
        version: Its version.
        purl: Its package URL.
    """

    ref: str = ""
    products: tuple[str, ...] = ()
    name: str = ""
    version: str = ""
    purl: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """What a vulnerability affects.

    Args:
        name: Its full name.
        version: Its version; empty when not said.
        purl: Its package URL; None when not said.
        is_component: Whether it is a component of the document.
        is_subject: Whether it is what the document is about.
    """

    name: str
    version: str
    purl: str | None
    is_component: bool = False
    is_subject: bool = False


class Parts:
    """Finds what a reference of a document means.

    Args:
        serial_number: The document's own, ``urn:uuid:..``; empty without one.
        subject: What it is about.
    """

    __slots__ = ("_ambiguous", "_by_ref", "_count", "_own_link", "subject")

    def __init__(self, serial_number: str, subject: Subject) -> None:
        self.subject = subject
        self._own_link = _BOM_LINK + serial_number.removeprefix(_SERIAL_NUMBER)
        self._by_ref: dict[str, Component] = {}
        self._ambiguous: set[str] = set()
        self._count = 0

    @property
    def are_none(self) -> bool:
        """Whether the document has no components; those without a reference count as well."""
        return not self._count

    def add(self, ref: str, component: Component) -> None:
        """Remember a component by its reference; an empty one is none.

        Args:
            ref: Its ``bom-ref``.
            component: The component.
        """
        self._count += 1
        if ref and self._by_ref.setdefault(ref, component) != component:
            self._ambiguous.add(ref)

    def package(self, ref: str, refuse: Callable[[str], NoReturn]) -> Package:
        """Find what a reference means.

        Args:
            ref: A ``bom-ref`` of this document, or a BOM-Link to another.
            refuse: Refuses the document, for the reason that it is given.

        Returns:
            The package; one that is not of this document goes by what the reference says of it.

        Raises:
            UnreadableEvidenceError: Several components have this reference.

        Source: CycloneDX, "BOM-Link": ``urn:cdx:serial/version#bom-ref``.
        """
        if ref.startswith(_BOM_LINK) and "#" in ref:
            link, _, fragment = ref.partition("#")
            is_own = link.partition("/")[0] == self._own_link
            return self._here(fragment, refuse) if is_own else _elsewhere(unquote(fragment))
        return self._here(ref, refuse)

    def _here(self, ref: str, refuse: Callable[[str], NoReturn]) -> Package:
        if ref in self._ambiguous:
            refuse("is the bom-ref of several components")
        component = self._by_ref.get(ref) or self._by_ref.get(unquote(ref))
        if component is not None:
            version = component.version or ""
            return Package(full_name(component), version, component.purl, is_component=True)
        subject = self.subject
        if ref == subject.ref:
            return Package(subject.name or ref, subject.version, subject.purl, is_subject=True)
        return _elsewhere(ref)


def full_name(component: Component) -> str:
    """Return a component's name with its group before it, where that is part of the name.

    Args:
        component: The component.

    Returns:
        The name, as scanners name the package in a vulnerability.
    """
    if not component.group or names_of(component) == (component.name,):
        return component.name
    joint = ":" if type_of(component.purl) == "maven" else "/"
    return f"{component.group}{joint}{component.name}"


def _elsewhere(ref: str) -> Package:
    try:
        purl = PackageURL.from_string(ref)
    except ValueError:
        return Package(ref, "", None)
    named = Component(purl.name, purl=ref, group=purl.namespace or None)
    return Package(full_name(named), purl.version or "", ref)
