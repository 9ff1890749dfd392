from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.notifications.event import ImageEvent
from image_promotion.web.watching import Outcome, WatchedRepository
from image_promotion.web.webhooks import MAX_BODY_BYTES, webhook_routes
from tests.unit.web.notifications import deliveries

SECRET = "canary-5ecret-of-the-webhook"
BEARER = {"Authorization": f"Bearer {SECRET}"}
PLAIN = {"repository": "dev/website", "tag": "1.0-stable"}
FORBIDDEN = b'{"detail":"Forbidden"}'


@dataclass
class Board:
    """Watches dev/* of one connection."""

    announced: list[str] = field(default_factory=list)
    error: Exception | None = None

    def watched(self) -> Sequence[WatchedRepository]:
        return [WatchedRepository(7, "dev_registry", "dev/*")]

    def announce(
        self, watched: WatchedRepository, events: Sequence[ImageEvent], source: str
    ) -> Outcome:
        assert (watched.asset_id, source) == (7, "dev_registry")
        if self.error:
            raise self.error
        self.announced += [str(event) for event in events]
        return Outcome.STARTED


@dataclass
class Server:
    """The application, asked in this process."""

    board: Board
    looked_up: list[str]
    app: FastAPI

    async def post(
        self,
        content: bytes | Iterable[bytes] | Mapping[str, object],
        headers: Mapping[str, str] = BEARER,
        connection_id: str = "dev_registry",
    ) -> httpx.Response:
        body: bytes | AsyncIterator[bytes]
        if isinstance(content, Mapping):
            body = json.dumps(content).encode()
        elif isinstance(content, bytes):
            body = content
        else:
            body = _sent_in_pieces(content)
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            return await client.post(f"/webhooks/{connection_id}", content=body, headers=headers)


async def _sent_in_pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Server:
    caplog.set_level(logging.INFO, "image_promotion.web")
    looked_up: list[str] = []
    secrets = {"dev_registry": SECRET, "silent_registry": None}

    def find(connection_id: str) -> RegistryEndpoint | None:
        looked_up.append(connection_id)
        if connection_id not in secrets:
            return None
        return RegistryEndpoint(
            connection_id, "https://registry.example.com", webhook_secret=secrets[connection_id]
        )

    board = Board()
    app = FastAPI()
    app.include_router(webhook_routes(board, find))
    return Server(board, looked_up, app)


async def test_a_push_is_announced_and_answered_with_what_became_of_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await server.post(PLAIN)

    assert answer.status_code == 202
    assert answer.json() == {
        "events": 1,
        "unwatched_repositories": 0,
        "assets": {"started": 1, "covered": 0, "idle": 0},
    }
    assert server.board.announced == ["dev/website:1.0-stable"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "webhook of dev_registry: plain, 1 events, 0 repositories that nobody watches; "
        "assets: 1 started, 0 covered, 0 idle"
    )


async def test_a_signed_body_needs_no_other_proof(server: Server) -> None:
    body = json.dumps(PLAIN).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()

    answer = await server.post(body, {"X-Hub-Signature-256": signature})
    forged = await server.post(body + b" ", {"X-Hub-Signature-256": signature})

    assert (answer.status_code, forged.status_code) == (202, 403)
    assert server.board.announced == ["dev/website:1.0-stable"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "session=of-an-administrator"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic Og=="},
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
    ],
)
@pytest.mark.parametrize("connection_id", ["dev_registry", "silent_registry", "no_such_registry"])
async def test_strangers_start_nothing_and_all_hear_the_same(
    server: Server, headers: Mapping[str, str], connection_id: str
) -> None:
    answer = await server.post(PLAIN, headers, connection_id)

    assert answer.status_code == 403
    assert answer.content == FORBIDDEN
    assert set(answer.headers) == {"content-length", "content-type"}
    assert server.board.announced == []


async def test_the_secret_of_one_connection_opens_no_other(server: Server) -> None:
    for connection_id in ("silent_registry", "no_such_registry"):
        assert (await server.post(PLAIN, BEARER, connection_id)).content == FORBIDDEN
    assert server.board.announced == []


async def test_what_can_be_no_connections_id_is_not_looked_up(server: Server) -> None:
    for connection_id in ("a%20b", "dev*", "a%0Ab", "%C3%A9", "a" * 251, "..%5C..%5Csecret"):
        answer = await server.post(PLAIN, BEARER, connection_id)
        assert answer.content == FORBIDDEN
    assert server.looked_up == []


