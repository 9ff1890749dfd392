"""Triggers on the components' names, with their versions and types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from image_promotion.policy.criteria.text import (
    TextOperator,
    first,
    listed,
    quoted,
    require_values,
    unknown,
)
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict, verdict_of
from image_promotion.policy.facts import Component, ImageFacts, Known
from image_promotion.policy.inventory import by_name, by_upstream, distinct
from image_promotion.policy.packages import (
    KINDS,
    kind_of_component,
    label_of,
    type_of,
    version_of,
)
from image_promotion.policy.version_ranges import VersionRange

NO_COMPONENTS = "no component list yet"

_WHOLE_NAMES = frozenset({TextOperator.EQUALS, TextOperator.IS_ONE_OF, TextOperator.IS_NOT_ONE_OF})


@dataclass(frozen=True, slots=True)
class ComponentName:
    """Asks whether the image has a component of a certain name; upper and lower case are the same.

    The name is the report's own, the full one and its last part, and that of the source package
    where the package URL says it. "is not one of" holds when none of the components is one of the
    values. With a version or a type only components count that have both.

    Args:
        operator: How names are compared.
        values: With what; any of several is enough.
        versions: The range that the version must be in; None for any.
        type_: The package URL's type, or the kind in CycloneDX's words; None for any.
    """

    operator: TextOperator
    values: tuple[str, ...]
    versions: VersionRange | None = None
    type_: str | None = None

    def __post_init__(self) -> None:
        require_values(self.values)

    @property
    def needs(self) -> frozenset[Need]:
        """The components."""
        return frozenset({Need.COMPONENTS})

    def describe(self) -> str:
        """Say what it asks for."""
        further = (f" of type {self.type_}" if self.type_ else "") + (
            f" in version {self.versions}" if self.versions else ""
        )
        if self.operator is TextOperator.IS_NOT_ONE_OF:
            return f"no component{further} is one of {quoted(self.values)}"
        return f"a component{further} {self.operator.words} {quoted(self.values)}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Look for components of these names."""
        known = facts.components
        if known is None:
            why = facts.why_no_components or NO_COMPONENTS
            return unknown(self.describe(), self._expected(), why)
        matching: list[str] = []
        unclear: list[str] = []
        for component, upstream in self._named(known):
            fits = self._fits(component)
            if fits is False:
                continue
            # A version that cannot be compared, or a type that nobody says, settles nothing.
            words = label_of(component) + (f" (built from {upstream})" if upstream else "")
            (unclear if fits is None else matching).append(words)
        verdict = verdict_of(bool(matching) is not (self.operator is TextOperator.IS_NOT_ONE_OF))
        if unclear and not matching:
            verdict = Verdict.UNKNOWN
        number = len(known.once(distinct))
        total = "1 component" if number == 1 else f"{number} components"
        items = first(matching)
        found = (
            f"{len(matching)} of {total}: {listed(items, of=len(matching))}"
            if matching
            else f"none of {total}"
        )
        if unclear:
            found += (
                f"; {len(unclear)} of such a name whose version or type cannot be told: "
                f"{listed(first(unclear), of=len(unclear))}"
            )
        return Finding(
            trigger=self.describe(),
            verdict=verdict,
            expected=self._expected(),
            found=found,
            source=known.source,
            count=len(matching),
            items=items,
        )

    def _expected(self) -> str:
        further = (f", type {self.type_}" if self.type_ else "") + (
            f", version {self.versions}" if self.versions else ""
        )
        return f"{self.operator.words} {quoted(self.values)}{further}"

    def _named(self, known: Known[Component]) -> Iterator[tuple[Component, str]]:
        """Yield the components of these names, with the source package's if that matches alone."""
        seen: set[object] = set()
        for make, is_upstream in ((by_name, False), (by_upstream, True)):
            named = known.once(make)
            for name in self._matching(named):
                for component in named[name]:
                    if component.key not in seen:
                        seen.add(component.key)
                        yield component, name if is_upstream else ""

    def _matching(self, names: Collection[str]) -> Iterable[str]:
        """Return those of some names, in small letters, that meet the operator."""
        values = {value.casefold() for value in self.values}
        if self.operator in _WHOLE_NAMES:
            return [value for value in values if value in names]
        parts = tuple(values)
        match self.operator:
            case TextOperator.STARTS_WITH:
                return [name for name in names if name.startswith(parts)]
            case TextOperator.ENDS_WITH:
                return [name for name in names if name.endswith(parts)]
            case _:
                return {name for part in parts for name in names if part in name}

    def _fits(self, component: Component) -> bool | None:
        """Return whether a component has the type and a version in the range; None if unclear."""
        answers = {self._is_of_type(component), self._is_in_range(component)}
        return False if False in answers else None if None in answers else True

    def _is_of_type(self, component: Component) -> bool | None:
        if self.type_ is None:
            return True
        asked = self.type_.casefold()
        kind, type_ = kind_of_component(component), type_of(component.purl)
        if asked in {kind, type_}:
            return True
        said = kind if asked in KINDS else type_
        return False if said else None

    def _is_in_range(self, component: Component) -> bool | None:
        if self.versions is None:
            return True
        version = version_of(component)
        return self.versions.contains(version, type_of(component.purl)) if version else None
