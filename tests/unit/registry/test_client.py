"""The client against a server that lies, loops and breaks as planned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.manifest import MAX_MANIFEST_BYTES, OCI_INDEX, parse_manifest
from image_promotion.registry.store import Store
from tests.support.scripted_server import Reply, ScriptedServer, Seen

PASSWORD = "canary-password"
INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
DIGEST = Digest.of(INDEX)
OTHER = Digest.of(b"something else")
BYTES = b"layer" * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(BYTES), len(BYTES))
BLOB_LINE = f"GET /v2/a/blobs/{BLOB.digest}"
UPLOADS = "POST /v2/a/blobs/uploads/"
TAGS = "GET /v2/a/tags/list?n=1000"


class Pauses:
    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, pause_s: float) -> None:
        self.asked.append(pause_s)


def client_of(
    server: ScriptedServer, *, login: bool = False, namespace: str = ""
) -> RegistryClient:
    endpoint = RegistryEndpoint(
        "c",
        server.url,
        namespace=namespace,
        username="robot" if login else None,
        password=PASSWORD if login else None,
    )
    return RegistryClient(endpoint, sleep=Pauses())


def manifest_reply(content: bytes = INDEX, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, content, {"Content-Type": OCI_INDEX, **named})


async def pieces(content: bytes = BYTES, *, error: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1024):
        yield content[start : start + 1024]
        if error is not None:
            raise error


async def tags_of(client: RegistryClient) -> list[str]:
    return [tag async for tag in client.list_tags("a")]


async def read(client: RegistryClient, blob: Descriptor = BLOB) -> bytes:
    async with client.open_blob("a", blob) as content:
        return b"".join([piece async for piece in content])


def test_the_client_is_a_store() -> None:
    def takes_a_store(store: Store) -> str:
        return store.name

    client = RegistryClient(RegistryEndpoint("c", "https://registry.example:5000"))
    assert takes_a_store(client) == client.identity == "registry.example:5000"


# ---- being there


async def test_a_registry_is_greeted_by_name() -> None:
    async with ScriptedServer().on("GET /v2/", Reply.of_json({})) as server:
        async with client_of(server) as client:
            await client.ping()
        assert server.seen[0].headers["user-agent"].startswith("image-promotion/")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<!doctype html><h1>Welcome", {"Content-Type": "text/html"}),
        Reply(404, b"<html>not found", {"Content-Type": "text/html"}),
        Reply(404),
        Reply(302, headers={"Location": "/login"}),
    ],
)
async def test_what_is_no_registry_is_said_so(reply: Reply) -> None:
    async with ScriptedServer().on("GET /v2/", reply) as server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError):
            await client.ping()


# ---- retries


async def test_a_registry_that_is_down_for_a_moment_is_asked_again() -> None:
    plan = (Reply(503), Reply(never=True), Reply.of_json({}))
    async with ScriptedServer().on("GET /v2/", *plan) as server, client_of(server) as client:
        await client.ping()
        assert len(server.seen) == 3


async def test_a_pause_that_the_registry_asks_for_is_kept() -> None:
    plan = (Reply(429, headers={"Retry-After": "7"}), Reply.of_json({}))
    async with ScriptedServer().on("GET /v2/", *plan) as server:
        pauses = Pauses()
        async with RegistryClient(RegistryEndpoint("c", server.url), sleep=pauses) as client:
            await client.ping()
        assert 7 <= pauses.asked[0] < 7.3


async def test_too_many_requests_go_up_when_it_does_not_get_better() -> None:
    async with ScriptedServer().on("GET /v2/", Reply(429)) as server, client_of(server) as client:
        with pytest.raises(RateLimitedError):
            await client.ping()
        assert len(server.seen) == 5


async def test_a_request_that_is_refused_is_not_made_again() -> None:
    async with ScriptedServer().on(TAGS, Reply(403)) as server, client_of(server) as client:
        with pytest.raises(DeniedError):
            await tags_of(client)
        assert len(server.seen) == 1


async def test_a_broken_answer_is_asked_for_again() -> None:
    plan = (Reply(200, INDEX, {"Content-Type": OCI_INDEX}, cut_after_bytes=10), manifest_reply())
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", *plan)
    async with server, client_of(server) as client:
        assert (await client.get_manifest("a", "1.0")).digest == DIGEST


# ---- lists


async def test_pages_are_followed_by_relative_and_absolute_links() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        second, third = "/v2/a/tags/list?last=b&n=2", "/v2/a/tags/list?last=d&n=2"
        server.on(TAGS, Reply.of_json({"tags": ["a", "b"]}, Link=f'<{second}>; rel="next"'))
        server.on(
            f"GET {second}",
            Reply.of_json({"tags": ["c", "d"]}, Link=f'<{server.url}{third}>; rel="next"'),
        )
        server.on(f"GET {third}", Reply.of_json({"tags": ["e"]}))
        assert await tags_of(client) == ["a", "b", "c", "d", "e"]


async def test_the_next_page_is_not_fetched_before_it_is_needed() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(TAGS, Reply.of_json({"tags": ["a"]}, Link='</v2/next>; rel="next"'))
        async with aclosing(client.list_tags("a")) as tags:
            assert await anext(tags) == "a"
        assert server.lines() == [TAGS]


async def test_fifty_thousand_tags_are_listed() -> None:
    def page(seen: Seen) -> Reply:
        start = int(seen.target.partition("last=t")[2] or 0)
        tags = [f"t{number}" for number in range(start + 1, start + 1001)]
        if start + 1000 == 50_000:
            return Reply.of_json({"tags": tags})
        return Reply.of_json(
            {"tags": tags}, Link=f'</v2/a/tags/list?n=1000&last={tags[-1]}>; rel="next"'
        )

    async with ScriptedServer() as server, client_of(server) as client:
        for last in range(1000, 50_000, 1000):
            server.on(f"{TAGS}&last=t{last}", page)
        server.on(TAGS, page)
        count = 0
        async for _ in client.list_tags("a"):
            count += 1
        assert count == 50_000


@pytest.mark.parametrize(
    ("tags", "link"),
    [
        (["a", "b"], "/v2/a/tags/list?n=1000"),
        (["a", "b"], "/v2/a/tags/list?n=1000&last=b"),
        ([], "/v2/a/tags/list?n=1000&last=b"),
    ],
)
async def test_pages_that_lead_nowhere_are_refused(tags: list[str], link: str) -> None:
    reply = Reply.of_json({"tags": tags}, Link=f'<{link}>; rel="next"')
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(TAGS, reply).on(f"{TAGS}&last=b", reply)
        with pytest.raises(ProtocolViolationError, match="circle"):
            await tags_of(client)


@pytest.mark.parametrize(
    "link",
    [
        "http://evil.example/v2/a/tags/list",
        "//evil.example/x",
        "https://127.0.0.1/x",
        "ftp://x",
        "http://[",
    ],
)
async def test_a_next_page_elsewhere_is_refused(link: str) -> None:
    reply = Reply.of_json({"tags": ["a"]}, Link=f'<{link}>; rel="next"')
    async with ScriptedServer().on(TAGS, reply) as server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError):
            await tags_of(client)


@pytest.mark.parametrize("body", [{"tags": None}, {"tags": []}])
async def test_a_repository_may_have_no_tags(body: dict[str, object]) -> None:
    async with ScriptedServer().on(TAGS, Reply.of_json(body)) as server, client_of(server) as c:
        assert await tags_of(c) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of_json({"tags": "a"}),
        Reply.of_json({"tags": [1]}),
        Reply.of_json({"tags": ["../../secret"]}),
        Reply.of_json({"name": "a"}),
        Reply.of_json([]),
        Reply(200, b"{"),
        Reply(200, b"<html>", {"Content-Type": "text/html"}),
    ],
)
async def test_a_list_that_is_none_is_a_violation(reply: Reply) -> None:
    async with ScriptedServer().on(TAGS, reply) as server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError) as caught:
            await tags_of(client)
        assert caught.value.subject.repository == "a"


async def test_the_catalogue_is_read_within_the_namespace() -> None:
    reply = Reply.of_json({"repositories": ["team/a", "team/b/c", "teammate/x", "z"]})
    server = ScriptedServer().on("GET /v2/_catalog?n=1000", reply)
    async with server, client_of(server, namespace="team") as client:
        assert [name async for name in client.list_repositories()] == ["a", "b/c"]


async def test_a_repository_that_does_not_exist_is_not_found() -> None:
    reply = Reply.of_json({"errors": [{"code": "NAME_UNKNOWN"}]}, status=404)
    async with ScriptedServer().on(TAGS, reply) as server, client_of(server) as client:
        with pytest.raises(NotFoundError) as caught:
            await tags_of(client)
        assert caught.value.codes[0].code == "NAME_UNKNOWN"


@pytest.mark.parametrize("name", ["A", "a/../b", "a//b", "", "a?x=1", "/a", "a b"])
async def test_no_request_is_made_for_what_names_no_repository(name: str) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(InvalidReferenceError):
            await client.resolve(name, "latest")
        assert server.seen == []


async def test_no_request_is_made_for_what_is_no_tag() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(InvalidReferenceError):
            await client.get_manifest("a", "../../b/manifests/1.0")
        assert server.seen == []


# ---- manifests


async def test_a_tag_is_resolved_by_one_head() -> None:
    head = "HEAD /v2/team/a/manifests/1.0"
    server = ScriptedServer().on(head, manifest_reply(Docker_Content_Digest=str(DIGEST)))
    async with server, client_of(server, namespace="team") as client:
        assert await client.resolve("a", "1.0") == Descriptor(OCI_INDEX, DIGEST, len(INDEX))
        assert server.lines() == [head]
        accepted = server.seen[0].headers["accept"]
        assert accepted.count("application/vnd.") == 6
        assert "manifest.v1+prettyjws" in accepted


async def test_a_head_without_a_digest_is_followed_by_a_get() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on("HEAD /v2/a/manifests/1.0", manifest_reply())
        server.on("GET /v2/a/manifests/1.0", manifest_reply())
        assert await client.resolve("a", "1.0") == Descriptor(OCI_INDEX, DIGEST, len(INDEX))


async def test_a_tag_that_is_not_there_resolves_to_nothing() -> None:
    reply = Reply(404, b"", {"Content-Type": "text/html"})
    async with ScriptedServer() as server, client_of(server) as client:
        server.on("HEAD /v2/a/manifests/1.0", reply)
        assert await client.resolve("a", "1.0") is None


async def test_bytes_that_are_not_the_digest_asked_for_are_refused() -> None:
    server = ScriptedServer().on(f"GET /v2/a/manifests/{OTHER}", manifest_reply())
    async with server, client_of(server) as client:
        with pytest.raises(ContentMismatchError) as caught:
            await client.get_manifest("a", OTHER)
        assert (caught.value.expected, caught.value.actual) == (str(OTHER), str(DIGEST))
        assert not caught.value.retryable


async def test_a_header_that_lies_about_the_digest_is_refused() -> None:
    reply = manifest_reply(Docker_Content_Digest=str(OTHER))
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", reply)
    async with server, client_of(server) as client:
        with pytest.raises(ContentMismatchError):
            await client.get_manifest("a", "1.0")


async def test_a_header_that_is_no_digest_is_a_violation() -> None:
    reply = manifest_reply(Docker_Content_Digest="md5:abc")
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", reply)
    async with server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError):
            await client.get_manifest("a", "1.0")


async def test_a_manifest_asked_for_by_sha512_has_that_digest() -> None:
    digest = Digest.of(INDEX, "sha512")
    reply = manifest_reply(Docker_Content_Digest=str(DIGEST))
    server = ScriptedServer().on(f"GET /v2/a/manifests/{digest}", reply)
    async with server, client_of(server) as client:
        assert (await client.get_manifest("a", digest)).digest == digest


async def test_an_endless_manifest_is_read_to_the_limit_and_refused() -> None:
    endless = Reply(
        200, b" " * (MAX_MANIFEST_BYTES + 2), {"Content-Length": str(10**12)}, cut_after_bytes=10**9
    )
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", endless)
    async with server, client_of(server) as client:
        with pytest.raises(UnsupportedContentError) as caught:
            await client.get_manifest("a", "1.0")
        assert caught.value.subject.tag == "1.0"
        assert len(server.seen) == 1


async def test_schema_1_is_refused_by_name() -> None:
    reply = Reply(
        200,
        b'{"schemaVersion":1}',
        {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
    )
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", reply)
    async with server, client_of(server) as client:
        with pytest.raises(UnsupportedContentError) as caught:
            await client.get_manifest("a", "1.0")
        assert caught.value.subject.repository == "a"


async def test_a_web_page_is_no_manifest() -> None:
    reply = Reply(200, b"<html>", {"Content-Type": "text/html"})
    server = ScriptedServer().on("GET /v2/a/manifests/1.0", reply)
    async with server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError, match="web page"):
            await client.get_manifest("a", "1.0")


@pytest.mark.parametrize("digest", [DIGEST, OTHER])
async def test_a_redirected_manifest_is_followed_without_credentials_and_checked(
    digest: Digest,
) -> None:
    """Registries that are a front for others, such as Kubernetes', redirect manifests."""
    async with (
        ScriptedServer().on("GET /elsewhere", manifest_reply()) as elsewhere,
        ScriptedServer() as server,
        client_of(server, login=True) as client,
    ):
        server.on(
            f"GET /v2/a/manifests/{digest}",
            Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'}),
            Reply(307, headers={"Location": f"{elsewhere.url}/elsewhere"}),
        )
        if digest == DIGEST:
            assert (await client.get_manifest("a", digest)).content == INDEX
        else:
            with pytest.raises(ContentMismatchError):
                await client.get_manifest("a", digest)
        assert "authorization" in server.seen[1].headers
        assert "authorization" not in elsewhere.seen[0].headers
        assert "oci.image.index" in elsewhere.seen[0].headers["accept"]


