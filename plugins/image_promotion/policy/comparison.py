"""The six operators on what has an order: DTR's on numbers, and those of version ranges."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from enum import StrEnum


class Comparison(StrEnum):
    """How two are compared.

    Source: Docker Trusted Registry, promotion policy rules: gte, gt, eq, neq, lte, lt.
    """

    AT_LEAST = ">="
    MORE_THAN = ">"
    EQUAL = "="
    NOT_EQUAL = "!="
    AT_MOST = "<="
    LESS_THAN = "<"

    def holds(self, number: int, other: int) -> bool:
        """Say whether a number stands so to another."""
        return _HOLDS[self](number, other)


_HOLDS: Mapping[Comparison, Callable[[int, int], bool]] = {
    Comparison.AT_LEAST: operator.ge,
    Comparison.MORE_THAN: operator.gt,
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
    Comparison.AT_MOST: operator.le,
    Comparison.LESS_THAN: operator.lt,
}
