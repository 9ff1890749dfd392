"""An inventory: the components of a report, each of them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from image_promotion.policy.facts import Component

_Key = tuple[str | None, str, str | None, str | None]

_NO_LICENSES = frozenset({"", "NOASSERTION", "NONE"})
"""What stands where nobody said, or knows, which license there is; SPDX 2.3, annex D.4."""


class Inventory:
    """Collects components that count once for each group, name, version and package URL."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[_Key, Component] = {}

    def add(self, component: Component) -> None:
        """Add a component; one that is there already gains the licenses that only this one has.

        Args:
            component: The component.
        """
        key = (component.group, component.name, component.version, component.purl)
        known = self._by_key.setdefault(key, component)
        if known is not component and (known.licenses, known.kind) != (
            component.licenses,
            component.kind,
        ):
            self._by_key[key] = replace(
                known,
                licenses=tuple(dict.fromkeys((*known.licenses, *component.licenses))),
                kind=known.kind or component.kind,
            )

    def components(self) -> tuple[Component, ...]:
        """Return them in the order in which they were added first."""
        return tuple(self._by_key.values())


def known_licenses(words: Iterable[str]) -> tuple[str, ...]:
    """Leave out the words that name no license, and what stands twice.

    Args:
        words: SPDX expressions, or the words of the report.

    Returns:
        Those that name a license, in their order.
    """
    known: dict[str, None] = {}
    for word in words:
        stripped = word.strip()
        if stripped not in _NO_LICENSES:
            known[stripped] = None
    return tuple(known)
