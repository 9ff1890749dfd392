"""Which blobs a run has brought to a place, or is bringing: each is brought once.

Images share layers. Of copies that want one blob at the same time one brings it and the others
wait; a later one does not ask for it again. What is known here was true a moment ago and is no
proof: a registry may have collected what nothing referred to. Whoever is told by the registry that
a blob is missing has to ``forget`` the place, and ask.
"""

from __future__ import annotations

import asyncio

from image_promotion.registry.digest import Digest

Place = tuple[str, str]
"""A registry's identity, and the registry's own name of a repository there."""


class Arrivals:
    """The blobs that have arrived and those under way, as one event loop knows them."""

    def __init__(self) -> None:
        self._known: dict[tuple[Place, Digest], asyncio.Future[bool]] = {}

    def claim(self, place: Place, digest: Digest) -> asyncio.Future[bool] | None:
        """Take it on oneself to bring a blob, unless somebody has done so.

        Args:
            place: Where it goes.
            digest: The blob.

        Returns:
            None when it is the caller's now, who has to ``settle`` it. Else what tells, at some
            time, whether it has arrived: False when whoever brought it could not.
        """
        known = self._known.get((place, digest))
        if known is None:
            self._known[place, digest] = asyncio.get_running_loop().create_future()
        return known

    def settle(self, place: Place, digest: Digest, *, arrived: bool) -> None:
        """Say what became of a blob that was claimed; of several words the first one counts.

        Args:
            place: Where it went.
            digest: The blob.
            arrived: Whether it is there; where it is not, the next one may claim it.
        """
        future = self._known.get((place, digest))
        if future is None or future.done():
            return
        future.set_result(arrived)
        if not arrived:
            del self._known[place, digest]

    def forget(self, place: Place) -> None:
        """Know nothing of a place any more, but for what is under way.

        Args:
            place: Where blobs went.
        """
        for key, future in list(self._known.items()):
            if key[0] == place and future.done():
                del self._known[key]
