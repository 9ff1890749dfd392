"""The triggers as they stand in a policy file, and how each becomes a criterion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from image_promotion.policy.criteria.age import Updated
from image_promotion.policy.criteria.logic import AllOf, AnyOf, Not
from image_promotion.policy.criteria.patterns import TagMatches
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.evidence_triggers import (
    LicenseTrigger,
    SignatureTrigger,
    VulnerabilityTrigger,
)
from image_promotion.policy.name_triggers import ComponentTrigger, TagTrigger
from image_promotion.policy.refusal import RefusalError, kind_of
from image_promotion.policy.values import NOT_EMPTY, DateOrTime, Duration, Strict

MAX_DEPTH = 8  # of any, all and not within each other


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
    signature: SignatureTrigger | None = None
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
        own = self.tag or self.component or self.vulnerabilities or self.license or self.signature
        return own.criteria() if own else ()

    def required_patterns(self) -> Iterator[TagMatches]:
        """Yield the `matches` expressions that every promoted tag has matched."""
        if self.tag and self.tag.matches is not None:
            yield TagMatches(self.tag.matches)
        for each in self.all or ():
            yield from each.required_patterns()

    def signers(self, *, at: tuple[str | int, ...] = ()) -> Iterator[NamedSigners]:
        """Yield the signers that its `signature` triggers name, however deep they are nested.

        Args:
            at: Where it stands in the policy.
        """
        if self.signature:
            yield NamedSigners(self.signature.signed_by, (*at, "signature", "signed_by"))
        if self.not_:
            yield from self.not_.signers(at=(*at, "not"))
        for key, parts in (("any", self.any), ("all", self.all)):
            for n, part in enumerate(parts or ()):
                yield from part.signers(at=(*at, key, n))


@dataclass(frozen=True, slots=True)
class NamedSigners:
    """The signers that a trigger names.

    Args:
        names: Their names.
        at: Where they stand in the policy.
    """

    names: tuple[str, ...]
    at: tuple[str | int, ...]


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
