"""The triggers on what reports say, as they stand in a policy file."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from image_promotion.policy.comparison import Comparison
from image_promotion.policy.criteria.licenses import License
from image_promotion.policy.criteria.signatures import SignedBy
from image_promotion.policy.criteria.text import TextOperator
from image_promotion.policy.criteria.verdict import Criterion
from image_promotion.policy.criteria.vulnerabilities import ALL, Condition, Vulnerabilities
from image_promotion.policy.facts import Band
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import BOUND, Bound, Strict, Text, TextList

_EXPRESSION = re.compile(r"\s(?:AND|OR)\s")


SEVERITY_WORDS = frozenset(
    {
        *("critical", "high", "medium", "low", "negligible", "none", "unknown"),
        *("important", "moderate", "minimal", "unimportant", "untriaged", "end-of-life"),
        *("info", "informational", "note", "warning", "error", "defcon1"),
    }
)
"""The words of Trivy, Grype, Harbor, Clair, Red Hat, Debian, Ubuntu, CycloneDX and SARIF."""


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
        description='By the scanner\'s own words, in any case: `{CRITICAL: "= 0", HIGH: "<= 2"}`; '
        "`UNKNOWN` counts what nobody has rated.",
    )
    only_fixable: bool | None = Field(
        default=None,
        strict=True,
        description="`true` counts those alone that some version of the package mends.",
    )

    @field_validator("severity")
    @classmethod
    def _are_severities(cls, value: dict[str, str]) -> dict[str, str]:
        """Refuse a word that no scanner uses: nothing would ever be counted under it."""
        for word in value:
            if word.casefold() not in SEVERITY_WORDS:
                near = difflib.get_close_matches(word.casefold(), SEVERITY_WORDS, n=1)
                hint = f"; did you mean {near[0].upper()}?" if near else ""
                raise RefusalError(
                    f"no scanner rates {word!r}{hint}",
                    ", ".join(sorted(SEVERITY_WORDS)),
                    at=(word,),
                )
        return value

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
        return [Vulnerabilities(self.conditions(), only_fixable=bool(self.only_fixable))]


def _condition(subject: Band | str, bound: str) -> Condition:
    match = BOUND.fullmatch(bound)
    if match is None:
        raise ValueError(f"{bound!r} is no bound")
    return Condition(subject, Comparison(match[1]), int(match[2]))


class UnknownLicense(StrEnum):
    """What a component without a license means to a trigger on licenses."""

    ALLOW = "allow"
    REJECT = "reject"


class LicenseTrigger(Strict):
    """A trigger on the licenses of the image's components; both must hold where both are given.

    Licenses are SPDX identifiers, common spellings of them, or any other word; upper and lower case
    are the same. Without a list of components the answer is `wait`.
    """

    is_one_of: TextList | None = Field(
        default=None, description="Some component is, or may be taken, under one of these."
    )
    is_not_one_of: TextList | None = Field(
        default=None, description="Each component can be taken without any of these."
    )
    unknown: UnknownLicense | None = Field(
        default=None,
        description="Components that name no license: `allow`, as without the key, counts and "
        "shows them; with `reject` the trigger does not hold.",
    )

    @field_validator("is_one_of", "is_not_one_of")
    @classmethod
    def _are_single(cls, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for n, value in enumerate(values or ()):
            if _EXPRESSION.search(value):
                raise RefusalError(
                    f"{value!r} is an expression", "single licenses, each on its own", at=(n,)
                )
        return values

    @model_validator(mode="after")
    def _asks_for_something(self) -> LicenseTrigger:
        if not (self.is_one_of or self.is_not_one_of):
            raise RefusalError("is empty", "is_one_of, is_not_one_of or both")
        return self

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        allows = self.unknown is not UnknownLicense.REJECT
        criteria: list[Criterion] = []
        if self.is_one_of:
            criteria.append(License(TextOperator.IS_ONE_OF, self.is_one_of, allows))
        if self.is_not_one_of:
            criteria.append(License(TextOperator.IS_NOT_ONE_OF, self.is_not_one_of, allows))
        return criteria


class SignatureTrigger(Strict):
    """A trigger on the image's own signature; those of what is attached to it do not count.

    Until a valid signature is there the answer is `wait`: images are pushed before they are signed,
    so that one may come at any moment. So `not` of this trigger never holds.
    """

    signed_by: TextList = Field(
        description="Names under `evidence.signers`; a valid signature by one of them suffices."
    )

    @field_validator("signed_by")
    @classmethod
    def _names_somebody(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for n, value in enumerate(values):
            if value in {"any", "*"}:
                raise RefusalError(
                    f"{value!r} is nobody: anybody can make a key and sign with it",
                    "names under evidence.signers",
                    at=(n,),
                )
        return values

    def criteria(self) -> list[Criterion]:
        """Return the criteria it asks for."""
        return [SignedBy(self.signed_by)]
