"""From the bytes of a delivery to its events, whichever product sent them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from image_promotion.registry.document import Fields, read_each_fields
from image_promotion.web.notifications import distribution, docker_hub, dtr, harbor, plain
from image_promotion.web.notifications.event import ImageEvent, unreadable

MAX_EVENTS = 1_000
"""The most events that one delivery may hold; registries send one, or as many as wait."""

MAX_DEPTH = 24
"""How deep a notification may be nested; those of distribution need 6."""

_DOCUMENT = "the notification"


class _Product(NamedTuple):
    name: str
    recognises: Callable[[Fields], bool]
    events_of: Callable[[Fields], Iterator[ImageEvent]]


_PRODUCTS = (
    _Product("distribution", distribution.recognises, distribution.events_of),
    _Product("docker_hub", docker_hub.recognises, docker_hub.events_of),
    _Product("harbor", harbor.recognises, harbor.events_of),
    _Product("dtr", dtr.recognises, dtr.events_of),
    _Product("plain", plain.recognises, plain.events_of),
)


@dataclass(frozen=True, slots=True)
class Notification:
    """What a delivery says.

    Args:
        product: Whose format it has.
        events: What happened, without repetitions; empty when it is nothing that matters here.
    """

    product: str
    events: tuple[ImageEvent, ...]


def read_notification(content: bytes) -> Notification:
    """Read a delivery; its format is known by what is in it.

    Args:
        content: The body; its size is the caller's to bound.

    Returns:
        What it says.

    Raises:
        NotificationError: It is of no known format, or breaks its own.
    """
    bodies = read_each_fields(content, _DOCUMENT, max_depth=MAX_DEPTH, refusal=unreadable)
    events: dict[ImageEvent, None] = {}
    products: dict[str, None] = {}
    for body in bodies:
        product = _product_of(body)
        products[product.name] = None
        for event in product.events_of(body):
            events[event] = None
            if len(events) > MAX_EVENTS:
                raise unreadable(f"the notification holds more than {MAX_EVENTS} events")
    return Notification(" and ".join(products) or "nothing", tuple(events))


def _product_of(body: Fields) -> _Product:
    for product in _PRODUCTS:
        if product.recognises(body):
            return product
    known = ", ".join(product.name for product in _PRODUCTS)
    raise unreadable(f"the notification is of no known format ({known})")
