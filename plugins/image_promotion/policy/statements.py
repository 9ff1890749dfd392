"""VEX: which statements take a vulnerability of an image out of the count.

Source: OpenVEX specification 0.2.0, "Status Labels", "Product Identification", "Subcomponents"; the
later of two statements stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from packageurl import PackageURL

from image_promotion.policy.facts import Statement, Status, Vulnerability

TAKING_OUT = frozenset({Status.NOT_AFFECTED, Status.FIXED})

_IMAGE_TYPES = frozenset({"oci", "docker"})


def identifiers_of(vulnerability: Vulnerability) -> Iterator[str]:
    """Yield a vulnerability's identifier and its aliases, as they are compared."""
    yield vulnerability.id.casefold()
    for alias in vulnerability.aliases:
        yield alias.casefold()


@dataclass(frozen=True, slots=True)
class Statements:
    """What is said about the vulnerabilities of one image, by those whom the policy trusts.

    Args:
        statements: The statements, in any order.
        digests: The image's digest, and that of the index it is part of.
    """

    statements: tuple[Statement, ...]
    digests: tuple[str, ...] = ()
    _by_id: Mapping[str, tuple[Statement, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for each in {statement.vulnerability.casefold(), *map(str.casefold, statement.aliases)}:
                by_id.setdefault(each, []).append(statement)
        object.__setattr__(self, "_by_id", {key: tuple(each) for key, each in by_id.items()})

    def taking_out(self, vulnerability: Vulnerability) -> Statement | None:
        """Return the statement by which a vulnerability does not count; None when it counts.

        Of statements that contradict each other the later stands; where their times do not tell, or
        one has none, the vulnerability counts.
        """
        about = [
            each
            for each in dict.fromkeys(self._of(identifiers_of(vulnerability)))
            if self._is_about(each, vulnerability)
        ]
        contrary = [each for each in about if each.status not in TAKING_OUT]
        for statement in about:
            if statement.status in TAKING_OUT and all(
                _is_later(statement, each) for each in contrary
            ):
                return statement
        return None

    def _of(self, identifiers: Iterable[str]) -> Iterator[Statement]:
        for each in identifiers:
            yield from self._by_id.get(each, ())

    def _is_about(self, statement: Statement, vulnerability: Vulnerability) -> bool:
        """Return whether a statement is about the package of a vulnerability in this image."""
        parts = statement.subcomponents
        within = not parts or any(_names_package(each, vulnerability) for each in parts)
        if not statement.products:
            # About whatever its document is attached to, which is this image.
            return within
        return any(
            within if self._names_image(product) else _names_package(product, vulnerability)
            for product in statement.products
        )

    def _names_image(self, product: str) -> bool:
        if product in self.digests:
            return True
        purl = _read_purl(product)
        return purl is not None and purl.type in _IMAGE_TYPES and purl.version in self.digests


def _is_later(statement: Statement, other: Statement) -> bool:
    if statement.at is None or other.at is None:
        return False
    return _aware(statement.at) > _aware(other.at)


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _names_package(product: str, vulnerability: Vulnerability) -> bool:
    """Return whether a product is a vulnerability's package.

    A package URL without version is about all versions, and one with fewer qualifiers about all
    that have these. A bare name is one only if it is the package's own.
    """
    if not product.startswith("pkg:"):
        return product.casefold() == vulnerability.package.casefold()
    stated, own = _read_purl(product), _read_purl(vulnerability.purl or "")
    if stated is None or own is None:
        return False
    return (
        (stated.type, stated.namespace or None, stated.name)
        == (own.type, own.namespace or None, own.name)
        and stated.version in {None, "", own.version or vulnerability.version}
        and _qualifiers(stated).items() <= _qualifiers(own).items()
        and (not stated.subpath or stated.subpath == own.subpath)
    )


def _qualifiers(purl: PackageURL) -> Mapping[str, str]:
    return purl.qualifiers if isinstance(purl.qualifiers, dict) else {}


@lru_cache(maxsize=4096)
def _read_purl(text: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None
