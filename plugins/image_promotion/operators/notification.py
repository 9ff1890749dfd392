"""The operator of the stage `notify`: people are told what happened in a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import BaseNotifier, BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.errors import DeliveryError, PromotionError
from image_promotion.operators.reporting import failed_tasks
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.operators.webhook_notifier import WebhookNotifier
from image_promotion.policy.governance import WEBHOOK_NOTIFIER, Notification
from image_promotion.policy.model import Policy

if TYPE_CHECKING:
    from image_promotion.promotion.telling import Notice

SHOWN = 5

STAGES_OF_IMAGES = "promote."
"""What the tasks of single images begin with: what became of each image is in the ledger."""


class NotifySummary(TypedDict):
    """What people were told: how many messages."""

    delivered: int


class NotifyOperator(BaseOperator):
    """Tells people what happened, as the policy says, and fails when a notifier does.

    A retry tells only what was not told. It stands before `report`, so that what it comes to is not
    what the run comes to.

    Args:
        policy: The policy, as its file says it now.
        plan_only: Nothing happened in a dry run.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#fff4e5"

    def __init__(self, *, policy: Policy, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.plan_only = plan_only

    def execute(self, context: Context) -> NotifySummary:
        """Tell people.

        Args:
            context: Airflow's context.

        Returns:
            How many messages were delivered.

        Raises:
            AirflowSkipException: It is a dry run.
            DeliveryError: Some messages were not delivered; the others were.
            LedgerError: The ledger cannot be read or written.
        """
        from image_promotion.operators.aftermath import (  # noqa: PLC0415 - too heavy for parsing
            tell,
        )

        if RunRequest.read(dry_run=self.plan_only).dry_run:
            raise AirflowSkipException("nothing happens in a dry run")
        told, errors = tell(
            self.policy,
            key=run_key(context),
            failed_tasks=[
                name for name in failed_tasks(context) if not name.startswith(STAGES_OF_IMAGES)
            ],
            deliver=lambda notification, notice: deliver(notification, notice, context),
        )
        for notice in told:
            self.log.info("told: %s", notice.title)
        if errors:
            said = "; ".join(str(error) for error in errors[:SHOWN])
            error = DeliveryError(
                f"{len(errors)} of {len(told) + len(errors)} messages were not delivered: {said}",
                advice="What they are about is not touched by that. Clear this task to try again; "
                "it tells nothing twice.",
                retryable=any(each.retryable for each in errors),
            )
            self.log.error("%s", error)
            raise error
        return NotifySummary(delivered=len(told))


def deliver(notification: Notification, notice: Notice, context: Context) -> None:
    """Deliver one message.

    Args:
        notification: By whom.
        notice: The message.
        context: Airflow's context; notifiers are given it.

    Raises:
        PromotionError: It was not delivered; names the notifier.
    """
    arguments = filled(notification.arguments, notice)
    if notification.notifier == WEBHOOK_NOTIFIER:
        WebhookNotifier(
            connection=str(arguments["connection"]),
            title=notice.title,
            message=notice.text,
            details={
                "policy": notice.policy,
                "event": str(notice.event),
                "run_url": notice.run_url,
                "images": [
                    {
                        "source": each.source,
                        "digest": each.digest,
                        "target": each.target,
                        "why": each.why,
                    }
                    for each in notice.images
                ],
            },
        ).notify(context)
        return
    try:
        # Not called, but told to notify: calling it would render templates, and what was found in
        # an image is no template.
        _class_of(notification.notifier)(**arguments).notify(context)
    except PromotionError:
        raise
    except TypeError as error:
        raise DeliveryError(
            f"the notifier {notification.notifier} cannot be used so: {error}",
            advice="Correct the policy's `arguments`.",
            retryable=False,
        ) from None
    except Exception as error:  # noqa: BLE001 - anything can come out of somebody else's class
        # Its text is left out: that of a failed request often has the secret URL in it.
        raise DeliveryError(
            f"the notifier {notification.notifier} failed with {type(error).__name__}",
            advice="Check its connection, and the policy's `arguments`.",
        ) from None


def filled(arguments: Mapping[str, Any], notice: Notice) -> dict[str, Any]:
    """Put what happened into the arguments of a notifier.

    Args:
        arguments: The arguments as the policy has them.
        notice: What happened.

    Returns:
        The arguments, with `{title}`, `{message}` and `{policy}` replaced in all their texts.
    """
    words = {"{title}": notice.title, "{message}": notice.text, "{policy}": notice.policy}
    return {name: _filled(value, words) for name, value in arguments.items()}


def _filled(value: object, words: Mapping[str, str]) -> object:
    match value:
        case str():
            # In one pass, so that what is put in is not looked through again.
            return re.sub("|".join(map(re.escape, words)), lambda each: words[each[0]], value)
        case Mapping():
            return {name: _filled(each, words) for name, each in value.items()}
        case list() | tuple():
            return [_filled(each, words) for each in value]
        case _:
            return value


def _class_of(name: str) -> type[BaseNotifier]:
    module, _, class_name = name.rpartition(".")
    try:
        found = getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise DeliveryError(
            f"there is no notifier {name} on this worker: {error}",
            advice="Install the provider that has it, or correct `notifier` in the policy.",
            retryable=False,
        ) from error
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise DeliveryError(
            f"{name} is no Airflow notifier",
            advice="Name a class that derives from BaseNotifier.",
            retryable=False,
        )
    return found
