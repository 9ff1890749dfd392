"""A notifier that posts JSON to a webhook, as Slack, Mattermost and Teams-like chats take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow.sdk import BaseNotifier, Context


class WebhookNotifier(BaseNotifier):
    """Posts a message to the webhook of an Airflow connection.

    It is what `notifier: webhook` of a policy means, and works as a callback of other DAGs too.

    Args:
        connection: The id of the connection; see `hooks.notice_webhook`.
        title: The message in one line.
        message: All of it; the field `text` of what is posted.
        details: Further fields for machines.
    """

    template_fields: Sequence[str] = ("title", "message")

    def __init__(
        self,
        *,
        connection: str,
        title: str = "",
        message: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.connection = connection
        self.title = title
        self.message = message
        self.details = details or {}

    def notify(self, context: Context) -> None:
        """Post the message.

        Args:
            context: Airflow's context.

        Raises:
            ConnectionSettingsError: The connection leads to no webhook.
            DeliveryError: The message was not taken.
        """
        from image_promotion.hooks.notice_webhook import (  # noqa: PLC0415 - too heavy for parsing
            find_webhook,
        )

        del context
        document = {"text": self.message or self.title, "title": self.title, **self.details}
        find_webhook(self.connection).post(document)
