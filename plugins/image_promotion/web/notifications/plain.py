"""A notification that anybody can write, such as the last step of a build."""

from __future__ import annotations

from collections.abc import Iterator

from image_promotion.registry.document import Fields
from image_promotion.web.notifications.event import Happening, ImageEvent


def recognises(body: Fields) -> bool:
    """Return whether a document is ours: it names a repository, as a text."""
    return body.holds("repository", str)


def events_of(body: Fields) -> Iterator[ImageEvent]:
    """Yield what it says.

    Args:
        body: ``{"repository": "dev/website", "tag": "1.4-stable", "digest": "sha256:..."}``, of
            which only the repository must be there.

    Yields:
        The event.

    Raises:
        NotificationError: It breaks its format.

    Source: docs/how-to/webhooks.md.
    """
    yield ImageEvent.of(
        Happening.PUSHED,
        body.text("repository"),
        tag=body.optional_text("tag"),
        digest=body.optional_text("digest"),
    )