async def test_a_tag_may_be_looked_up_elsewhere() -> None:
    async with (
        ScriptedServer() as elsewhere,
        ScriptedServer() as server,
        client_of(server) as client,
    ):
        head = manifest_reply(Docker_Content_Digest=str(DIGEST))
        elsewhere.on("HEAD /elsewhere", head)
        away = Reply(307, headers={"Location": f"{elsewhere.url}/elsewhere"})
        server.on("HEAD /v2/a/manifests/1.0", away)
        assert await client.resolve("a", "1.0") == Descriptor(OCI_INDEX, DIGEST, len(INDEX))


async def test_a_manifest_is_written_as_the_bytes_it_has() -> None:
    put = "PUT /v2/a/manifests/1.0"
    reply = Reply(201, headers={"Docker-Content-Digest": str(DIGEST)})
    # The first attempt breaks: the same bytes are sent again.
    server = ScriptedServer().on(put, Reply(never=True), reply)
    async with server, client_of(server) as client:
        await client.put_manifest("a", "1.0", parse_manifest(INDEX, OCI_INDEX))
        assert [seen.body for seen in server.seen] == [INDEX, INDEX]
        assert server.seen[1].headers["content-type"] == OCI_INDEX


async def test_a_registry_that_stores_something_else_is_caught() -> None:
    reply = Reply(201, headers={"Docker-Content-Digest": str(OTHER)})
    server = ScriptedServer().on("PUT /v2/a/manifests/1.0", reply)
    async with server, client_of(server) as client:
        with pytest.raises(ContentMismatchError):
            await client.put_manifest("a", "1.0", parse_manifest(INDEX, OCI_INDEX))


