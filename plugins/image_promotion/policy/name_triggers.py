"""The triggers on names as they stand in a policy file: of the tag, and of the components."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from image_promotion.policy.criteria.components import ComponentName
from image_promotion.policy.criteria.patterns import TagMatches, TagSemver
from image_promotion.policy.criteria.text import TagName, TextOperator
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.packages import KINDS, PURL_TYPES
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import Strict, Text, TextList, TextOrList
from image_promotion.policy.version_ranges import VersionRange


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

    Upper and lower case are the same. The full name (`@scope/name`, `group:name`), its last part
    and the name of the source package all count. Without a list of components the answer is `wait`.
    """

    version: Text | None = Field(
        default=None,
        description="Only components in this range, such as `>= 1.2, < 2.0`; compared as the "
        "ecosystem of the component does.",
    )
    type: Text | None = Field(
        default=None,
        description="Only components of this type: of the package URL, such as `deb` or `npm`, or "
        "what it is, such as `library`.",
    )

    @field_validator("version")
    @classmethod
    def _is_version_range(cls, value: str | None) -> str | None:
        if value is not None:
            VersionRange(value)
        return value

    @field_validator("type")
    @classmethod
    def _is_type(cls, value: str | None) -> str | None:
        known = PURL_TYPES | KINDS
        if value is not None and value.casefold() not in known:
            # One that is misspelled would be the type of no component, and so hold for any image.
            near = difflib.get_close_matches(value.casefold(), sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RefusalError(
                f"{value!r} is no type of component{hint}",
                "the type of a package URL, such as deb, npm, maven or pypi, or library, "
                "application, operating-system, file and so on",
            )
        return value

    @model_validator(mode="after")
    def _has_an_operator(self) -> ComponentTrigger:
        if not any(True for _ in self.comparisons()):
            raise RefusalError(
                "has no name to look for", ", ".join(operator.value for operator in TextOperator)
            )
        return self

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        versions = None if self.version is None else VersionRange(self.version)
        return [
            ComponentName(operator, values, versions, self.type)
            for operator, values in self.comparisons()
        ]
