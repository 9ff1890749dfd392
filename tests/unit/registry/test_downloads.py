"""Blobs whose connection breaks while they are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from image_promotion.errors import (
    ContentMismatchError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    UnreachableError,
)
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.retry import DEFAULT_RULES, NO_RETRY, RetryRules
from tests.support.scripted_server import Reply, ScriptedServer, Seen

BYTES = b"".join(number.to_bytes(4, "big") for number in range(2000))
BLOB = Descriptor("application/octet-stream", Digest.of(BYTES), len(BYTES))
LINE = f"GET /v2/a/blobs/{BLOB.digest}"
BROKEN = Reply(200, BYTES, {"ETag": '"v1"'}, cut_after_bytes=3000)


async def no_pause(_pause_s: float) -> None:
    pass


def client_of(server: ScriptedServer, rules: RetryRules = DEFAULT_RULES) -> RegistryClient:
    return RegistryClient(RegistryEndpoint("c", server.url), retry=rules, sleep=no_pause)


async def read(client: RegistryClient) -> bytes:
    async with client.open_blob("a", BLOB) as content:
        return b"".join([piece async for piece in content])


def start_of(seen: Seen) -> int:
    unit, _, start = seen.headers["range"].partition("=")
    assert unit == "bytes"
    assert start.endswith("-")
    return int(start[:-1])


def rest(seen: Seen, *, cut_after_bytes: int | None = None) -> Reply:
    start = start_of(seen)
    whole = len(BYTES)
    return Reply(
        206,
        BYTES[start:],
        {"Content-Range": f"bytes {start}-{whole - 1}/{whole}"},
        cut_after_bytes=cut_after_bytes,
    )


async def test_a_blob_that_breaks_is_read_on_from_where_it_broke() -> None:
    async with ScriptedServer().on(LINE, BROKEN, rest) as server, client_of(server) as client:
        assert await read(client) == BYTES
        assert start_of(server.seen[1]) == 3000
        assert server.seen[1].headers["if-range"] == '"v1"'


async def test_a_weak_validator_is_not_repeated() -> None:
    broken = Reply(200, BYTES, {"ETag": 'W/"v1"'}, cut_after_bytes=3000)
    async with ScriptedServer().on(LINE, broken, rest) as server, client_of(server) as client:
        assert await read(client) == BYTES
        assert "if-range" not in server.seen[1].headers


async def test_it_may_break_several_times() -> None:
    def broken_rest(seen: Seen) -> Reply:
        return rest(seen, cut_after_bytes=1000)

    server = ScriptedServer().on(LINE, BROKEN, broken_rest, broken_rest, rest)
    async with server, client_of(server) as client:
        assert await read(client) == BYTES
        assert [start_of(seen) for seen in server.seen[1:]] == [3000, 4000, 5000]


async def test_a_registry_without_ranges_sends_all_and_the_beginning_is_thrown_away() -> None:
    server = ScriptedServer().on(LINE, BROKEN, BROKEN, Reply(200, BYTES))
    async with server, client_of(server) as client:
        assert await read(client) == BYTES


async def test_a_blob_that_never_gets_on_ends_in_the_error_of_the_connection() -> None:
    async with ScriptedServer().on(LINE, BROKEN) as server, client_of(server) as client:
        with pytest.raises(UnreachableError) as caught:
            await read(client)
        assert caught.value.was_retried
        assert len(server.seen) == DEFAULT_RULES.attempts


async def test_whoever_wants_no_second_try_gets_none() -> None:
    async with ScriptedServer().on(LINE, BROKEN) as server, client_of(server, NO_RETRY) as client:
        with pytest.raises(UnreachableError):
            await read(client)
        assert len(server.seen) == 1


async def test_only_failures_without_progress_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_promotion.registry.retry.ACHIEVEMENT_BYTES", 500)
    often: list[Callable[[Seen], Reply]] = [lambda seen: rest(seen, cut_after_bytes=500)] * 9
    server = ScriptedServer().on(LINE, BROKEN, *often, rest)
    async with server, client_of(server) as client:
        assert await read(client) == BYTES
        assert len(server.seen) == 11


async def test_a_connection_that_breaks_after_the_last_byte_has_brought_all() -> None:
    chunk = f"{len(BYTES):x}\r\n".encode() + BYTES + b"\r\n"
    endless = Reply(
        200,
        chunk,
        {"Transfer-Encoding": "chunked", "Content-Length": ""},
        cut_after_bytes=len(chunk),
    )
    async with ScriptedServer().on(LINE, endless) as server, client_of(server) as client:
        assert await read(client) == BYTES
        assert len(server.seen) == 1


def other_bytes(seen: Seen) -> Reply:
    start = start_of(seen)
    return Reply(
        206,
        bytes(len(BYTES) - start),
        {"Content-Range": f"bytes {start}-{len(BYTES) - 1}/{len(BYTES)}"},
    )


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        pytest.param(other_bytes, ContentMismatchError, id="other bytes"),
        pytest.param(Reply(416), ContentMismatchError, id="shorter than that"),
        pytest.param(Reply(404), NotFoundError, id="gone"),
        pytest.param(Reply(200, BYTES[:-1]), ContentMismatchError, id="another size"),
        pytest.param(
            Reply(206, BYTES[3000:], {"Content-Range": "bytes 3000-7999/8001"}),
            ContentMismatchError,
            id="part of another size",
        ),
        pytest.param(
            Reply(206, BYTES[2000:], {"Content-Range": "bytes 2000-7999/8000"}),
            ProtocolViolationError,
            id="another part",
        ),
        pytest.param(
            Reply(206, BYTES[3000:4000], {"Content-Range": "bytes 3000-3999/8000"}),
            ProtocolViolationError,
            id="a smaller part",
        ),
        pytest.param(Reply(206, BYTES[3000:]), ProtocolViolationError, id="some part"),
    ],
)
async def test_a_blob_that_is_another_one_the_second_time_is_refused(
    second: Reply | Callable[[Seen], Reply], kind: type[PromotionError]
) -> None:
    async with ScriptedServer().on(LINE, BROKEN, second) as server, client_of(server) as client:
        with pytest.raises(PromotionError) as caught:
            await read(client)
        assert type(caught.value) is kind
        assert not caught.value.retryable
        assert caught.value.subject.digest == str(BLOB.digest)
        assert len(server.seen) == 2


async def test_the_registry_is_asked_again_and_not_the_storage_that_it_named() -> None:
    """Its addresses expire, and its token is renewed."""
    async with ScriptedServer() as storage, ScriptedServer() as server, client_of(server) as client:
        storage.on("GET /first", BROKEN).on("GET /second", rest)
        server.on(
            LINE,
            *(
                Reply(307, headers={"Location": f"{storage.url}/{name}"})
                for name in ("first", "second")
            ),
        )
        assert await read(client) == BYTES
        assert storage.lines() == ["GET /first", "GET /second"]