async def test_without_any_proof_nothing_is_looked_up(server: Server) -> None:
    assert (await server.post(PLAIN, {})).content == FORBIDDEN
    assert server.looked_up == []


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_too_large_a_body_is_refused_without_being_read_to_its_end(
    server: Server, in_pieces: bool
) -> None:
    read = []

    def pieces() -> Iterable[bytes]:
        for number in range(100):
            read.append(number)
            yield b" " * (MAX_BODY_BYTES // 10)

    answer = await server.post(pieces() if in_pieces else b" " * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413
    assert answer.headers["Connection"] == "close"
    assert len(read) <= 12
    assert server.board.announced == []


async def test_a_body_at_the_limit_is_read(server: Server) -> None:
    body = json.dumps(PLAIN).encode()
    answer = await server.post(body + b" " * (MAX_BODY_BYTES - len(body)))
    assert answer.status_code == 202


@pytest.mark.parametrize("length", ["-1", "many", "\xb2", "9" * 5000])
async def test_a_length_that_is_none_breaks_nothing(server: Server, length: str) -> None:
    headers = {**BEARER, "Content-Length": length}
    request = httpx.Request(
        "POST",
        "http://airflow/webhooks/dev_registry",
        content=json.dumps(PLAIN).encode(),
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    )
    answer = await httpx.ASGITransport(server.app).handle_async_request(request)
    assert answer.status_code in {202, 413}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"{}", "of no known format"),
        (gzip.compress(b"{}", mtime=0), "it is not JSON"),
        (b"[" * 1000, "levels deep"),
        (b'{"repository": "Nobody"}', "is no repository"),
    ],
)
async def test_who_knows_the_secret_is_told_what_is_wrong_and_starts_nothing(
    server: Server, content: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await server.post(content)

    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert server.board.announced == []
    assert len(caplog.records) == 1


async def test_a_repository_that_nobody_watches_is_taken_and_starts_nothing(server: Server) -> None:
    answer = await server.post({"repository": "nobodys/website"})

    assert answer.status_code == 202
    assert answer.json()["unwatched_repositories"] == 1
    assert server.board.announced == []


async def test_while_the_database_is_busy_the_sender_is_asked_to_come_again(server: Server) -> None:
    server.board.error = OperationalError("INSERT", {}, Exception("database is locked"))

    answer = await server.post(PLAIN)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "locked" not in answer.text


async def test_neither_secret_nor_body_is_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for headers in (BEARER, {"Authorization": f"Bearer {SECRET}x"}, {}):
        for content in (PLAIN, {"canary-body": SECRET}, {"repository": 7}):
            await server.post(content, headers)

    assert len(caplog.records) == 9
    assert SECRET not in caplog.text
    assert "canary-body" not in caplog.text
    assert "1.0-stable" not in caplog.text


async def test_a_strangers_connection_id_cannot_write_lines_of_the_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.post(PLAIN, BEARER, "a%0Awebhook of dev_registry%3A fine" + "x" * 300)

    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 200


async def test_only_a_post_is_taken(server: Server) -> None:
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            answer = await client.request(method, "/webhooks/dev_registry", headers=BEARER)
            assert answer.status_code == 405
    assert server.looked_up == []


KINDS: Mapping[str, Mapping[str, object]] = {
    "distribution": deliveries.distribution(),
    "docker_hub": deliveries.docker_hub(),
    "harbor": deliveries.harbor(),
    "harbor's events": deliveries.harbor_cloud_event(),
    "dtr": deliveries.dtr(),
    "plain": PLAIN,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_is_for_those_who_know_the_secret_and_small_enough(
    server: Server, kind: str
) -> None:
    body = json.dumps(KINDS[kind]).encode()
    other = hmac.new(SECRET.encode(), body + b" ", hashlib.sha256).hexdigest()
    for proof in ({}, {"Authorization": SECRET[:-1]}, {"X-Hub-Signature-256": f"sha256={other}"}):
        answer = await server.post(body, proof)
        assert answer.status_code == 403
    assert (await server.post(body + b" " * MAX_BODY_BYTES)).status_code == 413
    assert server.board.announced == []

    assert (await server.post(body)).status_code == 202
    assert len(server.board.announced) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_delivery_that_is_replayed_says_no_more_than_the_first(
    server: Server, kind: str
) -> None:
    """A repository is looked at once more; what it holds is asked of the registry itself."""
    for _ in range(3):
        assert (await server.post(KINDS[kind])).status_code == 202
    assert len(set(server.board.announced)) == 1
