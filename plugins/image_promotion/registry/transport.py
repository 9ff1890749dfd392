"""httpx's requests over aiohttp's connections: its parser is written in C, and httpx's is not.

What goes out is what httpx says, byte for byte: no field is added, no address is written anew, no
redirect is followed, no answer is unpacked, and no request is made a second time. What fails, fails
in httpx's terms with the reason below it, so that ``failures`` need not know who makes the
connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import ContextVar
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
import httpx
from aiohttp.abc import AbstractStreamWriter, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from image_promotion.registry.destinations import DestinationError

_PIECE_BYTES = 256 * 1024
"""What one reading from a connection gives at most."""

_KEPT_S = 5.0
"""How long a connection is kept without a request."""

_RESOLVING_TIMEOUT_S = 10.0

_LONGEST_FIELD_BYTES = 64 * 1024
"""Signed addresses in Location may be longer than what aiohttp takes by itself."""

# Fields that aiohttp would add.
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class PooledTransport(httpx.AsyncBaseTransport):
    """A pool of connections, made with the first request.

    Args:
        tls: Gives how certificates are checked, when the first https address is asked; each time
            the same.
        connections: How many connections at most, to all hosts together.
        proxies: The proxy for each scheme, as ``urllib.request.getproxies`` gives them; NO_PROXY
            is kept besides.
        admitted: Tells which of the addresses of a name may be connected to, or raises a
            DestinationError.
    """

    def __init__(
        self,
        *,
        tls: Callable[[], ssl.SSLContext],
        connections: int,
        proxies: Mapping[str, str],
        admitted: Callable[[str, Iterable[str]], frozenset[str]],
    ) -> None:
        self._tls = tls
        self._connections = connections
        self._proxies = proxies
        self._admitted = admitted
        self._pool: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is still to be read from its stream.

        Args:
            request: What is asked. A body has its Content-Length.

        Returns:
            The answer; to be closed.

        Raises:
            httpx.TransportError: No answer came.
            Exception: What the request's body raised.
        """
        limits: Mapping[str, float | None] = request.extensions.get("timeout", {})
        body = _body_of(request, limits.get("write"))
        try:
            async with asyncio.timeout(None) as until_answered:
                patience = _Patience(until_answered, limits.get("read"))
                if body is not None:
                    body.written = patience.begin
                _WAITING.set(patience if body is None else None)
                answer = await self._opened().request(
                    request.method,
                    _as_written(request.url),
                    headers=[
                        (n.decode("latin-1"), v.decode("latin-1")) for n, v in request.headers.raw
                    ],
                    data=body,
                    allow_redirects=False,
                    proxy=self._proxy_to(request.url),
                    ssl=self._tls() if request.url.scheme == "https" else True,
                    timeout=aiohttp.ClientTimeout(
                        connect=limits.get("pool"),
                        sock_connect=limits.get("connect"),
                        sock_read=limits.get("read"),
                    ),
                )
        except BaseException as error:
            if body is not None:
                await body.end()
                if body.failure is not None and isinstance(error, Exception):
                    raise body.failure  # noqa: B904 - it is the reason of the other one
            if isinstance(error, DestinationError):
                raise httpx.UnsupportedProtocol(type(error).__name__) from error
            if isinstance(error, (aiohttp.ClientError, OSError, ValueError)):
                raise _in_httpx_terms(error) from _reason_of(error)
            raise
        if body is not None:
            body.written = None  # answered early: nothing is waited for any more
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=_Content(answer, body),
            request=request,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._pool is None:
            self._pool = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections,
                    keepalive_timeout=_KEPT_S,
                    resolver=_Resolver(self._admitted),
                ),
                # None are kept: registries that also have web pages take whoever sends one for a
                # browser, and want from it what only browsers have.
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_NOT_ADDED,
                auto_decompress=False,
                read_bufsize=_PIECE_BYTES,
                max_line_size=_LONGEST_FIELD_BYTES,
                max_field_size=_LONGEST_FIELD_BYTES,
                middlewares=(_once,),
                response_class=_Answer,
            )
        return self._pool

    def _proxy_to(self, url: httpx.URL) -> str | None:
        if not self._proxies or proxy_bypass(url.netloc.decode("ascii"), self._proxies):
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def hosts_of(proxies: Mapping[str, str]) -> frozenset[str]:
    """Return the hosts of proxies, by the names under which they are connected to.

    Args:
        proxies: As in `PooledTransport`.
    """
    return frozenset(
        urlsplit(url if "://" in url else f"http://{url}").hostname or ""
        for scheme, url in proxies.items()
        if scheme != "no"
    )


