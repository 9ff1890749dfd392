"""A policy: which images of a source have earned promotion, and under which tag they arrive.

The model is the single source of what a policy file may say. The JSON Schema for editors and the
reference page are generated from it (see `schema`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from image_promotion.errors import PolicyError
from image_promotion.policy.criteria.logic import AllOf
from image_promotion.policy.criteria.patterns import TagMatches
from image_promotion.policy.evidence import Evidence
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.governance import (
    APPROVAL,
    ATTESTATION,
    MODE,
    NOTIFY,
    OVERRIDES,
    RECHECK,
    REQUIRES,
    RETENTION,
    SOAK,
    Approval,
    Attestation,
    Mode,
    Notifications,
    Overrides,
    RecheckValue,
    Retention,
)
from image_promotion.policy.image_parts import FOREIGN_LAYERS, PLATFORMS, Platforms
from image_promotion.policy.places import (
    MAX_TARGETS,
    Destination,
    Source,
    Target,
    destinations_of,
)
from image_promotion.policy.referrers import Referrers
from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.repositories import (
    NAME_PLACEHOLDER,
    is_repository,
    name_in,
    require_matching,
    with_name,
)
from image_promotion.policy.tag_template import TagTemplate
from image_promotion.policy.triggers import TRIGGER_LIST, Trigger, require_shallow
from image_promotion.policy.values import NOT_EMPTY, Duration, Strict, Text, TextOrList, Words

MANUAL = "manual"
CRON_FIELDS = 5
_CHANCE = re.compile(r"[rh](?:$|[(/,])", re.IGNORECASE)

ROLLBACK_DAG_ID = "rollback"
"""The DAG that sets target tags back; a DAG has its policy's name, so no policy has this one."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def _name(value: str) -> str:
    if value == ROLLBACK_DAG_ID:
        raise RefusalError("is the name of the DAG that sets tags back", "any other name")
    if not _NAME.fullmatch(value):
        raise RefusalError(
            f"{value!r} is no name",
            "lower-case letters, digits and . _ -, a letter or digit first, at most 128 characters",
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


class ExistingImages(StrEnum):
    """What to do with images that are there when a policy is made or changed."""

    CONSIDER = "consider"
    IGNORE = "ignore"


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
        description="Lines of tasks in one run; up to so many images have a line each.",
    )
    images_per_task: int = Field(
        default=100,
        ge=1,
        le=1000,
        strict=True,
        description="Images that a line carries in a run with more images than `tasks_per_run`; "
        "fewer where there would be less than 4 lines, more where there would be too many.",
    )