async def test_a_manifest_is_never_sent_under_another_digest() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        with pytest.raises(ContentMismatchError):
            await client.put_manifest("a", OTHER, parse_manifest(INDEX, OCI_INDEX))
        assert server.seen == []


async def test_a_manifest_is_there_or_not() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        there = manifest_reply(Docker_Content_Digest=str(DIGEST))
        server.on(f"HEAD /v2/a/manifests/{DIGEST}", there)
        server.on(f"HEAD /v2/a/manifests/{OTHER}", Reply(404))
        assert await client.has_manifest("a", DIGEST)
        assert not await client.has_manifest("a", OTHER)
        assert len(server.seen) == 2


async def test_a_manifest_that_head_says_nothing_about_is_read() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(f"HEAD /v2/a/manifests/{DIGEST}", Reply(200))
        server.on(f"GET /v2/a/manifests/{DIGEST}", manifest_reply(), Reply(404))
        assert await client.has_manifest("a", DIGEST)
        assert not await client.has_manifest("a", DIGEST)


async def test_a_web_page_for_everything_is_not_taken_for_a_manifest() -> None:
    page = Reply(200, b"<html>Sign in", {"Content-Type": "text/html"})
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(f"HEAD /v2/a/manifests/{DIGEST}", page)
        server.on(f"GET /v2/a/manifests/{DIGEST}", page)
        with pytest.raises(ProtocolViolationError):
            await client.has_manifest("a", DIGEST)


