"""The notifications of Docker Hub."""

from __future__ import annotations

from collections.abc import Iterator

from image_promotion.registry.document import Fields
from image_promotion.web.notifications.event import Happening, ImageEvent


def recognises(body: Fields) -> bool:
    """Return whether a document is Docker Hub's."""
    return body.holds("push_data", dict) and body.holds("repository", dict)


def events_of(body: Fields) -> Iterator[ImageEvent]:
    """Yield the tag that was pushed; Docker Hub tells no digest.

    Args:
        body: The document.

    Yields:
        The event.

    Raises:
        NotificationError: It breaks its format.

    Source: Docker documentation, "Docker Hub webhooks", example payload.
    """
    yield ImageEvent.of(
        Happening.PUSHED,
        body.fields("repository").text("repo_name"),
        tag=body.fields("push_data").optional_text("tag"),
        digest=None,
    )
