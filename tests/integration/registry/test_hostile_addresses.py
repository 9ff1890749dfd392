"""A registry that names other hosts: what must work, and what is never asked.

The registries are on this machine, so that others on it may be named; tests/unit/registry holds
what a registry that is far may name.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import pytest

from image_promotion.errors import ProtocolViolationError
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.retry import NO_RETRY
from tests.support.scripted_server import Reply, ScriptedServer

PASSWORD = "canary-password"
CONTENT = b"layer" * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))
BLOB_LINE = f"GET /v2/a/blobs/{BLOB.digest}"
TAGS = "GET /v2/a/tags/list?n=1000"

FORBIDDEN = (
    "http://169.254.169.254/latest/meta-data/iam/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
    "http://2852039166/",
    "http://0251.0376.0251.0376/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "//169.254.169.254/",
)
NAMES = {"storage.example": "169.254.169.254", "auth.example": "fe80::1", "here.example": ""}

Ask = Callable[[RegistryClient], Awaitable[object]]


def client_of(server: ScriptedServer) -> RegistryClient:
    endpoint = RegistryEndpoint("c", server.url, username="robot", password=PASSWORD)
    return RegistryClient(endpoint, retry=NO_RETRY)


async def read(client: RegistryClient) -> bytes:
    async with client.open_blob("a", BLOB) as pieces:
        return b"".join([piece async for piece in pieces])


async def tags(client: RegistryClient) -> list[str]:
    return [tag async for tag in client.list_tags("a")]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are connected to; the names of the table are resolved as it says."""
    seen: list[str] = []
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host: str, port: int, *more: int) -> object:
        return resolve(NAMES.get(host, host) or "127.0.0.1", port, *more)

    def connecting(self: socket.socket, address: tuple[str, int]) -> None:
        seen.append(address[0])
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connecting)
    return seen


@pytest.mark.parametrize("target", [*FORBIDDEN, "http://storage.example/", "http://auth.example/"])
@pytest.mark.parametrize(
    ("line", "ask"),
    [
        (BLOB_LINE, read),
        (f"HEAD /v2/a/blobs/{BLOB.digest}", lambda client: client.blob_size("a", BLOB.digest)),
        ("GET /v2/a/manifests/1", lambda client: client.get_manifest("a", "1")),
    ],
    ids=["blob", "blob's head", "manifest"],
)
async def test_a_redirect_to_what_only_this_machine_sees_is_refused_unasked(
    line: str, ask: Ask, target: str, connected: list[str]
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(line, Reply(307, headers={"Location": target}))
        with pytest.raises(ProtocolViolationError):
            await ask(client)
        assert len(server.seen) == 1
    assert set(connected) <= {"127.0.0.1"}


@pytest.mark.parametrize(
    "realm", [*FORBIDDEN, "https://storage.example/token", "https://auth.example/token"]
)
async def test_a_token_service_that_only_this_machine_sees_gets_no_credentials(
    realm: str, connected: list[str]
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        realm = realm.replace("http://", "https://")
        challenge = f'Bearer realm="{realm}",service="r"'
        server.on(TAGS, Reply(401, headers={"WWW-Authenticate": challenge}))
        with pytest.raises(ProtocolViolationError):
            await tags(client)
    assert set(connected) <= {"127.0.0.1"}


@pytest.mark.parametrize("target", [*FORBIDDEN, "http://storage.example/v2/"])
async def test_neither_the_next_page_nor_an_upload_goes_anywhere_else(
    target: str, connected: list[str]
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        page = Reply.of_json({"tags": ["1"]}, Link=f'<{target}>; rel="next"')
        server.on(TAGS, page).on(
            "POST /v2/a/blobs/uploads/", Reply(202, headers={"Location": target})
        )
        with pytest.raises(ProtocolViolationError):
            await tags(client)
        with pytest.raises(ProtocolViolationError):
            await client.probe_upload("a")
    assert set(connected) <= {"127.0.0.1"}


async def test_a_redirect_that_leads_on_to_such_a_place_is_refused_there() -> None:
    async with (
        ScriptedServer() as storage,
        ScriptedServer() as server,
        client_of(server) as client,
    ):
        storage.on("GET /blob", Reply(302, headers={"Location": FORBIDDEN[0]}))
        server.on(BLOB_LINE, Reply(307, headers={"Location": f"{storage.url}/blob"}))
        with pytest.raises(ProtocolViolationError, match="link-local"):
            await read(client)
        assert storage.lines() == ["GET /blob"]


async def test_storage_and_token_service_under_names_of_their_own_serve_us(
    connected: list[str],
) -> None:
    """As most registries have it: tokens from one host, blobs from another, signed by address."""
    async with (
        ScriptedServer() as storage,
        ScriptedServer() as service,
        ScriptedServer() as server,
        client_of(server) as client,
    ):
        port = storage.host.rpartition(":")[2]
        storage.on("GET /bucket/blob?X-Amz-Signature=a%2Fb", Reply(200, CONTENT))
        service.on(
            "GET /token?service=r&scope=repository%3Aa%3Apull", Reply.of_json({"token": "t"})
        )
        challenge = f'Bearer realm="{service.url}/token",service="r"'
        location = f"http://here.example:{port}/bucket/blob?X-Amz-Signature=a%2Fb"
        server.on(
            BLOB_LINE,
            Reply(401, headers={"WWW-Authenticate": challenge}),
            Reply(307, headers={"Location": location}),
        )
        assert await read(client) == CONTENT
        assert server.seen[1].headers["authorization"] == "Bearer t"
        assert "authorization" not in storage.seen[0].headers
        assert storage.seen[0].headers["host"] == f"here.example:{port}"
        assert PASSWORD not in repr(storage.seen)
    assert connected