async def test_a_registry_that_shows_another_manifest_for_a_digest_is_caught() -> None:
    reply = manifest_reply(Docker_Content_Digest=str(DIGEST))
    server = ScriptedServer().on(f"HEAD /v2/a/manifests/{OTHER}", reply)
    async with server, client_of(server) as client:
        with pytest.raises(ContentMismatchError):
            await client.has_manifest("a", OTHER)


# ---- reading blobs


async def test_a_blob_streams_through() -> None:
    async with ScriptedServer().on(BLOB_LINE, Reply(200, BYTES)) as server:
        async with client_of(server) as client:
            assert await read(client) == BYTES
        assert server.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"L" + BYTES[1:]),
        Reply(200, BYTES + b"more"),
        Reply(200, BYTES[:-1]),
        Reply(200, b""),
    ],
)
async def test_a_blob_that_is_another_one_is_refused(reply: Reply) -> None:
    async with ScriptedServer().on(BLOB_LINE, reply) as server, client_of(server) as client:
        with pytest.raises(ContentMismatchError) as caught:
            await read(client)
        assert not caught.value.retryable
        assert len(server.seen) == 1


async def test_more_bytes_than_announced_are_not_read() -> None:
    # A body in chunks does not say its length beforehand.
    chunk = f"{len(BYTES):x}\r\n".encode() + BYTES + b"\r\n"
    reply = Reply(
        200, chunk * 1000 + b"0\r\n\r\n", {"Transfer-Encoding": "chunked", "Content-Length": ""}
    )
    got = bytearray()

    async def read_all() -> None:
        async with client.open_blob("a", BLOB) as content:
            async for piece in content:
                got.extend(piece)

    async with ScriptedServer().on(BLOB_LINE, reply) as server, client_of(server) as client:
        with pytest.raises(ContentMismatchError, match="at least"):
            await read_all()
    assert len(got) <= len(BYTES)


