"""The triggers as they stand in a policy file, and how each becomes a criterion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from image_promotion.policy.criteria.age import Updated
from image_promotion.policy.criteria.evidence import (
    ALL,
    Comparison,
    Condition,
    License,
    Vulnerabilities,
)
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.patterns import TagMatches, TagSemver
from image_promotion.policy.criteria.text import ComponentName, TagName, TextOperator
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.facts import Band
from image_promotion.policy.refusal import RefusalError, kind_of
from image_promotion.policy.values import (
    BOUND,
    NOT_EMPTY,
    Bound,
    DateOrTime,
    Duration,
    Strict,
    Text,
    TextList,
    TextOrList,
)

MAX_DEPTH = 8  # of any, all and not within each other


class NameTrigger(Strict):
    """DTR's six operators on a name; several in one mapping must all hold."""

    equals: TextOrList | None = Field(default=None, description="The whole name; of several, any.")
    starts_with: TextOrList | None = Field(
        default=None, description="Its beginning, such as `v`; of several, any."
    )
    ends_with: TextOrList | None = Field(
        default=None, description="Its end, such as `-stable`; of several, any."
    )
    contains: TextOrList | None = Field(default=None, description="A part of it; of several, any.")
    is_one_of: TextList | None = Field(default=None, description="The whole name is one of these.")
    is_not_one_of: TextList | None = Field(default=None, description="It is none of these.")

    @model_validator(mode="after")
    def _asks_for_something(self) -> NameTrigger:
        if not self.model_fields_set:
            raise RefusalError("is empty", f"one or more of {', '.join(type(self).model_fields)}")
        return self

    def comparisons(self) -> Iterator[tuple[TextOperator, tuple[str, ...]]]:
        """Yield each operator that was given, with its values."""
        for operator in TextOperator:
            if values := getattr(self, operator.value):
                yield operator, values


class TagTrigger(NameTrigger):
    """A trigger on the tag's name; upper and lower case differ."""

    matches: Text | None = Field(
        default=None,
        description="An RE2 regular expression for the whole tag; its groups serve the template.",
    )
    semver: Text | None = Field(
        default=None, description="A range of semantic versions as npm writes it, such as ^1.4."
    )

    @field_validator("matches")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        if value is not None:
            TagMatches(value)
        return value

    @field_validator("semver")
    @classmethod
    def _is_range(cls, value: str | None) -> str | None:
        if value is not None:
            TagSemver(value)
        return value

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        criteria: list[Criterion] = [
            TagName(operator, values) for operator, values in self.comparisons()
        ]
        if self.matches is not None:
            criteria.append(TagMatches(self.matches))
        if self.semver is not None:
            criteria.append(TagSemver(self.semver))
        return criteria


class ComponentTrigger(NameTrigger):
    """A trigger on the image's components: one has such a name, or (is_not_one_of) none has.

    Upper and lower case are the same. Without a list of components the answer is `wait`.
    """

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        return [ComponentName(operator, values) for operator, values in self.comparisons()]


