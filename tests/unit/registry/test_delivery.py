"""Blobs whose connection breaks while they are sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from image_promotion.errors import (
    ContentMismatchError,
    DeniedError,
    PromotionError,
    RateLimitedError,
    RegistryError,
    UnreachableError,
)
from image_promotion.registry import delivery
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.retry import DEFAULT_RULES
from tests.support.scripted_server import Reply, ScriptedServer, Seen

BYTES = b"".join(number.to_bytes(4, "big") for number in range(2000))
BLOB = Descriptor("application/octet-stream", Digest.of(BYTES), len(BYTES))
BEGIN = "POST /v2/a/blobs/uploads/"
STATE = "/up/1?_state=a%3D%3D&x"
FINISH = f"PUT {STATE}&digest={BLOB.digest}"
BEGUN = Reply(202, headers={"Location": STATE})
NEVER = Reply(never=True)
CREATED = Reply(201)
HEAD = f"HEAD /v2/a/blobs/{BLOB.digest}"


class Pauses:
    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, pause_s: float) -> None:
        self.asked.append(pause_s)


class Source:
    """Bytes that can be opened anywhere; notes where they were."""

    def __init__(
        self,
        content: bytes = BYTES,
        the_second_time: bytes | None = None,
        *,
        error: PromotionError | None = None,
    ) -> None:
        self.content = content
        self.the_second_time = content if the_second_time is None else the_second_time
        self.error = error
        self.opened_at: list[int] = []

    @asynccontextmanager
    async def open(self, offset_bytes: int) -> AsyncGenerator[AsyncIterator[bytes], None]:
        self.opened_at.append(offset_bytes)
        content = self.content if len(self.opened_at) == 1 else self.the_second_time
        yield self._pieces(content[offset_bytes:])

    async def _pieces(self, content: bytes) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(content), 700):
            yield content[start : start + 700]
            if self.error is not None:
                raise self.error


def client_of(server: ScriptedServer, pauses: Pauses | None = None) -> RegistryClient:
    return RegistryClient(RegistryEndpoint("c", server.url), sleep=pauses or Pauses())


def arrived(size_bytes: int, location: str = STATE) -> Reply:
    last = max(0, size_bytes - 1)
    return Reply(204, headers={"Range": f"0-{last}", "Location": location})


def body_of(server: ScriptedServer, line: str) -> list[bytes]:
    return [seen.body for seen in server.seen if seen.line == line]


async def test_a_blob_goes_in_two_requests_when_nothing_breaks() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, CREATED)
        await client.upload_blob("a", BLOB, Source())
        assert server.lines() == [BEGIN, FINISH]
        assert server.seen[-1].body == BYTES
        assert "content-range" not in server.seen[-1].headers


async def test_a_broken_upload_goes_on_from_what_has_arrived() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        moved = f"{server.url}/up/1?_state=b"
        server.on(BEGIN, BEGUN).on(FINISH, NEVER).on(f"GET {STATE}", arrived(3000, moved))
        server.on(f"PUT /up/1?_state=b&digest={BLOB.digest}", CREATED)
        source = Source()
        await client.upload_blob("a", BLOB, source)
        last = server.seen[-1]
        assert last.body == BYTES[3000:]
        assert last.headers["content-range"] == "3000-7999"
        assert source.opened_at == [0, 3000]


@pytest.mark.parametrize("size_bytes", [0, 8000])
async def test_none_or_all_may_have_arrived(size_bytes: int) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, NEVER, CREATED)
        server.on(f"GET {STATE}", arrived(size_bytes))
        await client.upload_blob("a", BLOB, Source())
        assert server.lines() == [BEGIN, FINISH, f"GET {STATE}", FINISH]
        assert server.seen[-1].body == BYTES[size_bytes:]
        assert "content-range" not in server.seen[-1].headers


@pytest.mark.parametrize("status", [404, 400, 416])
async def test_an_upload_that_is_lost_begins_anew(status: int) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        second = "/up/2"
        server.on(BEGIN, BEGUN, Reply(202, headers={"Location": second}))
        server.on(FINISH, NEVER).on(f"GET {STATE}", Reply(status)).on(HEAD, Reply(404))
        server.on(f"DELETE {STATE}", Reply(404))
        server.on(f"PUT {second}?digest={BLOB.digest}", CREATED)
        await client.upload_blob("a", BLOB, Source())
        assert server.seen[-1].body == BYTES


@pytest.mark.parametrize("status", [404, 416])
async def test_an_upload_that_is_gone_when_the_bytes_come_begins_anew(status: int) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(status), CREATED).on(HEAD, Reply(404))
        server.on(f"DELETE {STATE}", Reply(404))
        await client.upload_blob("a", BLOB, Source())
        assert server.lines().count(BEGIN) == 2


async def test_a_registry_that_loses_every_upload_is_not_asked_for_ever() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(404)).on(HEAD, Reply(404))
        server.on(f"DELETE {STATE}", Reply(404))
        with pytest.raises(RegistryError, match="lost what had arrived") as caught:
            await client.upload_blob("a", BLOB, Source())
        assert (caught.value.status, caught.value.retryable) == (404, True)
        assert caught.value.was_retried
        assert server.lines().count(BEGIN) == DEFAULT_RULES.attempts


async def test_a_blob_whose_last_answer_was_lost_is_not_sent_again() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, NEVER).on(f"GET {STATE}", Reply(404))
        server.on(HEAD, Reply(200, BYTES))
        await client.upload_blob("a", BLOB, Source())
        assert server.lines() == [BEGIN, FINISH, f"GET {STATE}", HEAD]


async def test_a_pause_that_the_registry_asks_for_is_kept() -> None:
    pauses = Pauses()
    async with ScriptedServer() as server, client_of(server, pauses) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(429, headers={"Retry-After": "7"}), CREATED)
        server.on(f"GET {STATE}", arrived(0))
        await client.upload_blob("a", BLOB, Source())
        assert 7 <= pauses.asked[0] < 8


async def test_a_registry_that_asks_to_slow_down_again_and_again_is_obeyed_in_the_end() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(429)).on(f"GET {STATE}", arrived(0))
        server.on(f"DELETE {STATE}", Reply(204))
        with pytest.raises(RateLimitedError):
            await client.upload_blob("a", BLOB, Source())
        assert server.lines().count(FINISH) == DEFAULT_RULES.attempts
        assert server.lines()[-1] == f"DELETE {STATE}"


async def test_what_is_refused_is_not_sent_again() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(403)).on(f"DELETE {STATE}", Reply(204))
        with pytest.raises(DeniedError):
            await client.upload_blob("a", BLOB, Source())
        assert server.lines() == [BEGIN, FINISH, f"DELETE {STATE}"]


async def test_bytes_that_the_registry_finds_wrong_are_a_mismatch() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        wrong = Reply.of_json({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
        server.on(BEGIN, BEGUN).on(FINISH, wrong).on(f"DELETE {STATE}", Reply(204))
        with pytest.raises(ContentMismatchError):
            await client.upload_blob("a", BLOB, Source())
        assert server.lines().count(FINISH) == 1


async def test_what_was_put_together_wrongly_is_sent_in_one_piece() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        wrong = Reply.of_json({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
        server.on(BEGIN, BEGUN).on(FINISH, NEVER, wrong, CREATED).on(HEAD, Reply(404))
        server.on(f"GET {STATE}", arrived(3000)).on(f"DELETE {STATE}", Reply(204))
        await client.upload_blob("a", BLOB, Source())
        assert body_of(server, FINISH) == [BYTES, BYTES[3000:], BYTES]


@pytest.mark.parametrize("reply", [arrived(9000), Reply(204, headers={"Range": "nonsense"})])
async def test_a_registry_that_says_nonsense_about_what_has_arrived_gets_all_again(
    reply: Reply,
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, NEVER, CREATED).on(HEAD, Reply(404))
        server.on(f"GET {STATE}", reply).on(f"DELETE {STATE}", Reply(204))
        await client.upload_blob("a", BLOB, Source())
        assert body_of(server, FINISH) == [BYTES, BYTES]


@pytest.mark.parametrize("retryable", [True, False])
async def test_an_error_of_the_source_ends_the_upload_and_passes(retryable: bool) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(f"DELETE {STATE}", Reply(204))
        broken = UnreachableError("the source broke", retryable=retryable)
        with pytest.raises(UnreachableError) as caught:
            await client.upload_blob("a", BLOB, Source(error=broken))
        assert caught.value is broken
        assert server.lines() == [BEGIN, f"DELETE {STATE}"]


# ---- chunks


@pytest.fixture
def chunks_of_three_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "CHUNK_BYTES", 3000)


def taken(seen: Seen) -> Reply:
    """Take a chunk, and say so as a registry does."""
    _, _, last = seen.headers["content-range"].partition("-")
    return Reply(202, headers={"Range": f"0-{last}", "Location": STATE})


def chunks_of(server: ScriptedServer) -> list[str]:
    return [seen.headers["content-range"] for seen in server.seen if seen.method == "PATCH"]


@pytest.mark.usefixtures("chunks_of_three_thousand")
async def test_what_a_proxy_finds_too_large_goes_in_chunks() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(413, b"<html>"), CREATED)
        server.on(f"DELETE {STATE}", Reply(204)).on(f"PATCH {STATE}", taken)
        source = Source()
        await client.upload_blob("a", BLOB, source)
        assert chunks_of(server) == ["0-2999", "3000-5999"]
        assert b"".join(body_of(server, f"PATCH {STATE}")) + server.seen[-1].body == BYTES
        assert server.seen[-1].headers["content-range"] == "6000-7999"
        assert source.opened_at == [0, 0]


@pytest.mark.usefixtures("chunks_of_three_thousand")
async def test_chunks_are_as_large_as_the_registry_wants_them() -> None:
    begun = Reply(202, headers={"Location": STATE, "OCI-Chunk-Min-Length": "5000"})
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, begun).on(FINISH, Reply(413), CREATED)
        server.on(f"DELETE {STATE}", Reply(204)).on(f"PATCH {STATE}", taken)
        await client.upload_blob("a", BLOB, Source())
        assert chunks_of(server) == ["0-4999"]


async def test_what_is_too_large_and_smaller_than_a_chunk_is_refused() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(413)).on(f"DELETE {STATE}", Reply(204))
        with pytest.raises(RegistryError) as caught:
            await client.upload_blob("a", BLOB, Source())
        assert caught.value.status == 413


@pytest.mark.usefixtures("chunks_of_three_thousand")
async def test_a_large_blob_that_was_lost_once_goes_in_chunks() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, NEVER, CREATED).on(HEAD, Reply(404))
        server.on(f"GET {STATE}", Reply(404)).on(f"DELETE {STATE}", Reply(404))
        server.on(f"PATCH {STATE}", taken)
        await client.upload_blob("a", BLOB, Source())
        assert chunks_of(server) == ["0-2999", "3000-5999"]


@pytest.mark.usefixtures("chunks_of_three_thousand")
async def test_a_chunk_that_breaks_goes_on_from_what_has_arrived() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(413), CREATED)
        server.on(f"DELETE {STATE}", Reply(204)).on(f"PATCH {STATE}", taken, NEVER, taken)
        server.on(f"GET {STATE}", arrived(4000))
        source = Source()
        await client.upload_blob("a", BLOB, source)
        assert chunks_of(server) == ["0-2999", "3000-5999", "4000-6999"]
        assert server.seen[-1].body == BYTES[7000:]
        assert source.opened_at == [0, 0, 4000]


@pytest.mark.usefixtures("chunks_of_three_thousand")
async def test_a_chunk_of_which_a_part_is_kept_goes_on_from_there() -> None:
    part = Reply(202, headers={"Range": "0-999", "Location": STATE})
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(413), CREATED)
        server.on(f"DELETE {STATE}", Reply(204)).on(f"PATCH {STATE}", part, taken)
        server.on(f"GET {STATE}", arrived(1000))
        await client.upload_blob("a", BLOB, Source())
        assert chunks_of(server) == ["0-2999", "1000-3999", "4000-6999"]


@pytest.mark.usefixtures("chunks_of_three_thousand")
@pytest.mark.parametrize("content", [BYTES[:-1], BYTES[:2000], BYTES + b"x"])
async def test_a_source_that_is_of_another_length_the_second_time_does_not_become_a_blob(
    content: bytes,
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(BEGIN, BEGUN).on(FINISH, Reply(413), CREATED)
        server.on(f"DELETE {STATE}", Reply(204)).on(f"PATCH {STATE}", taken)
        with pytest.raises(ContentMismatchError):
            await client.upload_blob("a", BLOB, Source(BYTES, content))
        assert body_of(server, FINISH) == [BYTES]  # which was answered 413
