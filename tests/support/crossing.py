"""A copy from one registry to another in which one thing fails, and what the target shows then.

The requests are not listed: a copy without faults is watched first, by the proxies on its way, and
then made again for every request and every fault that can happen to it. Whatever happens, the
target ends with the right image under its tag, or with no tag and a clear error.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from image_promotion.errors import NotFoundError, PromotionError, Subject
from image_promotion.registry import retry
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import copy_image
from sandbox.fault_proxy import Exchange, FaultProxy
from sandbox.faults import Corrupt, CutAnswer, CutRequest, Fault, Shorten
from sandbox.image_layers import noise_layer, sha256
from sandbox.image_pusher import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, PushedImage
from sandbox.sample_images import push_index

SOURCE = "dev/every-request"
TAG = "1.0"

_ACCEPT = {"Accept": ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST))}


_numbers = itertools.count(1)


@dataclass(frozen=True)
class Planned:
    """One request of the copy: which one of its method, and which one of all, on its side."""

    side: str
    nth: int
    position: int
    exchange: Exchange

    def __str__(self) -> str:
        return f"{self.side}: {self.exchange.method} number {self.nth + 1} ({self.exchange.line})"


@dataclass(frozen=True)
class Clients:
    """The product's clients of both registries."""

    source: RegistryClient
    target: RegistryClient

    async def copy(self, repository: str) -> None:
        """Find what the tag points at, copy it, and set the tag."""
        found = await self.source.resolve(SOURCE, TAG)
        if found is None:
            subject = Subject(self.source.name, SOURCE, TAG)
            raise NotFoundError("there is no such tag", subject=subject)
        await copy_image(self.source, SOURCE, found.digest, self.target, repository, concurrency=1)
        manifest = await self.target.get_manifest(repository, found.digest)
        await self.target.put_manifest(repository, TAG, manifest)


