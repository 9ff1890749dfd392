"""A policy: which images of a source have earned promotion, and under which tag they arrive.

The model is the single source of what a policy file may say. The JSON Schema for editors and the
reference page are generated from it (see `schema`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from image_promotion.errors import PolicyError
from image_promotion.policy.criteria.logic import AllOf
from image_promotion.policy.criteria.patterns import TagMatches
from image_promotion.policy.evidence import Evidence
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.image_parts import FOREIGN_LAYERS, PLATFORMS, Platforms
from image_promotion.policy.referrers import Referrers
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.repositories import (
    NAME_PLACEHOLDER,
    is_repository,
    name_in,
    require_matching,
    require_repository,
    with_name,
)
from image_promotion.policy.tag_template import ANY_GROUP, TagTemplate
from image_promotion.policy.triggers import TRIGGER_LIST, Trigger, require_shallow
from image_promotion.policy.values import Strict, Text, Words

MANUAL = "manual"
CRON_FIELDS = 5
_CHANCE = re.compile(r"[rh](?:$|[(/,])", re.IGNORECASE)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_CONNECTION_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise RefusalError(
            f"{value!r} is no name",
            "lower-case letters, digits and . _ -, a letter or digit first, at most 128 characters",
        )
    return value


def _connection_id(value: str) -> str:
    if not _CONNECTION_ID.fullmatch(value):
        raise RefusalError(
            f"{value!r} is no connection's id",
            "the id of an Airflow connection, such as dev_registry; the registry's address and "
            "credentials are in the connection",
        )
    return value


Name = Annotated[
    Text,
    AfterValidator(_name),
    Field(
        description="Lower-case letters, digits, `.`, `_`, `-`. It is the DAG's id.",
        json_schema_extra={"pattern": f"^{_NAME.pattern}$"},
    ),
]
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


class ExistingImages(StrEnum):
    """What to do with images that are there when a policy is made or changed."""

    CONSIDER = "consider"
    IGNORE = "ignore"


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
    tag: Text = Field(
        default="%n",
        description="The tag template: `%n` is the source tag, `%Y%m%d` and others the time of "
        "promotion, `%{1}` or `%{name}` a group of a `matches` trigger.",
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
    def _is_template(cls, value: str) -> str:
        TagTemplate.parse(value, groups=ANY_GROUP)
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
    def _template_suits_the_time_zone(self) -> Target:
        try:
            TagTemplate.parse(self.tag, groups=ANY_GROUP, zone=ZoneInfo(self.timezone))
        except RefusalError as refusal:
            raise RefusalError(refusal.said, refusal.allowed, at=("tag",)) from None
        return self


class Limits(Strict):
    """How much one run does."""

    images_per_run: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        strict=True,
        description="Images promoted in one run; what is over it waits for the next.",
    )
    tasks_per_run: int = Field(
        default=50,
        ge=1,
        le=500,
        strict=True,
        description="Lines of tasks in one run; with more images each line carries a batch.",
    )


class Policy(Strict):
    """A promotion policy."""

    model_config = ConfigDict(title="Promotion policy")

    name: Name
    description: Words = Field(default="", max_length=2000, description="For people.")
    source: Source
    target: Target
    triggers: Annotated[tuple[Trigger, ...], *TRIGGER_LIST] = Field(
        description="What an image must fulfil; all of them must hold."
    )
    schedule: Text = Field(
        default=MANUAL,
        description="A cron expression such as `*/5 * * * *`, in `target.timezone`, or `manual`. "
        "With a cron expression, events of the source repository start it besides.",
    )
    existing_images: ExistingImages = Field(
        default=ExistingImages.CONSIDER,
        description="Whether images that are there when the policy is made or changed count.",
    )
    evidence: Evidence = Evidence()
    platforms: Platforms | None = PLATFORMS
    foreign_layers: ForeignLayers = FOREIGN_LAYERS
    referrers: Referrers = Referrers()
    limits: Limits = Limits()

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, value: str) -> str:
        if value == MANUAL:
            return value
        from croniter import croniter  # noqa: PLC0415 - only policies with a schedule pay for it

        allowed = f'{MANUAL}, or a cron expression of five fields in quotes, such as "*/5 * * * *"'
        fields = value.split()
        if len(fields) != CRON_FIELDS and not value.startswith("@"):
            raise RefusalError(
                f"{value!r} is no cron expression: it has {len(fields)} of five fields", allowed
            )
        # croniter knows letters for "some minute or other", which each look would read differently.
        if any(_CHANCE.match(field) for field in fields) or not croniter.is_valid(value):
            raise RefusalError(f"{value!r} is no cron expression", allowed)
        if not croniter.is_valid(value, strict=True):
            raise RefusalError(f"{value!r} names a day that never comes", allowed)
        return value

    @field_validator("triggers", mode="before")
    @classmethod
    def _nest_a_little(cls, value: object) -> object:
        require_shallow(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Policy:
        try:
            require_matching(self.source.repository, self.target.repository)
        except RefusalError as refusal:
            raise RefusalError(refusal.said, refusal.allowed, at=("target", "repository")) from None
        same_place = (self.source.connection, self.source.repository) == (
            self.target.connection,
            self.target.repository.replace(NAME_PLACEHOLDER, "*"),
        )
        if same_place and self.target.tag == "%n":
            raise RefusalError(
                "is where the images come from, and their tag stays: nothing would change",
                "another repository, or another target.tag",
                at=("target", "repository"),
            )
        self._names_its_signers()
        try:
            self._template  # noqa: B018 - made once, here, so that a wrong one is told now
        except RefusalError as refusal:
            raise RefusalError(refusal.said, refusal.allowed, at=("target", "tag")) from None
        return self

    def _names_its_signers(self) -> None:
        for n, trigger in enumerate(self.triggers):
            for named in trigger.signers(at=("triggers", n)):
                try:
                    self.evidence.require_signers(named.names)
                except RefusalError as refusal:
                    raise RefusalError(refusal.said, refusal.allowed, at=named.at) from None
                if not any(each.name is SourceName.REFERRERS for each in self.evidence.sources):
                    raise RefusalError(
                        "asks for a signature, and referrers are not among evidence.sources",
                        "`referrers` among them: signatures are attached to the image",
                        at=named.at,
                    )

    @cached_property
    def criterion(self) -> AllOf:
        """What an image must fulfil: one part for each trigger."""
        zone = ZoneInfo(self.target.timezone)
        return AllOf(tuple(trigger.criterion(zone) for trigger in self.triggers))

    @cached_property
    def _patterns(self) -> tuple[TagMatches, ...]:
        """The expressions that every promoted tag has matched, whose groups the template may use.

        Those within `any` and `not` are not among them: they need not have matched.
        """
        return tuple(
            pattern for trigger in self.triggers for pattern in trigger.required_patterns()
        )

    @cached_property
    def _template(self) -> TagTemplate:
        names: list[str] = [name for pattern in self._patterns for name in pattern.group_names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RefusalError(
                f"there are two groups of the name {twice[0]} in the `matches` triggers"
            )
        groups = set(names)
        if len(self._patterns) == 1:
            # With several expressions nobody could say whose first group %{1} is.
            groups |= {str(n) for n in range(1, self._patterns[0].group_count + 1)}
        return TagTemplate.parse(self.target.tag, groups=groups)

    @property
    def repository_is_pattern(self) -> bool:
        """Whether the source is a pattern of repositories."""
        return "*" in self.source.repository

    def matches_repository(self, repository: str) -> bool:
        """Return whether a repository of the source belongs to this policy."""
        return self._name_in(repository) is not None

    def target_repository_for(self, source_repository: str) -> str:
        """Return where the images of a source repository go.

        Args:
            source_repository: A repository that this policy matches.

        Returns:
            The target repository.
        """
        return with_name(self.target.repository, self._name_in(source_repository) or "")

    def _name_in(self, repository: str) -> str | None:
        """Return what the pattern's `*` stands for; None for a repository that does not match."""
        name = name_in(self.source.repository, repository)
        # What would be no repository at the target is of no use; such names are rare (web---x).
        fits = name is not None and is_repository(with_name(self.target.repository, name))
        return name if fits else None

    def captured_groups(self, tag: str) -> Mapping[str, str]:
        """Return what the groups of the `matches` triggers matched in a tag."""
        captured: dict[str, str] = {}
        for pattern in self._patterns:
            captured |= pattern.capture(tag)
        return captured

    def render_tag(self, tag: str, now: datetime) -> str:
        """Return the target tag of a source tag.

        Args:
            tag: The source tag.
            now: The moment of promotion, aware.

        Returns:
            The tag.

        Raises:
            PolicyError: The template gives no legal tag for this source tag at this moment.
        """
        at = now.astimezone(ZoneInfo(self.target.timezone))
        return self._template.render(tag, at, self.captured_groups(tag))

    def document(self) -> str:
        """Return the whole policy as JSON, in its own order; `from_document` makes it again."""
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_document(cls, document: str) -> Policy:
        """Make a policy again from what `document` returned.

        Args:
            document: What `document` returned, in this or in an earlier version of the product.

        Returns:
            The policy.

        Raises:
            PolicyError: It is no policy of this version.
        """
        try:
            return cls.model_validate(json.loads(document))
        except ValueError as error:
            # ValidationError, JSONDecodeError
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise PolicyError(
                f"the recorded policy cannot be read: {first}",
                advice="It was recorded by another version; start a new run.",
            ) from None

    @property
    def hash(self) -> str:
        """What tells this version of the policy from others: a hash over what decides.

        A new description, schedule or limit makes no new version, and so decides nothing again.
        Another `referrers` does make one, although it selects no image: a promotion is carried out
        by the version that decided it, which must say what goes along. The same holds for
        `platforms` and `foreign_layers`; `evidence` decides. What the four say without the key is
        left out, so that the hashes stay that were made before there was the key.
        """
        parts = {"source", "target", "triggers", "existing_images"}
        if self.referrers != Referrers():
            parts.add("referrers")
        if self.foreign_layers is not ForeignLayers.SKIP:
            parts.add("foreign_layers")
        if self.evidence != Evidence():
            parts.add("evidence")
        decides = self.model_dump(mode="json", by_alias=True, exclude_none=True, include=parts)
        if self.platforms is not None:
            # Their order decides nothing.
            decides["platforms"] = sorted(set(self.platforms))
        return f"sha256:{hashlib.sha256(_canonical(decides).encode()).hexdigest()}"

    def describe(self) -> str:
        """Say in words, as Markdown, what the policy does."""
        from image_promotion.policy.description import describe  # noqa: PLC0415 - it needs Policy

        return describe(self)


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