class VulnerabilityTrigger(Strict):
    """Bounds on the numbers of vulnerabilities; all must hold.

    Each is `>=`, `>`, `=`, `!=`, `<=` or `<` and a number, in quotes. Without a report the answer
    is `wait`.
    """

    critical: Bound | None = Field(
        default=None, description="CVSS 7.0 and above: a bound such as `= 0`."
    )
    major: Bound | None = Field(default=None, description="CVSS 4.0 to below 7.0.")
    minor: Bound | None = Field(default=None, description="CVSS above 0 to below 4.0.")
    all: Bound | None = Field(default=None, description="Whatever their severity.")
    severity: dict[Text, Bound] = Field(
        default_factory=dict,
        description='By the scanner\'s own words, in any case: `{CRITICAL: "= 0", HIGH: "<= 2"}`.',
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> VulnerabilityTrigger:
        if not self.conditions():
            raise RefusalError("is empty", "one or more of critical, major, minor, all, severity")
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """Return the bounds in their order."""
        bands: list[tuple[Band | str, str | None]] = [
            (Band.CRITICAL, self.critical),
            (Band.MAJOR, self.major),
            (Band.MINOR, self.minor),
            (ALL, self.all),
        ]
        given = [(subject, bound) for subject, bound in (*bands, *self.severity.items()) if bound]
        return tuple(_condition(subject, bound) for subject, bound in given)

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        return [Vulnerabilities(self.conditions())]


def _condition(subject: Band | str, bound: str) -> Condition:
    match = BOUND.fullmatch(bound)
    if match is None:
        raise ValueError(f"{bound!r} is no bound")
    return Condition(subject, Comparison(match[1]), int(match[2]))


class LicenseTrigger(Strict):
    """A trigger on the licenses of the image's components; both must hold where both are given.

    Upper and lower case are the same. Without a list of components the answer is `wait`.
    """

    is_one_of: TextList | None = Field(
        default=None, description="Some component is under one of these."
    )
    is_not_one_of: TextList | None = Field(default=None, description="No component is.")

    @model_validator(mode="after")
    def _asks_for_something(self) -> LicenseTrigger:
        if not self.model_fields_set:
            raise RefusalError("is empty", "is_one_of, is_not_one_of or both")
        return self

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        criteria: list[Criterion] = []
        if self.is_one_of:
            criteria.append(License(TextOperator.IS_ONE_OF, self.is_one_of))
        if self.is_not_one_of:
            criteria.append(License(TextOperator.IS_NOT_ONE_OF, self.is_not_one_of))
        return criteria


class UpdatedTrigger(Strict):
    """A trigger on when the image was last updated; several must all hold.

    Durations are a whole number and `m`, `h`, `d` or `w`, such as `12h`. Dates are as `2026-01-31`,
    times as `2026-01-31T10:00:00Z`; without a zone they are in the target's.
    """

    older_than: Duration | None = Field(
        default=None, description="A duration: its age is at least this."
    )
    newer_than: Duration | None = Field(
        default=None, description="A duration: its age is less than this."
    )
    before: DateOrTime | None = Field(default=None, description="A date or a time.")
    after: DateOrTime | None = Field(
        default=None, description="A date or a time; that moment counts as after it."
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> UpdatedTrigger:
        if not self.model_fields_set:
            raise RefusalError("is empty", "one or more of older_than, newer_than, before, after")
        return self

    def criteria(self, zone: tzinfo) -> list[Criterion]:
        """Return the criteria it asks for, dates without a zone being in this one."""
        criteria: list[Criterion] = []
        if self.older_than is not None:
            criteria.append(Updated(older_than=self.older_than))
        if self.newer_than is not None:
            criteria.append(Updated(newer_than=self.newer_than))
        if self.before is not None:
            criteria.append(Updated(before=_placed(self.before, zone)))
        if self.after is not None:
            criteria.append(Updated(after=_placed(self.after, zone)))
        return criteria


def _placed(moment: datetime, zone: tzinfo) -> datetime:
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)


def _list_of_triggers(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise RefusalError(
            f"must be a list, not {kind_of(value)}", "triggers, each with a dash before it"
        )
    if not value:
        raise RefusalError("needs at least one trigger")
    return value


TRIGGER_LIST = (BeforeValidator(_list_of_triggers), Field(json_schema_extra=NOT_EMPTY))


class Trigger(Strict):
    """One trigger of a policy: exactly one of these keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    tag: TagTrigger | None = None
    component: ComponentTrigger | None = None
    vulnerabilities: VulnerabilityTrigger | None = None
    license: LicenseTrigger | None = None
    updated: UpdatedTrigger | None = None
    any: Annotated[tuple[Trigger, ...] | None, *TRIGGER_LIST] = Field(
        default=None, description="At least one must hold."
    )
    all: Annotated[tuple[Trigger, ...] | None, *TRIGGER_LIST] = Field(
        default=None, description="All must hold."
    )
    not_: Trigger | None = Field(default=None, alias="not", description="It must not hold.")

    @model_validator(mode="after")
    def _is_one_trigger(self) -> Trigger:
        names = {name: field.alias or name for name, field in type(self).model_fields.items()}
        allowed = f"exactly one of {', '.join(names.values())}"
        given = [names[name] for name in names if name in self.model_fields_set]
        if not given:
            raise RefusalError("is empty", allowed)
        if len(given) > 1:
            raise RefusalError(
                f"has {' and '.join(given)}; begin each trigger with a dash of its own", allowed
            )
        return self

    def criterion(self, zone: tzinfo) -> Criterion:
        """Return the criterion it stands for.

        Args:
            zone: The time zone of dates that name none.

        Returns:
            The criterion.
        """
        if self.any:
            return AnyOf(tuple(each.criterion(zone) for each in self.any))
        if self.not_:
            return Not(self.not_.criterion(zone))
        criteria = (
            [each.criterion(zone) for each in self.all] if self.all else self._own_criteria(zone)
        )
        return criteria[0] if len(criteria) == 1 else AllOf(tuple(criteria))

    def _own_criteria(self, zone: tzinfo) -> Sequence[Criterion]:
        if self.updated:
            return self.updated.criteria(zone)
        own = self.tag or self.component or self.vulnerabilities or self.license
        return own.criteria() if own else ()

    def required_patterns(self) -> Iterator[TagMatches]:
        """Yield the `matches` expressions that every promoted tag has matched."""
        if self.tag and self.tag.matches is not None:
            yield TagMatches(self.tag.matches)
        for each in self.all or ():
            yield from each.required_patterns()


def require_shallow(value: object, *, at: tuple[str | int, ...] = (), depth: int = 0) -> None:
    """Refuse triggers that nest too deeply, before any of them is looked at.

    Args:
        value: What stands under `triggers`, whatever it is.
        at: Where that is.
        depth: How many lists of triggers, or `not`, it is in.

    Raises:
        RefusalError: There are more than eight levels; says where the ninth begins.
    """
    if depth > MAX_DEPTH:
        raise RefusalError("is nested too deeply", f"{MAX_DEPTH} levels of any, all and not", at=at)
    if isinstance(value, list | tuple):
        for n, each in enumerate(value):
            require_shallow(each, at=(*at, n), depth=depth)
    elif isinstance(value, Mapping):
        for key in ("any", "all", "not"):
            if key in value:
                require_shallow(value[key], at=(*at, key), depth=depth + 1)
