"""The kinds of values a policy file holds, each with the words in which it is refused."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
)
from pydantic.config import JsonDict

from image_promotion.policy.refusal import RefusalError, UnquotedTextError, kind_of

# Beyond these, sums of times would leave the calendar.
MAX_DURATION = timedelta(days=36_500)
YEARS = range(1970, 3000)

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
BOUND = re.compile(r"(>=|<=|!=|>|<|=)\s*([0-9]{1,9})", re.ASCII)
_NEARLYBOUND = re.compile(r"(|==|=>|=<|<>|=!)\s*([0-9]{1,9})", re.ASCII)


class Strict(BaseModel):
    """What all parts of a policy have in common: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: object) -> object:
        """Refuse `key:` with nothing behind it, which would silently mean that it is not there."""
        if value is None:
            raise RefusalError("has no value")
        return value


def _words(value: object) -> object:
    """Refuse what YAML made a number, a date or a truth value of."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | date):
        raise UnquotedTextError(value)
    # Such as {name}, which is a mapping without its quotes.
    raise RefusalError(
        f"must be a text, not {kind_of(value)}", "a text, in quotes if it has { or ["
    )


def _text(value: object) -> object:
    if value == "":
        raise RefusalError("must not be empty")
    return _words(value)


def _list_of_texts(value: object) -> object:
    """Take one text for a list of one."""
    return _must_be_list(value if isinstance(value, list | tuple) else [value])


def _must_be_list(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise RefusalError(f"must be a list, not {kind_of(value)}", 'a list such as ["a", "b"]')
    if not value:
        raise RefusalError("needs at least one value")
    return value


# An error within a list must be the only one told. pydantic's own minimum would count the good
# values alone, and add "at least one" to it.
NOT_EMPTY: JsonDict = {"minItems": 1}

Words = Annotated[str, BeforeValidator(_words)]
Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
TextOrList = Annotated[
    tuple[Text, ...],
    BeforeValidator(
        _list_of_texts,
        json_schema_input_type=Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)],
    ),
]
TextList = Annotated[
    tuple[Text, ...], BeforeValidator(_must_be_list), Field(json_schema_extra=NOT_EMPTY)
]


def _text_or_texts(value: object) -> object:
    """Keep one text as it is, so that what is made of it reads as it was written."""
    if not isinstance(value, list | tuple):
        return _text(value)
    _must_be_list(value)
    for n, each in enumerate(value):
        try:
            _text(each)
        except UnquotedTextError:
            raise
        except RefusalError as refusal:
            raise RefusalError(refusal.said, refusal.allowed, at=(n,)) from None
    return tuple(value)


TextOrTexts = Annotated[
    str | tuple[str, ...],
    BeforeValidator(
        _text_or_texts,
        json_schema_input_type=Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)],
    ),
]

_BOUND_ALLOWED = 'one of >= > = != <= < and a whole number, in quotes, such as "= 0"'
_MEANT = {"": "=", "==": "=", "=>": ">=", "=<": "<=", "<>": "!=", "=!": "!="}


def _bound(value: object) -> object:
    if value is None:
        raise RefusalError("has no value")
    text = value.strip() if isinstance(value, str) else str(value)
    if isinstance(value, str) and BOUND.fullmatch(text):
        return text
    said = f"{value!r} is no bound"
    if not isinstance(value, bool) and (near := _NEARLYBOUND.fullmatch(text)):
        said += f'; did you mean "{_MEANT[near[1]]} {int(near[2])}"?'
    raise RefusalError(said, _BOUND_ALLOWED)


Bound = Annotated[
    str,
    BeforeValidator(_bound, json_schema_input_type=str),
    Field(json_schema_extra={"pattern": rf"^\s*{BOUND.pattern}\s*$"}),
]


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise RefusalError(
            f"{value!r} is no duration",
            "a whole number and m, h, d or w for minutes, hours, days or weeks, such as 7d",
        )
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > MAX_DURATION:
        raise RefusalError(f"{value!r} is too long", f"{MAX_DURATION.days}d at most")
    return duration


def written_duration(duration: timedelta) -> str:
    """Return a duration as a policy says it, in the largest unit that gives a whole number."""
    for letter, unit in reversed(_UNITS.items()):
        number, rest = divmod(duration, timedelta(**{unit: 1}))
        if not rest:
            return f"{number}{letter}"
    raise AssertionError("durations are made of whole minutes")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(written_duration, when_used="json"),
    Field(json_schema_extra={"pattern": f"^{_DURATION.pattern}$"}),
]


def _date_or_time(value: object) -> object:
    moment = value
    if isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - zone is the policy's
    elif isinstance(value, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
    if not isinstance(moment, datetime):
        raise RefusalError(
            f"{value!r} is no date and no time", "such as 2026-01-31 or 2026-01-31T10:00:00Z"
        )
    if moment.year not in YEARS:
        raise RefusalError(f"{value!r} is out of range", f"years {YEARS.start} to {YEARS.stop - 1}")
    return moment


DateOrTime = Annotated[datetime, BeforeValidator(_date_or_time, json_schema_input_type=str)]
