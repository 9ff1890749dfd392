"""What all requests to a registry have in common."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
)
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt
from image_promotion.registry.pace import Pace
from image_promotion.registry.retry import NO_RETRY
from image_promotion.registry.session import Request, Session
from sandbox.certificates import CertificateAuthority
from tests.support.scripted_server import Reply, ScriptedServer

BODY = b"x" * 100_000


class Pauses:
    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, pause_s: float) -> None:
        self.asked.append(pause_s)


def session_of(
    url: str, *, connections: int = 8, pace: Pace | None = None, pauses: Pauses | None = None
) -> Session:
    return Session(
        RegistryEndpoint("c", url),
        connections=connections,
        rules=NO_RETRY,
        pace=pace,
        sleep=pauses or Pauses(),
    )


def request_of(session: Session, path: str = "/v2/") -> Request:
    return Request(Attempt("asking", "GET", session.url(path)))


async def ask(session: Session, path: str = "/v2/") -> bytes:
    return (await session.ask(request_of(session, path))).body


# ---- cookies


async def test_cookies_are_not_kept() -> None:
    server = ScriptedServer().on("GET /v2/", Reply(200, b"", {"Set-Cookie": "sid=1; Path=/"}))
    async with server:
        session = session_of(server.url)
        await ask(session)
        await ask(session)
        await session.aclose()
        assert "cookie" not in server.seen[1].headers


# ---- proxies

PROXIED = "http://registry.example:8080"


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer().on(f"GET {PROXIED}/v2/", Reply(200, b"by proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        session = session_of(PROXIED)
        assert await ask(session) == b"by proxy"
        await session.aclose()
        assert proxy.seen[0].headers["host"] == "registry.example:8080"


async def test_a_proxy_that_wants_a_login_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer().on(f"GET {PROXIED}/v2/", Reply(200)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy.host}")
        session = session_of(PROXIED)
        await ask(session)
        await session.aclose()
        assert proxy.seen[0].headers["proxy-authorization"].startswith("Basic ")
        assert "authorization" not in proxy.seen[0].headers


UNKNOWN_AS_LOOPBACK = "0.0.0.0"  # noqa: S104 - asked, not bound: Linux takes it for itself


@pytest.mark.parametrize("name", [UNKNOWN_AS_LOOPBACK, "127.0.0.1", "localhost"])
async def test_no_proxy_and_this_machine_itself_are_asked_directly(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with ScriptedServer() as proxy, ScriptedServer() as server:
        server.on("GET /v2/", Reply(200, b"directly"))
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", UNKNOWN_AS_LOOPBACK)
        session = session_of(server.url.replace("127.0.0.1", name))
        assert await ask(session) == b"directly"
        await session.aclose()
        assert proxy.seen == []


# ---- pace


async def test_requests_and_bytes_keep_the_pace() -> None:
    pauses = Pauses()
    async with ScriptedServer().on("GET /v2/", Reply(200, BODY)) as server:
        pace = Pace(requests_per_second=0.01, bytes_per_second=1000)
        session = session_of(server.url, pace=pace, pauses=pauses)
        async with session.open(request_of(session)) as answer:
            got = b"".join([piece async for piece in answer.pieces])
        assert got == BODY
        bytes_pauses = len(pauses.asked)
        assert bytes_pauses > 0
        await ask(session)
        assert pauses.asked[bytes_pauses] > 90
        await session.aclose()


async def test_bytes_that_are_sent_keep_the_pace() -> None:
    async def content() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 1000

    pauses = Pauses()
    async with ScriptedServer().on("PUT /v2/", Reply(200)) as server:
        session = session_of(server.url, pace=Pace(bytes_per_second=10), pauses=pauses)
        attempt = Attempt("sending", "PUT", session.url("/v2/"))
        await session.send(Request(attempt, headers={"Content-Length": "4000"}), content())
        await session.aclose()
        assert len(server.seen[0].body) == 4000
    assert max(pauses.asked) > 250


# ---- as many at a time as the registry can bear


async def test_fewer_requests_go_at_once_after_the_registry_has_asked_to_slow_down() -> None:
    async with ScriptedServer() as server:
        server.on("GET /busy", Reply(429)).on("GET /v2/", Reply(200, BODY))
        session = session_of(server.url, connections=8)
        busy = [ask(session, "/busy") for _ in range(8)]
        answers = await asyncio.gather(*busy, return_exceptions=True)
        assert all(isinstance(answer, RateLimitedError) for answer in answers)
        assert session._at_once.limit == 4
        for _ in range(4):
            await ask(session)
        assert session._at_once.limit == 5
        await session.aclose()


async def test_what_is_read_leaves_room_for_other_requests_even_where_only_one_may_go() -> None:
    async with ScriptedServer() as server:
        server.on("GET /busy", Reply(429)).on("GET /v2/", Reply(200, BODY))
        session = session_of(server.url, connections=4)
        with pytest.raises(RateLimitedError):
            await ask(session, "/busy")
        assert session._at_once.limit == 1
        async with asyncio.timeout(20), session.open(request_of(session)) as answer:
            await ask(session)
            assert b"".join([piece async for piece in answer.pieces]) == BODY
        await session.aclose()


# ---- what the registry said


async def test_a_registry_that_wants_a_login_is_quoted_where_the_connection_has_none() -> None:
    reply = Reply.of_json(
        {"errors": [{"code": "UNAUTHORIZED", "message": "sign in at the desk"}]},
        status=401,
        WWW_Authenticate='Basic realm="r"',
    )
    async with ScriptedServer().on("GET /v2/", reply) as server:
        session = session_of(server.url)
        with pytest.raises(AuthenticationError) as caught:
            await ask(session)
        await session.aclose()
    assert "sign in at the desk" in str(caught.value)


async def test_a_login_that_nobody_knows_is_quoted_too() -> None:
    reply = Reply.of_json(
        {"errors": [{"code": "UNAUTHORIZED", "message": "knock twice"}]},
        status=401,
        WWW_Authenticate="Negotiate",
    )
    async with ScriptedServer().on("GET /v2/", reply) as server:
        session = session_of(server.url)
        with pytest.raises(RegistryError, match="knock twice"):
            await ask(session)
        await session.aclose()


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    tls = CertificateAuthority.create(tmp_path).server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    async with ScriptedServer() as plain, ScriptedServer(context) as server:
        server.on("GET /v2/", Reply(307, headers={"Location": f"{plain.url}/v2/"}))
        session = Session(
            RegistryEndpoint("c", server.url, skip_tls_verification=True),
            connections=1,
            rules=NO_RETRY,
        )
        attempt = Attempt("asking", "GET", session.url("/v2/"))
        with pytest.raises(ProtocolViolationError, match="https to plain http"):
            await session.ask(Request(attempt, follows_redirects=True))
        await session.aclose()
        assert plain.seen == []
