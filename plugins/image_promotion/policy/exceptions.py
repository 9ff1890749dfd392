"""Exceptions: vulnerabilities that somebody has accepted for a while, in a file of their own.

The file stands beside the policies, is reviewed as they are, and holds one list::

    exceptions:
      - id: CVE-2026-1234
        package: openssl
        repository: dev/website
        reason: The affected function is not compiled in.
        expires: 2026-12-31
        by: alice@example.com
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from image_promotion.errors import PolicyError
from image_promotion.policy.facts import VulnerabilityException
from image_promotion.policy.refusal import RefusalError, kind_of
from image_promotion.policy.repositories import STAR, require_repository
from image_promotion.policy.values import YEARS, Strict, Text
from image_promotion.policy.yaml_document import Step, read_document


def _day(value: object) -> object:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise RefusalError(f"{value!r} is no date", "a day such as 2026-12-31") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise RefusalError(f"must be a date, not {kind_of(value)}", "a day such as 2026-12-31")
    if value.year not in YEARS:
        raise RefusalError(f"{value} is out of range", f"years {YEARS.start} to {YEARS.stop - 1}")
    return value


def _list_of_entries(value: object) -> object:
    # An empty list is one from which the last has been taken out, and is well.
    if not isinstance(value, list | tuple):
        raise RefusalError(
            f"must be a list, not {kind_of(value)}", "exceptions, each with a dash before it"
        )
    return value


Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]


class ExceptionEntry(Strict):
    """A vulnerability that does not count for a while."""

    id: Text = Field(description="Its identifier, such as `CVE-2026-1234`, or an alias.")
    package: Text | None = Field(
        default=None, description="The package it is accepted in; without the key in any."
    )
    repository: Text | None = Field(
        default=None,
        description="The source repository it is accepted in, or a pattern with one `*`; without "
        "the key in any.",
    )
    reason: Text = Field(description="Why it is accepted.")
    expires: Day = Field(description="The last day, in UTC, on which it is accepted.")
    by: Text = Field(description="Who accepted it.")

    @field_validator("id", "reason", "by")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise RefusalError("must not be blank")
        return value

    @field_validator("repository")
    @classmethod
    def _is_repository_or_pattern(cls, value: str | None) -> str | None:
        if value is not None and value.count(STAR) > 1:
            raise RefusalError(f"{value!r} has more than one {STAR}", f"one {STAR} at most")
        return value and require_repository(value, STAR)

    def exception(self) -> VulnerabilityException:
        """Return it as triggers judge by it."""
        return VulnerabilityException(
            id=self.id.strip(),
            reason=self.reason,
            expires=self.expires,
            by=self.by,
            package=self.package,
            repository=self.repository,
        )


class ExceptionsFile(Strict):
    """A file of exceptions."""

    exceptions: Annotated[tuple[ExceptionEntry, ...], BeforeValidator(_list_of_entries)] = Field(
        description="The exceptions"
    )


def load_exceptions(path: Path) -> tuple[VulnerabilityException, ...]:
    """Read a file of exceptions.

    Args:
        path: The file.

    Returns:
        The exceptions in its order, expired ones among them: triggers tell of those.

    Raises:
        PolicyError: The first of its faults, with file, line, column and key.
    """
    exceptions, faults = check_exceptions_file(path)
    if faults:
        raise faults[0]
    return exceptions


def check_exceptions_file(
    path: Path,
) -> tuple[tuple[VulnerabilityException, ...], tuple[PolicyError, ...]]:
    """Read a file of exceptions and find all its faults.

    Args:
        path: The file.

    Returns:
        The exceptions and no fault, or none and at least one, by line.
    """
    entries, faults = read_exception_entries(path)
    return tuple(each.exception() for each in entries), faults


def read_exception_entries(
    path: Path,
) -> tuple[tuple[ExceptionEntry, ...], tuple[PolicyError, ...]]:
    """Read a file of exceptions as its entries, and find all its faults.

    Args:
        path: The file.

    Returns:
        The entries and no fault, or none and at least one, by line.
    """
    try:
        document = read_document(path, "a list of exceptions")
    except PolicyError as fault:
        return (), (fault,)
    faults = list(document.faults)
    entries: tuple[ExceptionEntry, ...] = ()
    try:
        entries = ExceptionsFile.model_validate(document.content).exceptions
    except ValidationError as error:
        from image_promotion.policy.faults import (  # noqa: PLC0415 - only faults need it
            Vocabulary,
            fault_of,
        )

        vocabulary = Vocabulary(_keys_at, _meaning_at)
        faults += [fault_of(each, document, vocabulary) for each in error.errors()]
    if faults:
        return (), tuple(sorted(faults, key=lambda each: (each.line or 0, each.column or 0)))
    return entries, ()


def _keys_at(location: Sequence[Step]) -> list[str]:
    match tuple(location):
        case ():
            return list(ExceptionsFile.model_fields)
        case ("exceptions", int()):
            return list(ExceptionEntry.model_fields)
        case _:
            return []


def _meaning_at(location: Sequence[Step]) -> str:
    field = ExceptionEntry.model_fields.get(str(location[-1]))
    return ((field and field.description) or "a list of exceptions").removesuffix(".")
