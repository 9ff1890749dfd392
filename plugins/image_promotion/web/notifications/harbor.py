"""The notifications of Harbor, and of MSR 4, which is Harbor: its own format and CloudEvents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from image_promotion.registry.document import Fields
from image_promotion.web.notifications.event import Happening, ImageEvent

_DEFAULT: Mapping[str, Happening] = {
    "PUSH_ARTIFACT": Happening.PUSHED,
    "SCANNING_COMPLETED": Happening.SCANNED,
}
_CLOUD_EVENTS: Mapping[str, Happening] = {
    "harbor.artifact.pushed": Happening.PUSHED,
    "harbor.scan.completed": Happening.SCANNED,
}


def recognises(body: Fields) -> bool:
    """Return whether a document is Harbor's, in either format."""
    return body.holds("event_data", dict) or body.said("type").startswith("harbor.")


def events_of(body: Fields) -> Iterator[ImageEvent]:
    """Yield the artifacts that were pushed, or whose scan is over.

    Args:
        body: The document.

    Yields:
        The events; none of other types.

    Raises:
        NotificationError: It breaks its format.

    Source: Harbor documentation, "Configure Webhook Notifications", payload formats.
    """
    if body.holds("event_data", dict):
        happened, data = _DEFAULT.get(body.said("type")), body.fields("event_data")
    else:
        happened, data = _CLOUD_EVENTS.get(body.said("type")), body
        if happened is not None:
            data = body.fields("data")
    if happened is None:
        return
    repository = data.fields("repository").text("repo_full_name")
    for resource in data.each_fields("resources"):
        yield ImageEvent.of(
            happened,
            repository,
            tag=resource.optional_text("tag"),
            digest=resource.optional_text("digest"),
        )
