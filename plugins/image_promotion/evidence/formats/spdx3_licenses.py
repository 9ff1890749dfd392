"""The licenses of an SPDX 3 document: elements of their own that packages are related to.

Source: SPDX Specification 3.0.1, SimpleLicensing and ExpandedLicensing profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from image_promotion.evidence.formats.inventory import known_licenses
from image_promotion.evidence.formats.license_words import LicenseWords, word_of
from image_promotion.evidence.formats.text import refuse
from image_promotion.registry.document import Fields

_LISTED = "https://spdx.org/licenses/"
_NO_LICENSE = ("NoAssertion", "NoAssertionLicense", "None", "NoneLicense")
_MAX_NESTING = 20

_EXPRESSION = "simplelicensing_LicenseExpression"
_ALL_OF = "expandedlicensing_ConjunctiveLicenseSet"
_ANY_OF = "expandedlicensing_DisjunctiveLicenseSet"
_OR_LATER = "expandedlicensing_OrLaterOperator"
_WITH = "expandedlicensing_WithAdditionOperator"


class LicenseElements:
    """The licenses that packages are related to.

    Args:
        elements: The elements of the document by their identifiers.
        graph: All its elements, of which the relationships count here.
    """

    def __init__(self, elements: Mapping[str, Fields], graph: tuple[Fields, ...]) -> None:
        self._elements = elements
        self._read: dict[str, tuple[str, ...]] = {}
        self._plain = LicenseWords({})
        self._related: dict[str, dict[str, list[str]]] = {
            "hasConcludedLicense": {},
            "hasDeclaredLicense": {},
        }
        for element in graph:
            related = self._related.get(element.said("relationshipType"))
            if related is not None:
                related.setdefault(element.text("from"), []).extend(element.texts("to"))

    def of(self, package: str) -> tuple[str, ...]:
        """Return the licenses of a package, all of them at once.

        What the document's author concluded goes before what the package's authors declared.

        Args:
            package: The package's identifier.

        Returns:
            SPDX expressions, or the words of the document.

        Raises:
            UnreadableEvidenceError: A license breaks the format.
        """
        for related in self._related.values():
            read = [self._licenses(each, 0) for each in related.get(package, ())]
            if licenses := known_licenses(chain.from_iterable(read)):
                return licenses
        return ()

    def _licenses(self, identifier: str, nesting: int) -> tuple[str, ...]:
        read = self._read.get(identifier)
        if read is None:
            if nesting > _MAX_NESTING:
                raise refuse(
                    "cannot read the report: its licenses are made of one another more than "
                    f"{_MAX_NESTING} times over"
                )
            element = self._elements.get(identifier)
            read = _named(identifier) if element is None else self._defined(element, nesting)
            self._read[identifier] = read
        return read

    def _defined(self, element: Fields, nesting: int) -> tuple[str, ...]:
        match element.said("type"):
            case kind if kind == _EXPRESSION:
                return self._expression(element)
            case kind if kind in (_ALL_OF, _ANY_OF):
                members = [
                    self._licenses(each, nesting + 1)
                    for each in element.texts("expandedlicensing_member")
                ]
                if kind == _ALL_OF:
                    return known_licenses(chain.from_iterable(members))
                return (" OR ".join(dict.fromkeys(_joined(each) for each in members if each)),)
            case kind if kind == _OR_LATER:
                subject = element.text("expandedlicensing_subjectLicense")
                return tuple(f"{each}+" for each in self._licenses(subject, nesting + 1))
            case kind if kind == _WITH:
                subject = element.text("expandedlicensing_subjectExtendableLicense")
                addition = _joined(
                    self._licenses(element.text("expandedlicensing_subjectAddition"), nesting + 1)
                )
                return tuple(
                    f"{each} WITH {addition}" for each in self._licenses(subject, nesting + 1)
                )
            case _:
                return _own(element)

    def _expression(self, element: Fields) -> tuple[str, ...]:
        words = self._plain
        if "simplelicensing_customIdToUri" in element:
            entries = {
                entry.text("key"): self._elements.get(entry.said("value"))
                for entry in element.each_fields("simplelicensing_customIdToUri")
            }
            words = LicenseWords(
                {
                    key: word
                    for key, defined in entries.items()
                    if defined is not None and (word := _word(defined))
                }
            )
        return words.of(element.text("simplelicensing_licenseExpression"))


def _own(element: Fields) -> tuple[str, ...]:
    """Read a license or an addition that stands for itself."""
    identifier = element.said("spdxId") or element.said("@id")
    if identifier.startswith(_LISTED):
        return _named(identifier)
    return known_licenses([_word(element) or identifier])


def _word(element: Fields) -> str | None:
    texts = (
        element.optional_text(name)
        for name in ("simplelicensing_licenseText", "expandedlicensing_additionText")
    )
    return word_of(element.optional_text("name"), next((text for text in texts if text), None))


def _named(identifier: str) -> tuple[str, ...]:
    """Read the identifier of a license that is defined elsewhere."""
    if identifier.startswith(_LISTED):
        return known_licenses([identifier.removeprefix(_LISTED).removesuffix(".html")])
    last = identifier.rpartition("/")[2].rpartition("_")[2]
    return () if last in _NO_LICENSE else known_licenses([identifier])


def _joined(licenses: tuple[str, ...]) -> str:
    joined = " AND ".join(licenses)
    return f"({joined})" if " " in joined else joined
