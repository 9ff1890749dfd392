"""Everybody but the product: developers who push, and people who change the target by hand.

They go past the proxies, and what they do to tags stands in the records.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from sandbox.fault_proxy import FaultProxy
from sandbox.image_layers import Layer, noise_layer
from sandbox.image_pusher import ImagePusher, PushedImage
from tests.soak.misfortunes import Side
from tests.soak.schedule import PlannedImage
from tests.soak.tag_record import TagChange, TagRecord
from tests.soak.timeline import Timeline

LAYER_BYTES = 3_000

WHO = "others"


@dataclass
class Others:
    """People with accounts in one registry.

    Args:
        side: The registry, as the timeline calls it.
        proxy: The proxy that they go past.
        repository: The repository.
        record: Takes what they do to tags.
        timeline: Takes what they do.
        auth: Lets them in.
    """

    side: Side
    proxy: FaultProxy
    repository: str
    record: TagRecord
    timeline: Timeline
    auth: httpx.Auth | None = None
    _numbers: int = field(default=0, init=False)
    # Two requests may be the moment for something; who is second finds what the first has done.
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, init=False)

    def push(self, image: PlannedImage, tag: str | None = None) -> PushedImage:
        """Push an image under its tag or another one; each push has content of its own."""
        with self._one_at_a_time:
            self._numbers += 1
            name = tag or image.tag
            content = f"{self.repository} {name} {self._numbers}"
            layers: list[Layer | bytes] = [noise_layer(LAYER_BYTES, content)]
            if image.shares_layer:
                layers.append(noise_layer(LAYER_BYTES, f"{self.repository} shared"))
            with ImagePusher(self.proxy.registry_url, auth=self.auth) as pusher:
                began = self.timeline.now()
                if image.is_index:
                    platforms = {
                        platform: [*layers, noise_layer(500, f"{content} {platform}")]
                        for platform in ("linux/amd64", "linux/arm64")
                    }
                    pushed = pusher.push_index(self.repository, name, images=platforms)
                else:
                    pushed = pusher.push_image(self.repository, name, layers=layers)
            self.timeline.note(WHO, f"{self.side}: {name} is set to {pushed.digest[:19]}")
            ended = self.timeline.now()
            self.record.note(TagChange(name, pushed.digest, began, ended, is_ours=False))
            return pushed

    def delete(self, choose: Callable[[], str | None], why: str) -> None:
        """Delete a manifest, and with it all tags that hold it.

        Args:
            choose: Gives its digest; None for nothing to delete.
            why: What is said of it.
        """
        with self._one_at_a_time:
            digest = choose()
            if digest is None:
                return
            began = self.timeline.now()
            with suppress(httpx.HTTPStatusError):  # it is gone already
                url = f"{self.proxy.registry_url}/v2/{self.repository}/manifests/{digest}"
                httpx.delete(url, auth=self.auth, trust_env=False).raise_for_status()
            self.timeline.note(WHO, f"{self.side}: {why}: {digest[:19]} is deleted")
            ended = self.timeline.now()
            for tag in [tag for tag, held in self.record.at_end().items() if held == digest]:
                self.record.note(TagChange(tag, None, began, ended, is_ours=False))
