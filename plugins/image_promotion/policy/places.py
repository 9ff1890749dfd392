"""Where images come from and where they go: the keys `source`, `target` and `targets`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field, field_validator, model_validator

from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.repositories import NAME_PLACEHOLDER, require_repository
from image_promotion.policy.tag_template import ANY_GROUP, TagTemplate
from image_promotion.policy.values import Strict, Text, TextOrTexts

MAX_TARGETS = 20

_CONNECTION_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def _connection_id(value: str) -> str:
    if not _CONNECTION_ID.fullmatch(value):
        raise RefusalError(
            f"{value!r} is no connection's id",
            "the id of an Airflow connection, such as dev_registry; the registry's address and "
            "credentials are in the connection",
        )
    return value


ConnectionId = Annotated[
    Text,
    AfterValidator(_connection_id),
    Field(
        description="An Airflow connection of type container_registry.",
        json_schema_extra={"pattern": f"^{_CONNECTION_ID.pattern}$"},
    ),
]


class ExistingTag(StrEnum):
    """What to do when the target tag holds another image."""

    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Source(Strict):
    """Where images come from."""

    connection: ConnectionId
    repository: Text = Field(
        description="A repository such as `dev/website`, or a pattern with one `*` such as "
        "`dev/*`, which stands for any characters but `/`."
    )

    @field_validator("repository")
    @classmethod
    def _is_repository_or_pattern(cls, value: str) -> str:
        if value.count("*") > 1:
            raise RefusalError(f"{value!r} has more than one *", "one * at most")
        return require_repository(value, "*")


class Target(Strict):
    """Where images go, and what they are called there."""

    connection: ConnectionId
    repository: Text = Field(
        description="A repository such as `qa/website`; with a source pattern it has `{name}` "
        "where the source has what `*` stands for."
    )
    tag: TextOrTexts = Field(
        default="%n",
        description="The tag template: `%n` is the source tag, `%Y%m%d` and others the time of "
        "promotion, `%{1}` or `%{name}` a group of a `matches` trigger. A list of templates sets "
        "several tags.",
    )
    timezone: Text = Field(default="UTC", description="An IANA time zone such as `Europe/Berlin`.")
    existing_tag: ExistingTag = Field(
        default=ExistingTag.FAIL,
        description="When the target tag holds another image: `fail` makes the run fail and asks "
        "again each time, `skip` leaves it alone, `overwrite` moves the tag.",
    )

    @field_validator("repository")
    @classmethod
    def _is_repository(cls, value: str) -> str:
        if value.count(NAME_PLACEHOLDER) > 1:
            raise RefusalError(f"{value!r} has {NAME_PLACEHOLDER} twice", "once at most")
        return require_repository(value, NAME_PLACEHOLDER)

    @field_validator("tag")
    @classmethod
    def _are_templates(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for n, template in enumerate(_each(value)):
            with _at(*_place_of(value, n)):
                TagTemplate.parse(template, groups=ANY_GROUP)
                if template in _each(value)[:n]:
                    raise RefusalError(f"{template!r} is there twice", "each template once")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            near = difflib.get_close_matches(value, available_timezones(), n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near and "/" in value else ""
            raise RefusalError(
                f"there is no time zone {value!r}{hint}",
                "a name of the IANA database, such as Europe/Berlin",
            ) from None
        return value

    @model_validator(mode="after")
    def _templates_suit_the_time_zone(self) -> Target:
        for n, template in enumerate(self.tags):
            with _at(*self.place_of_tag(n)):
                TagTemplate.parse(template, groups=ANY_GROUP, zone=ZoneInfo(self.timezone))
        return self

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag templates, in the order of the file."""
        return _each(self.tag)

    def place_of_tag(self, n: int) -> tuple[str | int, ...]:
        """Return where the n-th tag template stands within the target."""
        return ("tag", *_place_of(self.tag, n))


@dataclass(frozen=True, slots=True)
class Destination:
    """One tag of one target: what an image is promoted to, with a history of its own.

    Attributes:
        target: The target.
        template: The tag template.
        at: Where the target stands in the policy.
        tag_at: Where the template stands there.
    """

    target: Target
    template: str
    at: tuple[str | int, ...] = field(compare=False)
    tag_at: tuple[str | int, ...] = field(compare=False)

    @property
    def place(self) -> tuple[str, str, str]:
        """The connection, the repository and the template, which together are there once."""
        return self.target.connection, self.target.repository, self.template


def destinations_of(target: Target | None, targets: tuple[Target, ...]) -> tuple[Destination, ...]:
    """Return all that an image is promoted to, in the order of the file.

    Args:
        target: The key `target`, if it is there.
        targets: The key `targets`; empty if it is not there.

    Returns:
        Each tag template of each target.
    """
    places: list[tuple[tuple[str | int, ...], Target]] = [
        (("targets", n), each) for n, each in enumerate(targets)
    ]
    if target is not None:
        places.insert(0, (("target",), target))
    return tuple(
        Destination(each, template, at, (*at, *each.place_of_tag(n)))
        for at, each in places
        for n, template in enumerate(each.tags)
    )


def _each(tag: str | tuple[str, ...]) -> tuple[str, ...]:
    return (tag,) if isinstance(tag, str) else tag


def _place_of(tag: str | tuple[str, ...], n: int) -> tuple[int, ...]:
    return () if isinstance(tag, str) else (n,)


@contextmanager
def _at(*place: str | int) -> Iterator[None]:
    """Say where the refused value stands."""
    try:
        yield
    except RefusalError as refusal:
        raise RefusalError(refusal.said, refusal.allowed, at=(*place, *refusal.at)) from None