@dataclass
class Crossing:
    """The way from one registry to another, by a proxy before each.

    Attributes:
        image: What is copied.
        proxies: What everything passes, by side; ``source`` and ``target`` are among them.
        raw: Asks the target past its proxy.
        login: User name and password for both registries; None for what is not sent.
        slept_s: The pauses that the clients made, in seconds; none was waited for.
        pauses_end_refusals: Whether a proxy that refuses connections takes them after a pause.
    """

    image: PushedImage
    proxies: Mapping[str, FaultProxy]
    raw: httpx.Client
    login: tuple[str | None, str | None] = (None, None)
    slept_s: list[float] = field(default_factory=list)
    pauses_end_refusals: bool = True

    def fresh_target(self) -> str:
        """Give the name of a repository that nothing was copied to yet."""
        return f"qa/every-request-{next(_numbers)}"

    @asynccontextmanager
    async def clients(self) -> AsyncGenerator[Clients, None]:
        """Clients of both registries; they know nothing yet, no token for instance."""
        async with self._client("source") as source, self._client("target") as target:
            yield Clients(source, target)

    async def pause(self, pause_s: float) -> None:
        """Take note of a pause instead of waiting, and let refused callers in again."""
        self.slept_s.append(pause_s)
        for proxy in self.proxies.values() if self.pauses_end_refusals else ():
            proxy.take_connections()

    def give_away_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let nothing wait: neither the clients, which are made so, nor what is above them."""
        defaults = retry.call.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "sleep", self.pause)

    def begin(self) -> None:
        """Forget what was planned for an earlier copy, and what it did."""
        self.slept_s.clear()
        self.pauses_end_refusals = True
        for proxy in self.proxies.values():
            proxy.heal()
            proxy.forget()

    def watch(self) -> list[Planned]:
        """Copy without a fault; list every request that was made, side by side."""
        self.begin()
        repository = self.fresh_target()

        async def copy() -> None:
            async with self.clients() as clients:
                await clients.copy(repository)

        asyncio.run(copy())
        assert self.holds(repository, self.image, TAG)
        return [
            Planned(
                side,
                sum(before.method == exchange.method for before in seen[:position]),
                position,
                exchange,
            )
            for side, proxy in self.proxies.items()
            for seen in (proxy.exchanges,)
            for position, exchange in enumerate(seen)
        ]

    async def outcome(
        self, clients: Clients, planned: Planned, fault: Fault, *, times: int | None = 1
    ) -> PromotionError | None:
        """Copy with one fault, and check that no tag shows anything but the right image.

        Args:
            clients: The clients that copy.
            planned: The request that it happens to.
            fault: What happens.
            times: To how many requests of this method, that one the first; None for all.

        Returns:
            The error that the copy ended with; None when it went well.
        """
        self.begin()
        proxy = self.proxies[planned.side]
        proxy.on(planned.exchange.method, "", fault, skip=planned.nth, times=times)
        error = await self.copied(clients, what=str(planned))
        assert any(each.fault is fault for each in proxy.exchanges), f"{planned}: nothing happened"
        return error

    async def outcomes(
        self, requests: Sequence[Planned], fault: Fault
    ) -> dict[str, PromotionError | None]:
        """Copy once for each request that a fault can happen to, always with the same clients."""
        hit = [planned for planned in requests if can_happen(fault, planned.exchange)]
        assert hit
        async with self.clients() as clients:
            return {str(planned): await self.outcome(clients, planned, fault) for planned in hit}

    async def copied(self, clients: Clients, what: str) -> PromotionError | None:
        """Copy with whatever is planned, and check that no tag shows anything but the right image.

        Args:
            clients: The clients that copy.
            what: What happens, for the message of a failed check.

        Returns:
            The error that the copy ended with; None when it went well.
        """
        repository = self.fresh_target()
        error = None
        try:
            await clients.copy(repository)
        except PromotionError as caught:
            error = caught
        for proxy in self.proxies.values():
            proxy.heal()
        tags = self.tags(repository)
        if error is None:
            assert tags == [TAG], f"{what}: it went well without a tag"
        assert not tags or self.holds(repository, self.image, TAG), f"{what}: half visible"
        return error

    def tags(self, repository: str) -> list[str]:
        """List the tags of one of the target's repositories, which need not exist."""
        answer = self.raw.get(f"/v2/{repository}/tags/list")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return answer.raise_for_status().json()["tags"] or []

    def holds(self, repository: str, image: PushedImage, reference: str) -> bool:
        """Say whether the target holds every byte of an image, right by its hash."""
        answer = self.raw.get(f"/v2/{repository}/manifests/{reference}", headers=_ACCEPT)
        if answer.content != image.manifest:
            return False
        blobs = [
            sha256(self.raw.get(f"/v2/{repository}/blobs/{blob.digest}").content) == blob.digest
            for blob in image.blobs
        ]
        return all(blobs) and all(
            self.holds(repository, child, child.digest) for child in image.children
        )

    def _client(self, side: str) -> RegistryClient:
        username, password = self.login
        endpoint = RegistryEndpoint(
            "sandbox", self.proxies[side].url, username=username, password=password
        )
        return RegistryClient(endpoint, sleep=self.pause)


def can_happen(fault: Fault, exchange: Exchange) -> bool:
    """Say whether a fault changes anything about a request."""
    if isinstance(fault, CutRequest):
        return exchange.request_bytes > fault.after_bytes
    if isinstance(fault, CutAnswer):
        return exchange.answer_bytes > fault.after_bytes
    if isinstance(fault, Shorten):
        return exchange.answer_bytes > fault.to_bytes
    if isinstance(fault, Corrupt):
        return exchange.answer_bytes > fault.at_byte
    return True


def push_to_copy(
    registry_url: str,
    platforms: Sequence[str] = ("linux/amd64", "linux/arm64"),
    *,
    auth: httpx.Auth | None = None,
) -> PushedImage:
    """Push the image that every copy is of: an index, whose images share a layer.

    Args:
        registry_url: The source.
        platforms: A platform for each image; the first has a layer of its own.
        auth: Who pushes; None for nobody in particular.
    """
    shared, own = noise_layer(3_000, "every request"), noise_layer(150_000, "the first")
    images = {platform: [shared] for platform in platforms}
    images[platforms[0]] = [shared, own]
    return push_index(registry_url, SOURCE, TAG, images=images, auth=auth)
