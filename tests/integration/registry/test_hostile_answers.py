"""A registry whose answers are too large, too many, too deep or never come.

Each ends in a named error, within a bound of memory and of time that does not depend on how much
the registry has to send.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpx
import pytest

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    PromotionError,
    ProtocolViolationError,
    RegistryError,
    Subject,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry import answers, listing, paging
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt
from image_promotion.registry.manifest import OCI_INDEX, OCI_MANIFEST
from image_promotion.registry.manifest_tree import read_by_height
from image_promotion.registry.retry import NO_RETRY
from image_promotion.registry.session import Request, Session
from tests.support.bounds import MIB, bounded
from tests.support.scripted_server import Reply, ScriptedServer, Seen

TAGS = "GET /v2/a/tags/list?n=1000"
MANIFEST = "GET /v2/a/manifests/1"
CONTENT = b"layer" * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))
BLOB_LINE = f"GET /v2/a/blobs/{BLOB.digest}"
ENDLESS = {"Content-Length": ""}

Ask = Callable[[RegistryClient], Awaitable[object]]


def client_of(server: ScriptedServer) -> RegistryClient:
    endpoint = RegistryEndpoint("c", server.url, username="robot", password="canary-password")
    return RegistryClient(endpoint, retry=NO_RETRY)


async def read(client: RegistryClient) -> int:
    size_bytes = 0
    async with client.open_blob("a", BLOB) as pieces:
        async for piece in pieces:
            size_bytes += len(piece)
    return size_bytes


async def tags(client: RegistryClient) -> int:
    count = 0
    async for _ in client.list_tags("a"):
        count += 1
    return count


async def manifest(client: RegistryClient) -> object:
    return await client.get_manifest("a", "1")


async def referrers(client: RegistryClient) -> object:
    return await client.list_referrers("a", BLOB.digest)


def endless(content: bytes, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, content, {**ENDLESS, **named}, endless=True)


@pytest.mark.parametrize(
    ("line", "reply", "ask", "error", "memory_bytes"),
    [
        (MANIFEST, endless(b" " * 65536), manifest, UnsupportedContentError, 32 * MIB),
        (TAGS, endless(b'"tag",' * 10_000), tags, ProtocolViolationError, 160 * MIB),
        (BLOB_LINE, endless(CONTENT), read, ContentMismatchError, 16 * MIB),
        (TAGS, endless(b"x" * 65536, 500), tags, RegistryError, 16 * MIB),
        (BLOB_LINE, endless(b"x" * 65536, 404), read, RegistryError, 16 * MIB),
        (
            f"GET /v2/a/referrers/{BLOB.digest}",
            endless(b"[" * 65536),
            referrers,
            UnsupportedContentError,
            32 * MIB,
        ),
        (
            BLOB_LINE,
            endless(b"x" * 65536, 307, Location="/v2/"),
            read,
            RegistryError,
            16 * MIB,
        ),
    ],
    ids=["manifest", "list", "blob", "error", "not found", "referrers", "redirect"],
)
async def test_an_answer_without_end_is_read_to_its_bound(
    line: str, reply: Reply, ask: Ask, error: type[PromotionError], memory_bytes: int
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(line, reply).on("GET /v2/", Reply(404))
        with bounded(memory_bytes=memory_bytes, seconds=60), pytest.raises(error):
            await ask(client)


async def test_a_token_without_end_is_read_to_its_bound() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        challenge = f'Bearer realm="{server.url}/token"'
        server.on(TAGS, Reply(401, headers={"WWW-Authenticate": challenge}))
        server.on("GET /token?scope=repository%3Aa%3Apull", endless(b'{"token": "' + b"t" * 65536))
        with (
            bounded(memory_bytes=16 * MIB, seconds=60),
            pytest.raises((ProtocolViolationError, AuthenticationError)),
        ):
            await tags(client)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_what_comes_packed_is_not_unpacked(encoding: str) -> None:
    """What would be 64 megabytes stays what it is, and is no JSON."""
    packed = gzip.compress(b"\0" * 64 * MIB, 1)
    reply = Reply(200, packed, {"Content-Encoding": encoding, "Content-Type": OCI_MANIFEST})
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(MANIFEST, reply).on(TAGS, reply)
        with bounded(memory_bytes=16 * MIB, seconds=60):
            for ask in (manifest, tags):
                with pytest.raises(ProtocolViolationError):
                    await ask(client)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 4 * MIB,
        b'{"a":' * (600 * 1024),
        b'{"schemaVersion":2,"a":' + b"9" * 3 * MIB + b"}",
        b'{"schemaVersion":2,"size":1e999999999}',
        b'{"schemaVersion":2,"schemaVersion":2}',
        b'{"schemaVersion":2,"a":"' + b"\\u0000" * (600 * 1024),
        b'{"schemaVersion":2,"a":[' + b"{}," * MIB + b"{}]}",
        b'{"schemaVersion":2,' + b",".join(b'"%d":0' % n for n in range(300_000)) + b"}",
    ],
    ids=["lists", "objects", "digits", "exponent", "twice", "escapes", "members", "keys"],
)
async def test_json_made_to_be_expensive_is_refused(content: bytes) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(MANIFEST, Reply(200, content, {"Content-Type": OCI_MANIFEST}))
        with bounded(memory_bytes=320 * MIB, seconds=60), pytest.raises(ProtocolViolationError):
            await manifest(client)


def index_of(children: list[tuple[bytes, str]], **annotations: str) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}
                for content, kind in children
            ],
            "annotations": annotations,
        }
    ).encode()


async def test_an_index_of_thousands_of_manifests_is_refused_before_one_is_asked_for() -> None:
    index = index_of([(b"%d" % number, OCI_MANIFEST) for number in range(25_000)])
    digest = Digest.of(index)
    async with ScriptedServer() as server, client_of(server) as client:
        reply = Reply(200, index, {"Content-Type": OCI_INDEX})
        server.on(f"GET /v2/a/manifests/{digest}", reply)
        with (
            bounded(memory_bytes=128 * MIB, seconds=60),
            pytest.raises(UnsupportedContentError, match="more than 1000 manifests"),
        ):
            await read_by_height(client, "a", digest, 4)
        assert len(server.seen) == 1


async def test_indexes_within_indexes_end() -> None:
    chain = [index_of([])]
    while len(chain) < 40:
        chain.append(index_of([(chain[-1], OCI_INDEX)]))
    async with ScriptedServer() as server, client_of(server) as client:
        for index in chain:
            line = f"GET /v2/a/manifests/{Digest.of(index)}"
            server.on(line, Reply(200, index, {"Content-Type": OCI_INDEX}))
        with pytest.raises(UnsupportedContentError, match="nested more than 8"):
            await read_by_height(client, "a", Digest.of(chain[-1]), 4)


def page(seen: Seen) -> Reply:
    """A page with one name that no other has, and a link to the next one."""
    number = int(seen.target.rpartition("=")[2])
    link = f'</v2/a/tags/list?n={number + 1}>; rel="next"'
    return Reply.of_json({"tags": [f"t{number}"]}, Link=link)


class EndlessPages(ScriptedServer):
    def _reply(self, seen: Seen) -> Reply:
        return page(seen)


async def test_pages_without_end_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 200)
    async with EndlessPages() as server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError, match="never end"):
            await tags(client)
        assert len(server.seen) == 200


async def test_a_list_may_have_so_many_names_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_NAMES", 50)
    async with EndlessPages() as server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError, match="more than 50 names"):
            await tags(client)


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-Flood-{number}": "x" for number in range(500)},
        {"X-Flood": "x" * 100_000},
        {f"X-Flood-{number}": "x" * 60_000 for number in range(200)},
    ],
    ids=["many", "long", "both"],
)
async def test_a_flood_of_fields_is_not_read(headers: Mapping[str, str]) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(TAGS, Reply(200, b'{"tags": []}', headers))
        with bounded(memory_bytes=64 * MIB, seconds=60), pytest.raises(UnreachableError):
            await tags(client)


class Preliminary(ScriptedServer):
    """Says again and again that the answer is still to come."""

    def _reply(self, seen: Seen) -> Reply:
        del seen
        return Reply(100, b"HTTP/1.1 102 Processing\r\n\r\n" * 100, ENDLESS, endless=True)


async def ask_once(server: ScriptedServer, read_timeout_s: float) -> None:
    session = Session(RegistryEndpoint("c", server.url), connections=1, rules=NO_RETRY)
    attempt = Attempt("asking", "GET", session.url("/v2/"), Subject())
    try:
        await session.ask(Request(attempt, read_timeout_s=read_timeout_s))
    finally:
        await session.aclose()


async def test_an_answer_that_is_always_still_to_come_is_not_waited_for() -> None:
    async with Preliminary() as server:
        with bounded(memory_bytes=64 * MIB, seconds=10), pytest.raises(UnreachableError):
            await ask_once(server, 0.3)


async def test_fields_that_come_a_byte_at_a_time_are_not_waited_for() -> None:
    """No pause is as long as the limit on silence; 20 ms between bytes would be 14 s in all."""
    reply = Reply(200, b"{}", {"X-Slow": "x" * 700}, trickles="head")
    async with ScriptedServer().on("GET /v2/", reply) as server:
        with bounded(memory_bytes=16 * MIB, seconds=10), pytest.raises(UnreachableError):
            await ask_once(server, 0.3)


@pytest.mark.parametrize(
    ("line", "status", "ask"),
    [(TAGS, 200, tags), (MANIFEST, 200, manifest), (BLOB_LINE, 200, read), (TAGS, 500, tags)],
    ids=["list", "manifest", "blob", "error"],
)
async def test_a_body_that_comes_a_byte_at_a_time_is_not_waited_for(
    line: str, status: int, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PATIENCE_S", 0.3)
    monkeypatch.setattr(answers, "SLOWEST_ANSWER_BYTES_PER_S", 10**9)
    reply = Reply(status, CONTENT, trickles="body")
    async with ScriptedServer().on(line, reply) as server, client_of(server) as client:
        with bounded(memory_bytes=16 * MIB, seconds=10), pytest.raises(UnreachableError):
            await ask(client)


async def test_a_reader_that_is_slow_itself_may_take_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the time in which the registry is waited for counts."""
    monkeypatch.setattr(answers, "PATIENCE_S", 1000.0)
    clock = SteppedClock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    response = httpx.Response(200, stream=Content(clock, waiting_s=0.1))
    attempt = Attempt("reading", "GET", httpx.URL("https://registry.example.com/"))
    got = []
    async for piece in answers.pieces_of(response, attempt):
        clock.now_s += 1000
        got.append(piece)
    assert len(got) == 100


async def test_a_registry_that_gives_a_few_bytes_a_minute_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SteppedClock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    response = httpx.Response(200, stream=Content(clock, waiting_s=30))
    attempt = Attempt("reading", "GET", httpx.URL("https://registry.example.com/"))
    with pytest.raises(UnreachableError, match="did not answer in time"):
        [piece async for piece in answers.pieces_of(response, attempt)]
    assert clock.now_s == 60


class SteppedClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Content(httpx.AsyncByteStream):
    """A hundred bytes, each of which is waited for."""

    def __init__(self, clock: SteppedClock, waiting_s: float) -> None:
        self._clock = clock
        self._waiting_s = waiting_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(100):
            self._clock.now_s += self._waiting_s
            yield b"x"
