"""The notifications of CNCF distribution, and of whatever is built on it and sends them on."""

from __future__ import annotations

from collections.abc import Iterator

from image_promotion.registry.document import Fields
from image_promotion.registry.manifest import MANIFEST_MEDIA_TYPES, SCHEMA_1_MEDIA_TYPES
from image_promotion.web.notifications.event import Happening, ImageEvent

_ARRIVALS = ("push", "mount")
_MANIFESTS = frozenset((*MANIFEST_MEDIA_TYPES, *SCHEMA_1_MEDIA_TYPES))


def recognises(body: Fields) -> bool:
    """Return whether a document is an envelope of events."""
    return body.holds("events", list)


def events_of(body: Fields) -> Iterator[ImageEvent]:
    """Yield what was pushed: manifests alone, since a layer is no image yet.

    Args:
        body: The envelope.

    Yields:
        The events; none of pulls, deletions and layers.

    Raises:
        NotificationError: It breaks its format.

    Source: CNCF distribution, "Work with notifications", the envelope and its events.
    """
    for event in body.each_fields("events"):
        target = event.said_fields("target")
        if target is None or event.said("action") not in _ARRIVALS:
            continue
        if target.said("mediaType") in _MANIFESTS:
            yield ImageEvent.of(
                Happening.PUSHED,
                target.text("repository"),
                tag=target.optional_text("tag"),
                digest=target.optional_text("digest"),
            )
