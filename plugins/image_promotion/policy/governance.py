"""Who and what besides the triggers decides: modes, stages, people, proof and second thoughts.

These are the keys `mode`, `requires`, `soak`, `approval`, `overrides`, `attestation`, `recheck`,
`retention` and `notify` of a policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from image_promotion.policy.refusal import RefusalError
from image_promotion.policy.values import (
    NOT_EMPTY,
    Duration,
    Strict,
    Text,
    TextList,
    TextOrList,
)


class Mode(StrEnum):
    """Whether a policy acts on what it decides."""

    PROMOTE = "promote"
    AUDIT = "audit"


class Overrides(StrEnum):
    """Whether a person may promote what a trigger keeps back."""

    FORBID = "forbid"
    ALLOW = "allow"


class OnTimeout(StrEnum):
    """What becomes of images about which nobody decided in time."""

    ASK_AGAIN = "ask_again"
    REJECT = "reject"


class Approval(Strict):
    """People decide too: nothing is copied before they approve."""

    approvals: int = Field(
        default=1,
        ge=1,
        le=10,
        strict=True,
        description="How many different people must approve an image. One rejection rejects it.",
    )
    users: TextList | None = Field(
        default=None,
        description="Only these users may decide, by the names that Airflow's auth manager knows. "
        "Without the key whoever may answer tasks of the DAG.",
    )
    timeout: Duration = Field(
        default=timedelta(days=7), description="How long one run waits for an answer."
    )
    on_timeout: OnTimeout = Field(
        default=OnTimeout.ASK_AGAIN,
        description="`ask_again` leaves the images for the next run, which asks anew; `reject` "
        "rejects them.",
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Approval:
        if self.users is not None and len(set(self.users)) < self.approvals:
            raise RefusalError(
                f"asks for {self.approvals} approvals and names {len(set(self.users))} people",
                "as many users as approvals at least",
                at=("users",),
            )
        return self


class Attestation(Strict):
    """The proof that a promotion leaves in the target: a signed in-toto statement."""

    connection: Text = Field(
        description="An Airflow connection of type signing_key: the private key it is signed by."
    )


class AfterFailedRecheck(StrEnum):
    """What to do with a promoted image that would not be promoted today."""

    REPORT = "report"
    ROLL_BACK = "roll_back"


_WORDS = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}


class Recheck(Strict):
    """Second thoughts: what is promoted already is judged again on fresh evidence."""

    every: Duration = Field(
        default=_WORDS["daily"], description="How much time passes between two looks at an image."
    )
    on_failure: AfterFailedRecheck = Field(
        default=AfterFailedRecheck.REPORT,
        description="`report` tells people, and keeps the image from later stages; `roll_back` "
        "also sets the target tag back to what it was.",
    )


def _recheck(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return {"every": _WORDS[value]}
    raise RefusalError(f"{value!r} is no interval", "daily, weekly, or every: and a duration")


RecheckValue = Annotated[Recheck, BeforeValidator(_recheck, json_schema_input_type=Recheck | str)]


class RetentionMode(StrEnum):
    """Whether superfluous tags are removed or only named."""

    DRY_RUN = "dry_run"
    REMOVE = "remove"


class Retention(Strict):
    """Which tags that this policy set stay in the target; at least the newest always does."""

    keep_newest: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        strict=True,
        description="So many of the newest stay.",
    )
    keep_younger_than: Duration | None = Field(
        default=None, description="Those that were verified less than this time ago stay."
    )
    mode: RetentionMode = Field(
        default=RetentionMode.DRY_RUN,
        description="`dry_run` says which tags would be removed, `remove` removes them. Only tags "
        "that this policy set and that still hold what it set are ever removed.",
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> Retention:
        if self.keep_newest is None and self.keep_younger_than is None:
            raise RefusalError(
                "says nothing of what is to be kept", "keep_newest, keep_younger_than, or both"
            )
        return self


class NotifyOn(StrEnum):
    """What people can be told of."""

    PROMOTED = "promoted"
    FAILED = "failed"
    REJECTED = "rejected"
    WAITING = "waiting"
    RECHECK_FAILED = "recheck_failed"
    ROLLED_BACK = "rolled_back"


_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
WEBHOOK_NOTIFIER = "webhook"


def _events(value: tuple[str, ...]) -> tuple[str, ...]:
    known = [each.value for each in NotifyOn]
    for each in value:
        if each not in known:
            raise RefusalError(f"{each!r} is nothing people can be told of", ", ".join(known))
    return value


class Notification(Strict):
    """Whom to tell, and of what."""

    on: Annotated[TextOrList, AfterValidator(_events)] = Field(
        description="One or several of `promoted`, `failed` (conflicts too), `rejected`, "
        "`waiting`, `recheck_failed`, `rolled_back`."
    )
    waiting_longer_than: Duration = Field(
        default=timedelta(days=1),
        description="With `waiting`: images that have waited for so long, each told once.",
    )
    notifier: Text = Field(
        default=WEBHOOK_NOTIFIER,
        description="`webhook` posts JSON to the URL of an Airflow connection; else the class of "
        "any Airflow notifier, such as "
        "`airflow.providers.slack.notifications.slack.SlackNotifier`.",
    )
    arguments: Mapping[str, Any] = Field(
        default_factory=dict,
        description="What the notifier is made with, such as `connection: chat` for `webhook`. In "
        "texts `{title}`, `{message}` and `{policy}` stand for what happened. Never a secret: it "
        "belongs in the connection.",
    )

    @field_validator("notifier")
    @classmethod
    def _is_a_class(cls, value: str) -> str:
        if value != WEBHOOK_NOTIFIER and not _DOTTED.fullmatch(value):
            raise RefusalError(
                f"{value!r} is no notifier", "webhook, or a class by its full dotted name"
            )
        return value

    @model_validator(mode="after")
    def _webhook_has_a_connection(self) -> Notification:
        if self.notifier == WEBHOOK_NOTIFIER:
            connection = self.arguments.get("connection")
            if set(self.arguments) != {"connection"} or not isinstance(connection, str):
                raise RefusalError(
                    "says not to which connection the webhook posts, or says more",
                    "`connection: ID` alone, the id of an Airflow connection",
                    at=("arguments",),
                )
        return self


def _list(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


Notifications = Annotated[
    tuple[Notification, ...],
    BeforeValidator(
        _list, json_schema_input_type=Notification | Annotated[list[Notification], Field()]
    ),
]

MODE = Field(
    default=Mode.PROMOTE,
    description="`audit` decides and records on every run, and copies nothing: to try a policy.",
)
REQUIRES = Field(
    default=None,
    description="Policies by whom the same digest must have been verified in this policy's source; "
    "until then the image waits.",
)
SOAK = Field(
    default=None,
    description="An image waits until it has been in the source for so long: since the policies "
    "of `requires` verified it there, else since it was seen first.",
)
OVERRIDES = Field(
    default=Overrides.FORBID,
    description="`allow` lets a person promote named tags although a trigger does not hold, with a "
    "written reason that is kept and attested.",
)
RETENTION = Field(
    default=None, description="Which promoted tags stay in the target; without the key all do."
)
APPROVAL = Field(default=None, description="People who must approve before anything is copied.")
ATTESTATION = Field(
    default=None, description="Every verified promotion leaves a signed statement in the target."
)
RECHECK = Field(
    default=None,
    description="Promoted images are judged again: `daily`, `weekly`, or how often and what then.",
)
NOTIFY = Field(default=(), json_schema_extra=NOT_EMPTY, description="Whom to tell, and of what.")
