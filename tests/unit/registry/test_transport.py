"""What goes out over the connections, and what is told where they fail."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from urllib.request import getproxies

import httpx
import pytest

from image_promotion.registry.failures import Attempt, Cause, cause_of, from_exception
from image_promotion.registry.transport import PooledTransport
from tests.support.scripted_server import Reply, ScriptedServer

WAITS_AFTER = 3
NOTHING_LISTENS = 1  # the port; it is nobody's
LIMIT_S = 20
SOON_S = 0.05

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def pool_of(connections: int = 4, *, proxies: bool = False) -> AsyncIterator[PooledTransport]:
    pool = PooledTransport(
        tls=cache(ssl.create_default_context),
        connections=connections,
        proxies=getproxies() if proxies else {},
        admitted=lambda _, addresses: frozenset(addresses),
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            yield pool
    finally:
        await pool.aclose()


@asynccontextmanager
async def raw_server(handle: Handler) -> AsyncIterator[str]:
    """Serve each connection by a function; give the URL."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.close()
        running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answering(answer: bytes) -> Handler:
    """Answer the same to each request, and take the next one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return handle


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


def request(
    method: str,
    url: httpx.URL | str,
    *,
    content: bytes | AsyncIterator[bytes] | None = None,
    timeout_s: float = LIMIT_S,
    **headers: str,
) -> httpx.Request:
    return httpx.Request(
        method,
        url,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        content=content,
        extensions={"timeout": {"read": timeout_s, "write": timeout_s, "connect": timeout_s}},
    )


async def answer_to(pool: PooledTransport, asked: httpx.Request) -> tuple[int, bytes]:
    response = await pool.handle_async_request(asked)
    try:
        return response.status_code, b"".join([piece async for piece in response.aiter_raw()])
    finally:
        await response.aclose()


async def failure_of(pool: PooledTransport, asked: httpx.Request) -> httpx.TransportError:
    with pytest.raises(httpx.TransportError) as caught:
        await answer_to(pool, asked)
    return caught.value


class Pieces:
    """A body that knows how far it was read.

    Args:
        number: How many pieces it has.
        size_bytes: The size of each.
        error: What is raised in place of the end.
        waits: Whether it waits for ever once ``WAITS_AFTER`` of them are given.
    """

    def __init__(
        self,
        number: int,
        size_bytes: int,
        *,
        error: Exception | None = None,
        waits: bool = False,
    ) -> None:
        self.size_bytes = number * size_bytes
        self.given = 0
        self.has_begun = asyncio.Event()
        self.came_to_its_end = False
        self._number = number
        self._piece = b"x" * size_bytes
        self._error = error
        self._waits = waits
        self.stream = self._give()

    async def _give(self) -> AsyncGenerator[bytes, None]:
        for _ in range(self._number):
            if self._waits and self.given == WAITS_AFTER:
                await asyncio.Event().wait()
            self.given += 1
            self.has_begun.set()
            yield self._piece
        self.came_to_its_end = True
        if self._error is not None:
            raise self._error

    async def is_at_rest(self) -> bool:
        """Close it; that fails where somebody is still reading."""
        await self.stream.aclose()
        return True


def put(url: str, pieces: Pieces, *, timeout_s: float = LIMIT_S) -> httpx.Request:
    length = {"Content_Length": str(pieces.size_bytes)}
    return request("PUT", f"{url}/v2/", content=pieces.stream, timeout_s=timeout_s, **length)


# ---- what goes out


@pytest.mark.parametrize(
    "target",
    [
        "/v2/a/blobs/uploads/?_state=a%2Fb%3d%3D+c=&x=%c3%a9&&empty=",
        "/v2/a%2fb/manifests/sha256:00",
        "/v2//a//b/;c,d",
        "/?" + "s=" + "x" * 9000,
    ],
)
async def test_an_address_goes_out_as_it_was_written(target: str) -> None:
    async with (
        ScriptedServer().on(f"GET {target}", Reply(200, b"here")) as server,
        pool_of() as pool,
    ):
        url = httpx.URL(server.url).copy_with(raw_path=target.encode())
        assert await answer_to(pool, request("GET", url)) == (200, b"here")


async def test_no_field_is_added_to_what_is_said() -> None:
    async with ScriptedServer().on("POST /v2/", Reply(202)) as server, pool_of() as pool:
        await answer_to(pool, request("POST", f"{server.url}/v2/", X_Own="1"))
        assert server.seen[0].headers == {"host": server.host, "x-own": "1", "content-length": "0"}


async def test_a_login_in_an_address_is_not_sent() -> None:
    async with ScriptedServer().on("GET /v2/", Reply(200)) as server, pool_of() as pool:
        await answer_to(pool, request("GET", f"http://me:secret@{server.host}/v2/"))
        assert "authorization" not in server.seen[0].headers


async def test_bytes_arrive_whole_in_both_directions_also_megabytes_at_once() -> None:
    content = bytes(range(256)) * 16_000
    server = ScriptedServer().on("PUT /v2/", lambda seen: Reply(201, seen.body))
    async with server, pool_of() as pool:
        asked = request("PUT", f"{server.url}/v2/", content=content)
        assert await answer_to(pool, asked) == (201, content)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(status: int) -> None:
    elsewhere = {"Location": "/elsewhere?" + "x" * 20_000}
    server = ScriptedServer().on("GET /v2/", Reply(status, b"", elsewhere))
    async with server, pool_of() as pool:
        response = await pool.handle_async_request(request("GET", f"{server.url}/v2/"))
        await response.aclose()
    assert response.status_code == status
    assert response.headers["location"] == elsewhere["Location"]


async def test_what_is_packed_stays_packed() -> None:
    packed = gzip.compress(b"layer")
    reply = Reply(200, packed, {"Content-Encoding": "gzip"})
    async with ScriptedServer().on("GET /v2/", reply) as server, pool_of() as pool:
        assert await answer_to(pool, request("GET", f"{server.url}/v2/")) == (200, packed)


async def test_a_connection_is_used_again_also_after_an_answer_without_a_body() -> None:
    ports = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername"))
        await answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")(reader, writer)

    async with raw_server(handle) as url, pool_of() as pool:
        for _ in range(3):
            assert await answer_to(pool, request("HEAD", f"{url}/v2/")) == (200, b"")
    assert len(ports) == 1


async def test_a_connection_is_not_used_again_where_something_of_an_answer_was_left() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000
    async with raw_server(answering(long)) as url, pool_of(1) as pool:
        for _ in range(2):
            response = await pool.handle_async_request(request("GET", f"{url}/v2/"))
            async for piece in response.aiter_raw():
                assert piece.strip(b"x") == b""
                break
            await response.aclose()


# ---- bodies that are streamed


async def test_what_a_body_raises_passes_as_it_is_and_its_last_bytes_are_not_sent() -> None:
    arrived = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set_result(await reader.read())

    wrong = LookupError("not the digest's")
    pieces = Pieces(3, 1000, error=wrong)
    async with raw_server(handle) as url, pool_of() as pool:
        with pytest.raises(LookupError) as caught:
            await answer_to(pool, put(url, pieces))
        assert len(await arrived) < pieces.size_bytes
    assert caught.value is wrong


async def test_a_stream_without_a_byte_is_read_to_its_end_all_the_same() -> None:
    pieces = Pieces(0, 0)
    async with ScriptedServer().on("PUT /v2/", Reply(201)) as server, pool_of() as pool:
        assert await answer_to(pool, put(server.url, pieces)) == (201, b"")
    assert pieces.came_to_its_end


@pytest.mark.parametrize("waits", [False, True])
async def test_an_answer_that_comes_early_is_read_and_the_rest_is_not_sent(*, waits: bool) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await asyncio.Event().wait()  # and it reads no more

    async with raw_server(handle) as url, pool_of(1) as pool:
        for _ in range(2):  # the connection is not in the way of the next one
            pieces = Pieces(1000, 100_000, waits=waits)
            assert await answer_to(pool, put(url, pieces)) == (413, b"big")
            assert await pieces.is_at_rest()
            assert not pieces.came_to_its_end


@pytest.mark.parametrize("waits", [False, True])
async def test_a_body_is_at_rest_once_its_request_was_given_up(*, waits: bool) -> None:
    async with raw_server(silent) as url, pool_of() as pool:
        pieces = Pieces(1000, 100_000, waits=waits)
        sending = asyncio.create_task(answer_to(pool, put(url, pieces)))
        await pieces.has_begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await pieces.is_at_rest()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_body_is_at_rest_once_the_connection_has_broken(*, waits: bool) -> None:
    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(handle) as url, pool_of() as pool:
        pieces = Pieces(1000, 100_000, waits=waits)
        failure = await failure_of(pool, put(url, pieces))
        assert cause_of(failure) is Cause.BROKEN
        assert await pieces.is_at_rest()


async def test_a_server_that_takes_nothing_is_not_waited_for_without_end() -> None:
    async with raw_server(silent) as url, pool_of() as pool:
        pieces = Pieces(1000, 100_000)
        failure = await failure_of(pool, put(url, pieces, timeout_s=SOON_S))
        assert cause_of(failure) is Cause.TIMED_OUT
        assert await pieces.is_at_rest()


# ---- what fails


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT"])
async def test_a_request_is_made_once_whatever_becomes_of_it(method: str) -> None:
    requests = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            requests.append(head.split(b" ")[0].decode())
            if len(requests) > 1:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(handle) as url, pool_of() as pool:
        await answer_to(pool, request("GET", f"{url}/v2/"))
        failure = await failure_of(pool, request(method, f"{url}/v2/"))
    assert requests == ["GET", method]
    assert cause_of(failure) is Cause.BROKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_where_nothing_listens_refuses(host: str) -> None:
    async with pool_of() as pool:
        failure = await failure_of(pool, request("GET", f"http://{host}:{NOTHING_LISTENS}/"))
    assert isinstance(failure, httpx.ConnectError)
    assert cause_of(failure) is Cause.REFUSED


async def test_a_name_that_does_not_exist_is_told() -> None:
    async with pool_of() as pool:
        failure = await failure_of(pool, request("GET", "http://registry.invalid/"))
    assert cause_of(failure) is Cause.NAME_NOT_FOUND


async def test_a_server_that_does_not_answer_in_time_is_told() -> None:
    async with raw_server(silent) as url, pool_of() as pool:
        failure = await failure_of(pool, request("GET", url, timeout_s=SOON_S))
    assert cause_of(failure) is Cause.TIMED_OUT


async def test_a_server_that_stops_within_its_answer_is_told() -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"
    async with raw_server(answering(begun)) as url, pool_of() as pool:
        failure = await failure_of(pool, request("GET", url, timeout_s=SOON_S))
    assert cause_of(failure) is Cause.TIMED_OUT


async def test_a_server_that_takes_no_tls_is_told() -> None:
    bad = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bad)

    async with raw_server(handle) as url, pool_of() as pool:
        failure = await failure_of(pool, request("GET", url.replace("http:", "https:")))
    assert cause_of(failure) is Cause.NOT_TLS


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: a lot\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
)
async def test_an_answer_that_is_broken_off_or_no_http_is_a_broken_connection(
    answer: bytes,
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with raw_server(handle) as url, pool_of() as pool:
        failure = await failure_of(pool, request("GET", url))
    assert cause_of(failure) is Cause.BROKEN
    assert from_exception(failure, Attempt("reading", "GET", httpx.URL(url))).retryable


@pytest.mark.parametrize("value", ["a\r\nX-Second: b", "a\x00b"])
async def test_a_field_that_would_become_two_is_not_sent(value: str) -> None:
    async with ScriptedServer() as server, pool_of() as pool:
        failure = await failure_of(pool, request("GET", f"{server.url}/v2/", X_First=value))
        assert isinstance(failure, httpx.LocalProtocolError)
        assert server.seen == []


# ---- proxies


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_is_told_apart_from_the_registry(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"127.0.0.1:{NOTHING_LISTENS}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with pool_of(proxies=True) as pool:
        failure = await failure_of(pool, request("GET", f"{scheme}://registry.invalid/"))
    assert cause_of(failure) is Cause.PROXY


async def test_a_proxy_that_lets_nobody_through_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(refusal)) as url:
        monkeypatch.setenv("https_proxy", url)
        async with pool_of(proxies=True) as pool:
            failure = await failure_of(pool, request("GET", "https://registry.invalid/"))
    assert cause_of(failure) is Cause.PROXY