async def test_opening_a_blob_is_tried_again() -> None:
    server = ScriptedServer().on(BLOB_LINE, Reply(500), Reply(never=True), Reply(200, BYTES))
    async with server, client_of(server) as client:
        assert await read(client) == BYTES


async def test_a_blob_may_be_left_half_read() -> None:
    server = ScriptedServer().on(BLOB_LINE, Reply(200, BYTES))
    async with server, client_of(server) as client:
        async with client.open_blob("a", BLOB) as content:
            await anext(aiter(content))
        assert await read(client) == BYTES


async def test_the_size_of_a_blob_comes_by_head() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(f"HEAD /v2/a/blobs/{BLOB.digest}", Reply(200, BYTES))
        server.on(f"HEAD /v2/a/blobs/{OTHER}", Reply(404))
        assert await client.blob_size("a", BLOB.digest) == len(BYTES)
        assert await client.blob_size("a", OTHER) is None


# ---- redirects and credentials


async def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    async with (
        ScriptedServer().on("GET /blob?sig=x", Reply(200, BYTES)) as storage,
        ScriptedServer() as server,
        client_of(server, login=True) as client,
    ):
        server.on(
            BLOB_LINE,
            Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'}),
            Reply(307, headers={"Location": f"{storage.url}/blob?sig=x"}),
        )
        assert await read(client) == BYTES
        assert "authorization" in server.seen[1].headers
        assert "authorization" not in storage.seen[0].headers


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
async def test_a_login_wanted_by_another_host_is_answered_by_nobody(scheme: str) -> None:
    async with (
        ScriptedServer() as storage,
        ScriptedServer() as server,
        client_of(server, login=True) as client,
    ):
        challenge = f'{scheme} realm="{storage.url}/token",service="canary"'
        storage.on("GET /blob", Reply(401, headers={"WWW-Authenticate": challenge}))
        server.on(BLOB_LINE, Reply(307, headers={"Location": f"{storage.url}/blob"}))
        with pytest.raises(AuthenticationError) as caught:
            await read(client)
        assert storage.lines() == ["GET /blob"]
        assert "authorization" not in storage.seen[0].headers
        assert len(server.seen) == 1
        assert caught.value.url == f"{storage.url}/blob"


