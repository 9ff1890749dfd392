"""What an image is made of, looked up by name and by license: made once for all triggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from image_promotion.policy.facts import Component, Known
from image_promotion.policy.packages import names_of, upstream_of

Named = Mapping[str, Sequence[Component]]


def distinct(known: Known[Component]) -> tuple[Component, ...]:
    """Return components once each, with what all reports together say of it.

    Args:
        known: Components of one or several reports.

    Returns:
        Those that differ in group, name, version or package URL, in their order.
    """
    found: dict[object, Component] = {}
    for each in known.items:
        first = found.setdefault(each.key, each)
        if first is not each and (first.licenses, first.kind) != (each.licenses, each.kind):
            licenses = tuple(dict.fromkeys((*first.licenses, *each.licenses)))
            found[each.key] = replace(first, licenses=licenses, kind=first.kind or each.kind)
    return tuple(found.values())


def by_name(known: Known[Component]) -> Named:
    """Return components by each of their own names, in small letters."""
    named: dict[str, list[Component]] = {}
    for each in known.once(distinct):
        for name in dict.fromkeys(map(str.casefold, names_of(each))):
            named.setdefault(name, []).append(each)
    return named


def by_upstream(known: Known[Component]) -> Named:
    """Return components by the name of their source package, in small letters."""
    named: dict[str, list[Component]] = {}
    for each in known.once(distinct):
        if upstream := upstream_of(each.purl):
            named.setdefault(upstream.casefold(), []).append(each)
    return named


def by_licenses(known: Known[Component]) -> Mapping[tuple[str, ...], Sequence[Component]]:
    """Return components by the licenses they are under: an image has few different ones."""
    found: dict[tuple[str, ...], list[Component]] = {}
    for each in known.once(distinct):
        found.setdefault(each.licenses, []).append(each)
    return found