class _Resolver(aiohttp.ThreadedResolver):
    """The system's resolver, which aiohttp would wait for without end, and ask about any name.

    Args:
        admitted: As in `PooledTransport`.
    """

    def __init__(self, admitted: Callable[[str, Iterable[str]], frozenset[str]]) -> None:
        super().__init__()
        self._admitted = admitted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        async with asyncio.timeout(_RESOLVING_TIMEOUT_S):
            results = await super().resolve(host, port, family)
        admitted = self._admitted(host, [each["host"] for each in results])
        return [each for each in results if each["host"] in admitted]


class _Patience:
    """How long is waited for the fields of an answer, from when the request was sent.

    aiohttp's own limit is on silence, which a byte a minute never breaks; and a limit on the whole
    would count the time in which a connection of the pool is waited for.

    Args:
        timeout: Ends the waiting.
        limit_s: How long, in seconds; None for ever.
    """

    def __init__(self, timeout: asyncio.Timeout, limit_s: float | None) -> None:
        self._timeout = timeout
        self._limit_s = limit_s

    def begin(self) -> None:
        """Begin to count."""
        if self._limit_s is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._limit_s)


_WAITING: ContextVar[_Patience | None] = ContextVar("_WAITING", default=None)
"""Whose answer is waited for as soon as the request is on its way."""


class _Answer(aiohttp.ClientResponse):
    """Begins to wait where aiohttp does; its tracing would tell too, and cost a fifth of a HEAD."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the fields; see ``aiohttp.ClientResponse``."""
        patience = _WAITING.get()
        if patience is not None:
            patience.begin()
        return await super().start(connection)


class _Body(aiohttp.Payload):
    """A request's body, written by a task of aiohttp's own.

    Args:
        pieces: The body.
        limit_s: How long the other side may take none of it, in seconds; None for ever.
    """

    def __init__(self, pieces: httpx.AsyncByteStream, limit_s: float | None) -> None:
        super().__init__(pieces)
        self._pieces = pieces
        self._limit_s = limit_s
        self._ended: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.written: Callable[[], None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether pieces are still being read and written."""
        return self._ended is not None and not self._ended.is_set()

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body; see ``aiohttp.Payload``.

        A piece goes when there is another one or the body has come to its end: so the last bytes of
        what turns out at the end to be wrong are never sent.
        """
        self._ended = asyncio.Event()
        try:
            held = b""
            async for piece in self._told():
                await self._put(writer, held)
                held = piece
            await self._put(writer, held)
            if self.written is not None:
                self.written()
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Wait until nothing reads the pieces any more, once the request is over."""
        if self._ended is not None:
            await self._ended.wait()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse to be text; see ``aiohttp.Payload``."""
        del encoding, errors
        raise TypeError("a body that is streamed is not text")

    async def _told(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
        except Exception as error:
            self.failure = error
            raise

    async def _put(self, writer: AbstractStreamWriter, piece: bytes) -> None:
        if piece:
            async with asyncio.timeout(self._limit_s):
                await writer.write(piece)


class _Content(httpx.AsyncByteStream):
    """An answer's body."""

    def __init__(self, answer: aiohttp.ClientResponse, sent: _Body | None) -> None:
        self._answer = answer
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._answer.content.readany():
                yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise _in_httpx_terms(error) from _reason_of(error)

    async def aclose(self) -> None:
        """Give the connection back; close it where something of the body is left."""
        if self._sent is not None and self._sent.is_under_way:
            # Answered early: nobody wants the rest.
            self._answer.close()
            await self._sent.end()
        else:
            self._answer.release()


async def _once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp repeats those that fail with errors of its own."""
    try:
        return await send(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _in_httpx_terms(error) from _reason_of(error)


def _body_of(request: httpx.Request, limit_s: float | None) -> _Body | None:
    """Return what there is to write. A stream is read even where it should give nothing: it may."""
    stream = request.stream
    is_kept = isinstance(stream, httpx.ByteStream)
    if is_kept and request.headers.get("content-length", "0") == "0":
        return None
    return _Body(stream, limit_s) if isinstance(stream, httpx.AsyncByteStream) else None


def _as_written(url: httpx.URL) -> URL:
    """Give aiohttp a URL: escaped as it came, since registries sign theirs; and without a login.

    A login in a stranger's URL would be sent.
    """
    return URL(
        f"{url.scheme}://{(url.netloc + url.raw_path).decode('ascii')}",
        encoded=True,
    )


def _in_httpx_terms(error: BaseException) -> httpx.TransportError:
    for kind, term in _TERMS:
        if isinstance(error, kind):
            return term(type(error).__name__)
    return httpx.ReadError(type(error).__name__)


def _reason_of(error: BaseException) -> BaseException:
    """Return what a connection failed of: aiohttp's own error says the same with less in it."""
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error


# The first one that fits.
_TERMS: tuple[tuple[type[BaseException], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (TimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
    # What aiohttp says of fields that cannot be sent.
    (ValueError, httpx.LocalProtocolError),
)