async def test_a_login_in_a_redirect_is_not_used() -> None:
    async with (
        ScriptedServer().on("GET /blob", Reply(200, BYTES)) as storage,
        ScriptedServer() as server,
        client_of(server) as client,
    ):
        location = f"http://user:pw@{storage.host}/blob"
        server.on(BLOB_LINE, Reply(307, headers={"Location": location}))
        assert await read(client) == BYTES
        assert "authorization" not in storage.seen[0].headers


async def test_a_redirect_within_the_registry_keeps_the_credentials() -> None:
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        server.on(
            BLOB_LINE,
            Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'}),
            Reply(302, headers={"Location": "/blob"}),
        ).on("GET /blob", Reply(200, BYTES))
        assert await read(client) == BYTES
        assert "authorization" in server.seen[2].headers


async def test_redirects_end() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BLOB_LINE, Reply(307, headers={"Location": BLOB_LINE.removeprefix("GET ")}))
        with pytest.raises(ProtocolViolationError, match="more than 5"):
            await read(client)
        assert len(server.seen) == 6


@pytest.mark.parametrize("location", ["", "ftp://x/y", "http://["])
async def test_a_redirect_to_nowhere_is_a_violation(location: str) -> None:
    server = ScriptedServer().on(BLOB_LINE, Reply(307, headers={"Location": location}))
    async with server, client_of(server) as client:
        with pytest.raises(RegistryError):
            await read(client)


@pytest.mark.parametrize("challenge", ['Basic realm="r"', "bearer"])
async def test_a_login_that_is_refused_ends_after_one_try(challenge: str) -> None:
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        if challenge == "bearer":
            challenge = f'Bearer realm="{server.url}/token"'
            server.on("GET /token?scope=repository%3Aa%3Apull", Reply.of_json({"token": "t"}))
        server.on(TAGS, Reply(401, headers={"WWW-Authenticate": challenge}))
        with pytest.raises(AuthenticationError):
            await tags_of(client)
        assert server.lines().count(TAGS) == 2


async def test_a_token_that_does_not_allow_it_means_denied_and_not_unknown() -> None:
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        challenge = f'Bearer realm="{server.url}/token",error="insufficient_scope"'
        server.on("GET /token?scope=repository%3Aa%3Apull", Reply.of_json({"token": "t"}))
        server.on(TAGS, Reply(401, headers={"WWW-Authenticate": challenge}))
        with pytest.raises(DeniedError):
            await tags_of(client)


