"""Triggers on the licenses of components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from image_promotion.policy.criteria.components import NO_COMPONENTS
from image_promotion.policy.criteria.text import (
    TextOperator,
    first,
    listed,
    quoted,
    require_values,
    unknown,
)
from image_promotion.policy.criteria.verdict import Finding, Need, verdict_of
from image_promotion.policy.facts import Component, ImageFacts
from image_promotion.policy.inventory import by_licenses, distinct
from image_promotion.policy.licenses import is_said, read_expression, stem_of
from image_promotion.policy.packages import NOT_SOFTWARE, kind_of_component, label_of


@dataclass(frozen=True, slots=True)
class License:
    """Asks which licenses the image's components are under, however these are spelled.

    "is one of" holds when some component is, or may be taken, under one of them; "is not one of"
    when each component can be taken without any of them.

    Args:
        operator: One of the two.
        values: The licenses, by SPDX identifier or by the word the components use.
        allows_unlicensed: Whether it may hold while components name no license.
    """

    operator: TextOperator
    values: tuple[str, ...]
    allows_unlicensed: bool = True

    def __post_init__(self) -> None:
        require_values(self.values)
        if self.operator not in {TextOperator.IS_ONE_OF, TextOperator.IS_NOT_ONE_OF}:
            raise ValueError("licenses are compared by is_one_of and is_not_one_of alone")

    @property
    def needs(self) -> frozenset[Need]:
        """The components."""
        return frozenset({Need.COMPONENTS})

    def describe(self) -> str:
        """Say what it asks for."""
        further = "" if self.allows_unlicensed else ", and every component names one"
        if self.operator is TextOperator.IS_ONE_OF:
            return f"a license is one of {quoted(self.values)}{further}"
        return f"no license is one of {quoted(self.values)}{further}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Look for components under these licenses."""
        known = facts.components
        if known is None:
            why = facts.why_no_components or NO_COMPONENTS
            return unknown(self.describe(), self.describe(), why)
        survey = _Survey(self.values, wants_any=self.operator is TextOperator.IS_ONE_OF)
        for licenses, components in known.once(by_licenses).items():
            survey.add(licenses, components)
        holds = bool(survey.under) is (self.operator is TextOperator.IS_ONE_OF)
        if not self.allows_unlicensed and survey.unlicensed:
            holds = False
        under = first(survey.under)
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(holds),
            expected=self.describe(),
            found=survey.words(
                len(known.once(distinct)), names_unlicensed=not self.allows_unlicensed
            ),
            source=known.source,
            count=len(survey.under),
            items=under,
        )


@dataclass(slots=True)
class _Survey:
    """What was found while going through the components.

    Args:
        values: The licenses as the policy writes them.
        wants_any: Whether one branch of a choice is enough, or all must be.
        under: The components under one of these, as a finding shows them.
        near: Those under another form of one.
        unlicensed: Those that name no license.
    """

    values: tuple[str, ...]
    wants_any: bool
    under: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    unlicensed: list[str] = field(default_factory=list)
    _listed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._listed = frozenset(read_expression(value).name for value in self.values)

    def add(self, licenses: tuple[str, ...], components: Iterable[Component]) -> None:
        """Look at the components under certain licenses."""
        said = [each for each in licenses if is_said(each)]
        if not said:
            self.unlicensed += (
                label_of(each) for each in components if kind_of_component(each) not in NOT_SOFTWARE
            )
        elif under := [each for each in said if self._answer(each)[0]]:
            self.under += _labelled(components, under)
        elif near := [each for each in said if self._answer(each)[1]]:
            self.near += _labelled(components, near)

    def _answer(self, text: str) -> tuple[bool, bool]:
        return _answer_of(text, self._listed, wants_any=self.wants_any)

    def words(self, total: int, *, names_unlicensed: bool) -> str:
        """Say what was found among so many components."""
        all_of_them = "1 component" if total == 1 else f"{total} components"
        found = [
            f"{len(self.under)} of {all_of_them} under one: {_some(self.under)}"
            if self.under
            else f"none of {all_of_them} under one"
        ]
        if self.near:
            found.append(
                f"{len(self.near)} under another form of one, which is not listed: "
                f"{_some(self.near)}"
            )
        name = "names" if total == 1 else "name"
        nameless = f"{len(self.unlicensed)} of {all_of_them} {name} no license"
        if names_unlicensed and self.unlicensed:
            nameless += f": {_some(self.unlicensed)}"
        return "; ".join([*found, nameless])


# By text: an image has some hundred of them in thousands of combinations, and images share them.
@lru_cache(maxsize=16_384)
def _answer_of(text: str, listed: frozenset[str], *, wants_any: bool) -> tuple[bool, bool]:
    """Return whether a text is under a listed license, and whether under a near one.

    A near one is not listed, and differs from one that is in "or later" or an exception.
    """
    expression = read_expression(text)
    named = set(expression.licenses())
    is_under = not (named.isdisjoint(listed) if wants_any else expression.avoids(listed))
    others = named - listed
    stems = {stem_of(each) for each in listed} if others else set()
    return is_under, any(stem_of(each) in stems for each in others)


def _labelled(components: Iterable[Component], texts: list[str]) -> Iterator[str]:
    licenses = ", ".join(texts)
    return (f"{label_of(each)} ({licenses})" for each in components)


def _some(words: list[str]) -> str:
    return listed(first(words), of=len(words))
