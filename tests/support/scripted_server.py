"""An HTTP server on loopback that answers by plan, and remembers what it was asked.

It is strict: a request that nobody planned is answered 418 and fails the test when the server ends.
It is for what no real registry does on demand: lies, loops, broken connections.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """The method and the target, as plans name them."""
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Args:
        status: The HTTP status.
        body: The body.
        headers: Header fields; a Content-Length is added unless one stands here; empty ones are
            not sent.
        cut_after_bytes: After so many bytes of the body the connection is closed; None for never.
        never: Whether the connection is closed without an answer.
        trickles: What is sent a byte at a time with a pause after each: ``head`` for the answer's
            fields, ``body`` for its body; empty for nothing.
        endless: Whether the body is sent again and again, until the other side has enough.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None
    never: bool = False
    trickles: Literal["", "head", "body"] = ""
    endless: bool = False

    @classmethod
    def of_json(cls, document: object, status: int = 200, **headers: str) -> Reply:
        """A JSON document; underscores in header names become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(
            status, json.dumps(document).encode(), {"Content-Type": "application/json", **named}
        )


_TRICKLE_S = 0.02

Plan = Reply | Callable[[Seen], Reply]


class ScriptedServer:
    """Serves on a free loopback port while its context is open.

    Args:
        tls: How it speaks TLS; None for plain HTTP.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._plans: dict[str, list[Plan]] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.seen: list[Seen] = []
        self.unplanned: list[Seen] = []

    def on(self, line: str, *plans: Plan) -> Self:
        """Plan the answers to a request, such as ``GET /v2/``: one each time, the last for ever."""
        self._plans.setdefault(line, []).extend(plans)
        return self

    def forget(self) -> None:
        """Forget all plans, to make others."""
        self._plans.clear()

    @property
    def host(self) -> str:
        """The host and port."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        """The URL, without a final slash."""
        return f"{'http' if self._tls is None else 'https'}://{self.host}"

    def lines(self) -> list[str]:
        """The requests seen so far, as plans name them."""
        return [seen.line for seen in self.seen]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1024 * 1024
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if error is None:
            assert not self.unplanned, [seen.line for seen in self.unplanned]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while await self._serve_one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(method, target, headers, body)
        self.seen.append(seen)
        reply = self._reply(seen)
        if reply.never:
            return False
        fields = {"Content-Length": str(len(reply.body)), **reply.headers}
        answer = f"HTTP/1.1 {reply.status} Planned\r\n".encode()
        for name, value in fields.items():
            if value:
                answer += f"{name}: {value}\r\n".encode()
        await _put(writer, answer + b"\r\n", slowly=reply.trickles == "head")
        if method != "HEAD":
            body = reply.body[: reply.cut_after_bytes]
            await _put(writer, body, slowly=reply.trickles == "body")
            while reply.endless:
                await _put(writer, body, slowly=False)
        return reply.cut_after_bytes is None

    def _reply(self, seen: Seen) -> Reply:
        plans = self._plans.get(seen.line)
        if not plans:
            self.unplanned.append(seen)
            return Reply(418)
        plan = plans.pop(0) if len(plans) > 1 else plans[0]
        return plan if isinstance(plan, Reply) else plan(seen)


async def _put(writer: asyncio.StreamWriter, content: bytes, *, slowly: bool) -> None:
    if not slowly:
        writer.write(content)
        await writer.drain()
        return
    for byte in content:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(_TRICKLE_S)