async def test_a_token_service_that_is_down_for_a_moment_is_asked_again() -> None:
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        server.on(
            "GET /token?scope=repository%3Aa%3Apull", Reply(503), Reply.of_json({"token": "t"})
        )
        server.on(
            TAGS,
            Reply(401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'}),
            lambda seen: Reply.of_json({"tags": [seen.headers["authorization"][7:]]}),
        )
        assert await tags_of(client) == ["t"]


async def test_no_secret_is_in_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpcore")  # at DEBUG it logs header fields of answers
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        location = "/v2/a/blobs/uploads/1?_state=canary-state"
        server.on(
            UPLOADS,
            Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'}),
            Reply(202, headers={"Location": location}),
        )
        server.on(f"PUT {location}&digest={BLOB.digest}", Reply(400))
        server.on(f"DELETE {location}", Reply(204))
        with pytest.raises(RegistryError) as caught:
            await client.put_blob("a", BLOB, pieces())
    told = f"{caught.value!r} {caught.value} {vars(caught.value)} {client._endpoint!r}"
    assert "canary" not in told + caplog.text


# ---- writing blobs


async def test_a_blob_is_written_in_two_requests() -> None:
    location = "/v2/a/blobs/uploads/1?_state=a%3D%3D"
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": location}))
        server.on(f"PUT {location}&digest={BLOB.digest}", Reply(201))
        await client.put_blob("a", BLOB, pieces())
        assert server.seen[-1].body == BYTES
        assert len(server.seen) == 2


async def test_an_absolute_location_on_the_same_host_is_taken() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": f"{server.url}/up/1"}))
        server.on(f"PUT /up/1?digest={BLOB.digest}", Reply(201))
        await client.put_blob("a", BLOB, pieces())


@pytest.mark.parametrize("location", ["", "http://evil.example/up", "https://127.0.0.1/up"])
async def test_an_upload_elsewhere_is_refused(location: str) -> None:
    server = ScriptedServer().on(UPLOADS, Reply(202, headers={"Location": location}))
    async with server, client_of(server) as client:
        with pytest.raises(ProtocolViolationError):
            await client.put_blob("a", BLOB, pieces())


async def test_an_error_of_the_source_ends_the_upload_and_passes() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"}))
        server.on("DELETE /up/1", Reply(204))
        broken = UnreachableError("the source broke")
        with pytest.raises(UnreachableError) as caught:
            await client.put_blob("a", BLOB, pieces(error=broken))
        assert caught.value is broken
        assert server.lines() == [UPLOADS, "DELETE /up/1"]


@pytest.mark.parametrize("content", [BYTES[:-1], b"", BYTES + b"x", BYTES * 10])
async def test_a_source_of_another_length_does_not_become_a_blob(content: bytes) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"}))
        server.on("DELETE /up/1", Reply(204))
        with pytest.raises(ContentMismatchError):
            await client.put_blob("a", BLOB, pieces(content))
        assert server.lines() == [UPLOADS, "DELETE /up/1"]


async def test_a_stream_is_sent_once() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"}))
        server.on(f"PUT /up/1?digest={BLOB.digest}", Reply(503))
        server.on("DELETE /up/1", Reply(404))
        with pytest.raises(RegistryError) as caught:
            await client.put_blob("a", BLOB, pieces())
        assert caught.value.retryable
        assert sum(line.startswith("PUT") for line in server.lines()) == 1


async def test_a_stream_whose_token_has_just_expired_may_be_sent_again() -> None:
    scope = "repository%3Aa%3Apull%2Cpush"
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        tokens = [Reply.of_json({"token": token}) for token in ("t1", "t2")]
        server.on(f"GET /token?scope={scope}", *tokens)
        server.on("GET /token?scope=repository%3Aa%3Adelete", Reply.of_json({"token": "d"}))
        challenge = {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'}
        begun = Reply(202, headers={"Location": "/up/1"})
        server.on(UPLOADS, Reply(401, headers=challenge), begun)
        put = f"PUT /up/1?digest={BLOB.digest}"
        server.on(put, Reply(401, headers=challenge), Reply(201))
        server.on("DELETE /up/1", Reply(204))
        with pytest.raises(AuthenticationError) as caught:
            await client.put_blob("a", BLOB, pieces())
        assert caught.value.retryable
        await client.put_blob("a", BLOB, pieces())
        sent = [seen.headers["authorization"] for seen in server.seen if seen.line == put]
        assert sent == ["Bearer t1", "Bearer t2"]


async def test_giving_an_upload_up_does_not_change_what_the_next_token_is_asked_for() -> None:
    realm = "/token?scope=repository%3Aa%3A"
    async with ScriptedServer() as server, client_of(server, login=True) as client:
        server.on(f"GET {realm}pull%2Cpush", Reply.of_json({"token": "t", "expires_in": 3600}))
        server.on(f"GET {realm}delete", Reply.of_json({"token": "less", "expires_in": 3600}))
        challenge = f'Bearer realm="{server.url}/token"'
        begun = Reply(202, headers={"Location": "/up/1"})
        server.on(UPLOADS, Reply(401, headers={"WWW-Authenticate": challenge}), begun)
        more = challenge + ',scope="repository:a:delete",error="insufficient_scope"'
        server.on("DELETE /up/1", Reply(401, headers={"WWW-Authenticate": more}))
        await client.probe_upload("a")
        await client.probe_upload("a")
        assert server.lines().count(f"GET {realm}pull%2Cpush") == 1


async def test_a_registry_that_got_other_bytes_says_so() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"}))
        server.on(
            f"PUT /up/1?digest={BLOB.digest}",
            Reply.of_json({"errors": [{"code": "DIGEST_INVALID"}]}, status=400),
        )
        server.on("DELETE /up/1", Reply(404))
        with pytest.raises(ContentMismatchError):
            await client.put_blob("a", BLOB, pieces())


async def test_a_cancelled_upload_is_given_up_at_the_registry_too() -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        started.set()
        await asyncio.Event().wait()

    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"}))
        server.on("DELETE /up/1", Reply(204))
        uploading = asyncio.create_task(client.put_blob("a", BLOB, endless()))
        await started.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        assert server.lines()[-1] == "DELETE /up/1"


async def test_a_mount_that_is_done_needs_no_more() -> None:
    line = f"{UPLOADS}?mount=sha256%3A{BLOB.digest.encoded}&from=team%2Fb"
    async with ScriptedServer().on(line, Reply(201)) as server, client_of(server) as client:
        assert await client.mount_blob("a", BLOB.digest, "team/b")


async def test_a_mount_that_becomes_an_upload_is_given_up() -> None:
    line = f"{UPLOADS}?mount=sha256%3A{BLOB.digest.encoded}&from=b"
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(line, Reply(202, headers={"Location": "/up/1"})).on("DELETE /up/1", Reply(204))
        assert not await client.mount_blob("a", BLOB.digest, "b")
        assert server.lines()[-1] == "DELETE /up/1"


async def test_whether_we_may_write_is_tried_without_writing() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(UPLOADS, Reply(202, headers={"Location": "/up/1"})).on("DELETE /up/1", Reply(204))
        await client.probe_upload("a")
        assert server.lines() == [UPLOADS, "DELETE /up/1"]


async def test_blobs_are_copied_within_one_client_without_waiting_for_each_other() -> None:
    async with ScriptedServer() as server:
        server.on(BLOB_LINE, Reply(200, BYTES))
        server.on("POST /v2/b/blobs/uploads/", Reply(202, headers={"Location": "/up/1"}))
        server.on(f"PUT /up/1?digest={BLOB.digest}", Reply(201))
        async with RegistryClient(RegistryEndpoint("c", server.url), concurrency=2) as client:

            async def copy() -> None:
                async with client.open_blob("a", BLOB) as content:
                    await client.put_blob("b", BLOB, content)

            async with asyncio.timeout(20):
                await asyncio.gather(*(copy() for _ in range(8)))
