"""A copy in which one request fails: each request in turn, in each way in which requests fail.

The requests are not listed here: a copy without faults is watched first, by the proxies before both
registries, and then made again for every request and every fault that can happen to it. Whatever
happens, the target ends with the right image under its tag, or with no tag and a clear error.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
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
from sandbox.faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    Disconnect,
    Fault,
    LoseAnswer,
    Shorten,
)
from sandbox.image_layers import noise_layer, sha256
from sandbox.image_pusher import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_index

SOURCE = "dev/every-request"
TAG = "1.0"
ACCEPT = {"Accept": ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST))}
WEB_PAGE = b"<html><h1>Bad gateway</h1></html>"
HTML = {"Content-Type": "text/html"}
TOO_MANY = b'{"errors": [{"code": "TOOMANYREQUESTS"}]}'


@dataclass(frozen=True)
class Planned:
    """One request of the copy: which one of its method on its side."""

    side: str
    nth: int
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
        source: The proxy before the source.
        target: The proxy before the target.
        raw: Asks the target past its proxy.
        slept_s: The pauses that the clients made, in seconds; none was waited for.
    """

    image: PushedImage
    source: FaultProxy
    target: FaultProxy
    raw: httpx.Client
    slept_s: list[float] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def proxy(self, side: str) -> FaultProxy:
        return self.source if side == "source" else self.target

    def fresh_target(self) -> str:
        return f"qa/every-request-{next(self._numbers)}"

    @asynccontextmanager
    async def clients(self) -> AsyncGenerator[Clients, None]:
        """Clients of both registries; they take longer to make than a copy takes."""
        async with self._client(self.source) as source, self._client(self.target) as target:
            yield Clients(source, target)

    def _client(self, proxy: FaultProxy) -> RegistryClient:
        async def sleep(pause_s: float) -> None:
            self.slept_s.append(pause_s)

        return RegistryClient(RegistryEndpoint("sandbox", proxy.url), sleep=sleep)

    def tags(self, repository: str) -> list[str]:
        answer = self.raw.get(f"/v2/{repository}/tags/list")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return answer.raise_for_status().json()["tags"] or []

    def holds(self, repository: str, image: PushedImage, reference: str) -> bool:
        """Say whether the target holds every byte of an image, right by its hash."""
        answer = self.raw.get(f"/v2/{repository}/manifests/{reference}", headers=ACCEPT)
        if answer.content != image.manifest:
            return False
        blobs = [
            sha256(self.raw.get(f"/v2/{repository}/blobs/{blob.digest}").content) == blob.digest
            for blob in image.blobs
        ]
        return all(blobs) and all(
            self.holds(repository, child, child.digest) for child in image.children
        )


@pytest.fixture(scope="module")
def crossing(dev: RegistryProcess, qa: RegistryProcess) -> Iterator[Crossing]:
    shared = noise_layer(3_000, "every request")
    image = push_index(
        dev.url,
        SOURCE,
        TAG,
        images={
            "linux/amd64": [shared, noise_layer(150_000, "amd64")],
            "linux/arm64": [shared],
        },
    )
    with (
        FaultProxy(dev.url) as source,
        FaultProxy(qa.url) as target,
        httpx.Client(base_url=qa.url, trust_env=False, verify=False) as raw,  # noqa: S501 - plain http
    ):
        yield Crossing(image, source, target, raw)


@pytest.fixture(autouse=True)
def no_pause_is_waited_for(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' own pauses are given away already; here are those of what is above them."""

    async def sleep(pause_s: float) -> None:
        crossing.slept_s.append(pause_s)

    defaults = retry.call.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "sleep", sleep)


@pytest.fixture(scope="module")
def requests(crossing: Crossing) -> list[Planned]:
    """Every request that a copy makes when nothing fails."""
    repository = crossing.fresh_target()

    async def copy() -> None:
        async with crossing.clients() as clients:
            await clients.copy(repository)

    asyncio.run(copy())
    assert crossing.holds(repository, crossing.image, TAG)
    planned = [
        Planned(side, sum(before.method == exchange.method for before in seen[:position]), exchange)
        for side in ("source", "target")
        for seen in (crossing.proxy(side).exchanges,)
        for position, exchange in enumerate(seen)
    ]
    methods = {(each.side, each.exchange.method) for each in planned}
    assert methods >= {("source", "HEAD"), ("source", "GET"), ("target", "POST"), ("target", "PUT")}
    return planned


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


async def outcome(
    crossing: Crossing, clients: Clients, planned: Planned, fault: Fault
) -> PromotionError | None:
    """Copy with one fault, and check that no tag shows anything but the right image."""
    crossing.slept_s.clear()
    repository = crossing.fresh_target()
    proxy = crossing.proxy(planned.side)
    proxy.heal()
    proxy.forget()
    proxy.on(planned.exchange.method, "", fault, skip=planned.nth)
    error = None
    try:
        await clients.copy(repository)
    except PromotionError as caught:
        error = caught
    proxy.heal()
    assert any(each.fault is fault for each in proxy.exchanges), f"{planned}: nothing happened"
    tags = crossing.tags(repository)
    if error is None:
        assert tags == [TAG], f"{planned}: it went well without a tag"
    assert not tags or crossing.holds(repository, crossing.image, TAG), f"{planned}: half visible"
    return error


async def outcomes(
    crossing: Crossing, requests: Sequence[Planned], fault: Fault
) -> dict[str, PromotionError | None]:
    hit = [planned for planned in requests if can_happen(fault, planned.exchange)]
    assert hit
    async with crossing.clients() as clients:
        return {str(planned): await outcome(crossing, clients, planned, fault) for planned in hit}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(429, TOO_MANY), id="429"),
        pytest.param(Answer(429, TOO_MANY, {"Retry-After": "7"}), id="429 with Retry-After"),
        pytest.param(Answer(500, b"{}"), id="500"),
        pytest.param(Answer(502, WEB_PAGE, HTML), id="502 with a web page"),
        pytest.param(Answer(503), id="503"),
        pytest.param(Disconnect(), id="broken before the request"),
        pytest.param(CutRequest(1), id="broken within the request"),
        pytest.param(LoseAnswer(), id="broken after the request"),
        pytest.param(CutAnswer(1), id="broken within the answer"),
        pytest.param(CutAnswer(100_000), id="broken late within the answer"),
    ],
)
async def test_a_failure_that_passes_ends_in_a_right_copy(
    crossing: Crossing, requests: list[Planned], fault: Fault
) -> None:
    found = await outcomes(crossing, requests, fault)
    assert {request: str(error) for request, error in found.items() if error is not None} == {}
    if isinstance(fault, Answer) and "Retry-After" in fault.headers:
        assert crossing.slept_s[0] >= 7


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Shorten(1), id="shorter"),
        pytest.param(Corrupt(), id="other bytes"),
        pytest.param(Corrupt(100_000), id="other bytes late"),
        pytest.param(Answer(200, WEB_PAGE, HTML), id="a web page"),
        pytest.param(Answer(404, b'{"errors": [{"code": "UNKNOWN"}]}'), id="404"),
    ],
)
async def test_a_lie_ends_in_a_right_copy_or_in_an_error_that_names_what_it_is_about(
    crossing: Crossing, requests: list[Planned], fault: Fault
) -> None:
    found = await outcomes(crossing, requests, fault)
    errors = {request: error for request, error in found.items() if error is not None}
    assert errors
    for request, error in errors.items():
        assert error.subject.registry == crossing.proxy(request.partition(":")[0]).host, request
        assert error.subject.repository, request
        assert error.subject.digest or error.subject.tag, request
