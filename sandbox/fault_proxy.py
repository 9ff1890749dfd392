"""A reverse proxy on loopback in front of a registry, which breaks what it is told to break.

Everything passes, piece by piece, until a rule matches a request; then its fault happens. What has
passed is remembered in order. URLs that lead to the registry are turned back to the proxy, so that
uploads stay in it. It speaks plain HTTP on both sides.

Connections can be broken before any request: refused by the system, since nobody listens, or reset
as soon as they are made.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from sandbox.faults import BrokenOffError, Fault, Head
from sandbox.ports import LOOPBACK

_PIECE_BYTES = 64 * 1024
_LONGEST_LINE = 64 * 1024
_REGISTRY_TIMEOUT_S = 60.0

# Close with a reset (RST) and not with an end (FIN): socket(7), SO_LINGER with a timeout of 0.
_RESET = struct.pack("ii", 1, 0)

# RFC 9110, "Connection": these concern one connection only. Host is written anew for the registry.
_NOT_PASSED_ON = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "expect", "host"),
    }
)


@dataclass(slots=True)
class Exchange:
    """A request that came, and what became of it.

    `status` is None until an answer's head was sent, and stays so when none was.
    """

    method: str
    target: str
    status: int | None = None
    request_bytes: int = 0
    answer_bytes: int = 0
    fault: Fault | None = None

    @property
    def line(self) -> str:
        """The method and the target: ``GET /v2/``."""
        return f"{self.method} {self.target}"


Observer = Callable[[Exchange, Head | None], None]
"""Told of each exchange twice: when a request has come, without a head, and when the registry has
answered it, with the head of that answer, whether or not the client gets to see it."""


@dataclass(slots=True)
class _Rule:
    method: str
    target: re.Pattern[str]
    fault: Fault
    skip: int
    times: int | None

    def applies(self, exchange: Exchange) -> bool:
        """Say whether it is this one's turn, and count it."""
        if self.times == 0 or exchange.method != self.method:
            return False
        if not self.target.search(exchange.target):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultProxy:
    """Passes requests on while its context is open; start it in front of a running registry.

    Args:
        registry_url: Where requests are passed on to: ``http://host:port``.
        keeps_connections: Whether a connection serves more than one request; if not, each answer
            says so and is the connection's last.

    Attributes:
        observer: Who is told of each exchange; None for nobody.

    Raises:
        ValueError: The URL is not plain HTTP.
    """

    def __init__(self, registry_url: str, *, keeps_connections: bool = True) -> None:
        if not registry_url.startswith("http://"):
            raise ValueError(f"{registry_url} is not reached by plain HTTP")
        self.registry_url = registry_url.rstrip("/")
        self.keeps_connections = keeps_connections
        self.observer: Observer | None = None
        self._resets: set[int] = set()
        self._connections = 0
        self._rules: list[_Rule] = []
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def host(self) -> str:
        """Its address as image references have it: ``127.0.0.1:40123``."""
        return f"{LOOPBACK}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Its URL, without a final slash."""
        return f"http://{self.host}"

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All requests so far, in the order in which they came."""
        with self._lock:
            return tuple(self._exchanges)

    def lines(self) -> list[str]:
        """The methods and targets of all requests so far."""
        return [exchange.line for exchange in self.exchanges]

    def on(
        self, method: str, target: str, fault: Fault, *, skip: int = 0, times: int | None = 1
    ) -> Self:
        """Plan a fault; of several rules that match, the one planned first happens.

        Args:
            method: The requests' method.
            target: A regular expression, searched for in path and query.
            fault: What happens.
            skip: How many matching requests pass before.
            times: How many requests it happens to; None for all.

        Returns:
            The proxy.
        """
        with self._lock:
            self._rules.append(_Rule(method, re.compile(target), fault, skip, times))
        return self

    def refuse_connections(self) -> None:
        """Listen no longer, so that the system refuses new connections; those there are stay."""
        self._server.refuse()

    def take_connections(self) -> None:
        """Listen again, at the same port."""
        self._server.listen()

    def reset_connection(self, *, skip: int = 0) -> None:
        """Plan that a connection is reset as soon as it is made.

        Args:
            skip: How many new connections are let in before.
        """
        with self._lock:
            self._resets.add(self._connections + skip)

    def heal(self) -> None:
        """Forget all rules and release what is held; from now on everything passes."""
        with self._lock:
            rules, self._rules = self._rules, []
            self._resets.clear()
        for rule in rules:
            rule.fault.release()
        self.take_connections()

    def forget(self) -> None:
        """Forget which requests have come."""
        with self._lock:
            self._exchanges.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.heal()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def is_let_in(self) -> bool:
        """Count a connection, and say whether it may stay."""
        with self._lock:
            number = self._connections
            self._connections += 1
            if number not in self._resets:
                return True
            self._resets.remove(number)
            return False

    def arrived(self, exchange: Exchange) -> Fault:
        """Note a request and give what happens to it."""
        with self._lock:
            self._exchanges.append(exchange)
            exchange.fault = next((r.fault for r in self._rules if r.applies(exchange)), None)
        if self.observer is not None:
            self.observer(exchange, None)
        return exchange.fault or Fault()

    def answered(self, exchange: Exchange, head: Head) -> None:
        """Learn what the registry itself answered."""
        if self.observer is not None:
            self.observer(exchange, head)


class _Server(socketserver.ThreadingTCPServer):
    """Takes connections, a thread for each, and hangs all of them up at the end."""

    daemon_threads = False  # so that server_close waits for the threads
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, proxy: FaultProxy) -> None:
        self._listens = threading.Event()
        super().__init__((LOOPBACK, 0), _Connection)
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listens.set()

    def server_bind(self) -> None:
        """Take a free port by its number: the kernel takes back one that it chose itself.

        A socket that no longer listens keeps a port that it asked for, so nobody else gets it.
        """
        with socket.socket() as finder:
            finder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            finder.bind(self.server_address)
            self.server_address = finder.getsockname()
            super().server_bind()

    def refuse(self) -> None:
        self._listens.clear()
        self.socket.shutdown(socket.SHUT_RDWR)  # Linux: it listens no more, and stays bound

    def listen(self) -> None:
        if not self._listens.is_set():
            self.socket.listen(self.request_queue_size)
            self._listens.set()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, or raise OSError, which makes the server wait for the next one."""
        if not self._listens.is_set():
            self._listens.wait()  # poll() would not
            raise OSError("it has just begun to listen again")
        connection, address = super().get_request()
        if not self.proxy.is_let_in():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()
            raise ConnectionResetError
        return connection, address

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def hang_up(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    """One client's connection, request after request."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        self.server.opened(self.connection)
        try:
            # Either side may go away at any moment; that is what this proxy is for.
            with suppress(OSError, http.client.HTTPException):
                while self._serve_one():
                    pass
        finally:
            self.server.closed(self.connection)

    def _serve_one(self) -> bool:
        line = self.rfile.readline(_LONGEST_LINE).decode("latin-1").split()
        if len(line) != 3:  # noqa: PLR2004 - RFC 9112, "Request Line": method, target, version
            return False
        headers = http.client.parse_headers(self.rfile)
        exchange = Exchange(line[0], line[1])
        fault = self.server.proxy.arrived(exchange)
        own = fault.instead()
        if own is not None:
            head, body = own
            exchange.request_bytes = sum(map(len, _body(self.rfile, headers)))
            self._answer(exchange, head, iter([body]))
        else:
            self._pass_on(exchange, headers, fault)
        if not self.server.proxy.keeps_connections:
            return False
        return str(headers.get("Connection", "")).lower() != "close"

    def _pass_on(self, exchange: Exchange, headers: http.client.HTTPMessage, fault: Fault) -> None:
        """Ask the registry, over a connection of its own: a kept one may be broken already."""
        url = self.server.proxy.registry_url
        registry = http.client.HTTPConnection(
            urlsplit(url).netloc, timeout=_REGISTRY_TIMEOUT_S, blocksize=_PIECE_BYTES
        )
        try:
            registry.putrequest(exchange.method, exchange.target, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    registry.putheader(name, value)
            is_chunked = _is_chunked(headers)
            if is_chunked:
                registry.putheader("Transfer-Encoding", "chunked")
            registry.endheaders()
            for piece in fault.request(_body(self.rfile, headers)):
                registry.send(_chunk(piece) if is_chunked else piece)
                exchange.request_bytes += len(piece)
            if is_chunked:
                registry.send(_LAST_CHUNK)
            with registry.getresponse() as response:
                head = Head(response.status, self._turned_back(response))
                self.server.proxy.answered(exchange, head)
                self._answer(exchange, fault.head(head), fault.answer(_pieces(response)))
        finally:
            registry.close()

    def _turned_back(self, response: http.client.HTTPResponse) -> tuple[tuple[str, str], ...]:
        """Give the answer's fields with the proxy in place of the registry."""
        proxy = self.server.proxy
        return tuple(
            (name, value.replace(proxy.registry_url, proxy.url))
            for name, value in response.getheaders()
            if name.lower() not in _NOT_PASSED_ON
        )

    def _answer(self, exchange: Exchange, head: Head, pieces: Iterator[bytes]) -> None:
        names = {name.lower() for name, _ in head.headers}
        has_no_body = exchange.method == "HEAD" or head.status in {204, 304}
        is_chunked = "content-length" not in names and not has_no_body
        fields = [*head.headers, *([("Transfer-Encoding", "chunked")] if is_chunked else [])]
        if not self.server.proxy.keeps_connections:
            fields.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {head.status} {http.client.responses.get(head.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in fields]
        exchange.status = head.status
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if has_no_body:
            return
        for piece in pieces:
            exchange.answer_bytes += len(piece)  # before the client can know that all has come
            self.wfile.write(_chunk(piece) if is_chunked else piece)
        if is_chunked:
            self.wfile.write(_LAST_CHUNK)


_LAST_CHUNK = b"0\r\n\r\n"


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _is_chunked(headers: http.client.HTTPMessage) -> bool:
    return str(headers.get("Transfer-Encoding", "")).lower() == "chunked"


def _body(stream: io.BufferedIOBase, headers: http.client.HTTPMessage) -> Iterator[bytes]:
    """Give a request's body piece by piece, as it comes."""
    if not _is_chunked(headers):
        yield from _exactly(stream, int(headers.get("Content-Length", "0")))
        return
    while size := int(stream.readline(_LONGEST_LINE).partition(b";")[0], 16):
        yield from _exactly(stream, size)
        stream.readline(_LONGEST_LINE)
    while stream.readline(_LONGEST_LINE).strip():
        pass  # trailers


def _exactly(stream: io.BufferedIOBase, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left:
        # Not read: it would wait for a whole piece before passing on what is there.
        piece = stream.read1(min(left, _PIECE_BYTES))
        if not piece:
            raise BrokenOffError
        left -= len(piece)
        yield piece


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read1(_PIECE_BYTES):
        yield piece
    if response.length:  # read1 does not mind that a body ends too early
        raise BrokenOffError