class Policy(Strict):
    """A promotion policy."""

    model_config = ConfigDict(
        title="Promotion policy",
        json_schema_extra={"oneOf": [{"required": ["target"]}, {"required": ["targets"]}]},
    )

    name: Name
    description: Words = Field(default="", max_length=2000, description="For people.")
    source: Source
    sole_target: Target | None = Field(
        default=None, alias="target", description="Where images go; or several `targets`."
    )
    several_targets: tuple[Target, ...] = Field(
        default=(),
        alias="targets",
        validate_default=True,
        json_schema_extra={**NOT_EMPTY, "maxItems": MAX_TARGETS},
        description=f"In place of `target`: up to {MAX_TARGETS} of them, each with tags of its "
        "own. An image goes to all of them; one that fails leaves the others done.",
    )
    triggers: Annotated[tuple[Trigger, ...], *TRIGGER_LIST] = Field(
        description="What an image must fulfil; all of them must hold."
    )
    schedule: Text = Field(
        default=MANUAL,
        description="A cron expression such as `*/5 * * * *`, in the time zone of the target (the "
        "first of several), or `manual`. "
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
    mode: Mode = MODE
    requires: TextOrList | None = REQUIRES
    soak: Duration | None = SOAK
    approval: Approval | None = APPROVAL
    overrides: Overrides = OVERRIDES
    attestation: Attestation | None = ATTESTATION
    recheck: RecheckValue | None = RECHECK
    retention: Retention | None = RETENTION
    notify: Notifications = NOTIFY
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

    @field_validator("several_targets", mode="after")
    @classmethod
    def _is_target_or_targets(
        cls, value: tuple[Target, ...], info: ValidationInfo
    ) -> tuple[Target, ...]:
        # Where `target` is wrong it is not among the data, and that has been said.
        has_target = info.data.get("sole_target", value) is not None
        if value and has_target and "sole_target" in info.data:
            raise RefusalError("stands beside `target`", "one of `target` and `targets`")
        if not value and not has_target:
            raise RefusalError("is missing", "`target`, or `targets` for several", at=("target",))
        if len(value) > MAX_TARGETS:
            raise RefusalError(f"has {len(value)} targets", f"{MAX_TARGETS} at most")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Policy:
        for n, each in enumerate(self.destinations):
            self._can_reach(each)
            if each.place in [other.place for other in self.destinations[:n]]:
                raise RefusalError(
                    f"{each.template!r} there is a tag of another target too", at=each.at
                )
        self._names_its_signers()
        for each in self.destinations:
            try:
                self._template_of(each)
            except RefusalError as refusal:
                raise RefusalError(refusal.said, refusal.allowed, at=each.tag_at) from None
        return self

    def _can_reach(self, destination: Destination) -> None:
        target, at = destination.target, (*destination.at, "repository")
        try:
            require_matching(self.source.repository, target.repository)
        except RefusalError as refusal:
            raise RefusalError(refusal.said, refusal.allowed, at=at) from None
        same_place = (self.source.connection, self.source.repository) == (
            target.connection,
            target.repository.replace(NAME_PLACEHOLDER, "*"),
        )
        if same_place and destination.template == "%n":
            raise RefusalError(
                "is where the images come from, and their tag stays: nothing would change",
                "another repository, or another target.tag",
                at=at,
            )

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

    @property
    def target(self) -> Target:
        """The target, or the first of several, whose time zone the schedule and triggers go by."""
        return self.destinations[0].target

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """The targets, in the order of the file."""
        return (self.sole_target,) if self.sole_target else self.several_targets

    @cached_property
    def destinations(self) -> tuple[Destination, ...]:
        """All that an image is promoted to: each tag of each target."""
        return destinations_of(self.sole_target, self.several_targets)

    @property
    def target_connections(self) -> tuple[str, ...]:
        """The connections of the targets, each once."""
        return tuple(dict.fromkeys(each.target.connection for each in self.destinations))

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
    def _groups(self) -> frozenset[str]:
        """The groups that a tag template may use."""
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
        return frozenset(groups)

    def _template_of(self, destination: Destination) -> TagTemplate:
        return TagTemplate.parse(destination.template, groups=self._groups)

    @property
    def repository_is_pattern(self) -> bool:
        """Whether the source is a pattern of repositories."""
        return "*" in self.source.repository

    def matches_repository(self, repository: str) -> bool:
        """Return whether a repository of the source belongs to this policy."""
        return self._name_in(repository) is not None

    def target_repository_for(
        self, source_repository: str, destination: Destination | None = None
    ) -> str:
        """Return where the images of a source repository go.

        Args:
            source_repository: A repository that this policy matches.
            destination: One of the policy's; None for the first.

        Returns:
            The target repository.
        """
        target = destination.target if destination else self.target
        return with_name(target.repository, self._name_in(source_repository) or "")

    def _name_in(self, repository: str) -> str | None:
        """Return what the pattern's `*` stands for; None for a repository that does not match."""
        name = name_in(self.source.repository, repository)
        # What would be no repository at the target is of no use; such names are rare (web---x).
        fits = name is not None and all(
            is_repository(with_name(each.target.repository, name)) for each in self.destinations
        )
        return name if fits else None

    def captured_groups(self, tag: str) -> Mapping[str, str]:
        """Return what the groups of the `matches` triggers matched in a tag."""
        captured: dict[str, str] = {}
        for pattern in self._patterns:
            captured |= pattern.capture(tag)
        return captured

    def render_tag(self, tag: str, now: datetime, destination: Destination | None = None) -> str:
        """Return the target tag of a source tag.

        Args:
            tag: The source tag.
            now: The moment of promotion, aware.
            destination: One of the policy's; None for the first.

        Returns:
            The tag.

        Raises:
            PolicyError: The template gives no legal tag for this source tag at this moment.
        """
        destination = destination or self.destinations[0]
        at = now.astimezone(ZoneInfo(destination.target.timezone))
        return self._template_of(destination).render(tag, at, self.captured_groups(tag))

    def document(self) -> str:
        """Return the whole policy as JSON, in its own order; `from_document` makes it again."""
        absent = () if self.several_targets else ("several_targets",)
        content = self.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude=set(absent)
        )
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
        `platforms`, `foreign_layers` and `attestation`; `evidence`, `mode`, `requires`, `soak`,
        `approval` and `overrides` decide. What they say without the key is left out, so that the
        hashes stay that were made before there was the key.
        """
        targets = "several_targets" if self.several_targets else "sole_target"
        parts = {"source", targets, "triggers", "existing_images"}
        if self.referrers != Referrers():
            parts.add("referrers")
        if self.foreign_layers is not ForeignLayers.SKIP:
            parts.add("foreign_layers")
        if self.evidence != Evidence():
            parts.add("evidence")
        if self.mode is not Mode.PROMOTE:
            parts.add("mode")
        if self.overrides is not Overrides.FORBID:
            parts.add("overrides")
        # Without a value they are left out of what is dumped.
        parts |= {"requires", "soak", "approval", "attestation"}
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
