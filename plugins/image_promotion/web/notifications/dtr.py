"""The notifications of Docker Trusted Registry, and of MSR up to 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from image_promotion.registry.document import Fields
from image_promotion.web.notifications.event import Happening, ImageEvent

# The outcome of a scan is not looked at: evidence is read from the registry, never from a message.
_HAPPENINGS: Mapping[str, Happening] = {
    "TAG_PUSH": Happening.PUSHED,
    "SCAN_COMPLETED": Happening.SCANNED,
}


def recognises(body: Fields) -> bool:
    """Return whether a document is DTR's."""
    return body.holds("type", str) and body.holds("contents", dict)


def events_of(body: Fields) -> Iterator[ImageEvent]:
    """Yield the tag that was pushed, or whose scan is over.

    Args:
        body: The document.

    Yields:
        The event; none of other types.

    Raises:
        NotificationError: It breaks its format.

    Source: DTR documentation, "Manage webhooks", payloads of TAG_PUSH and SCAN_COMPLETED.
    """
    happened = _HAPPENINGS.get(body.said("type"))
    if happened is None:
        return
    contents = body.fields("contents")
    yield ImageEvent.of(
        happened,
        f"{contents.text('namespace')}/{contents.text('repository')}",
        tag=contents.optional_text("tag"),
        digest=contents.optional_text("digest"),
    )
