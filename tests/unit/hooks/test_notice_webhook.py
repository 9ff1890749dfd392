"""Connections as webhooks that take messages, and what is said when they do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from image_promotion.errors import ConnectionSettingsError, DeliveryError
from image_promotion.hooks.notice_webhook import NoticeWebhook, find_webhook
from tests.support.scripted_server import Reply, ScriptedServer

SECRET = "/services/canary-5ecret"


def connected(monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object]) -> NoticeWebhook:
    document = {"conn_type": "http", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(document))
    return find_webhook("chat")


@pytest.mark.parametrize(
    ("fields", "url", "authorization"),
    [
        ({"password": f"https://chat.example{SECRET}"}, f"https://chat.example{SECRET}", ""),
        ({"password": "https://a.example/b", "host": "c.example"}, "https://a.example/b", ""),
        ({"host": "chat.example"}, "https://chat.example", ""),
        (
            {"host": "chat.example", "schema": "http", "port": 8065, "extra": {"path": "/hooks/x"}},
            "http://chat.example:8065/hooks/x",
            "",
        ),
        ({"host": "http://chat.example/hooks/"}, "http://chat.example/hooks", ""),
        ({"host": "chat.example", "password": "token"}, "https://chat.example", "Bearer token"),
        (
            {"host": "chat.example", "login": "ann", "password": "pass"},
            "https://chat.example",
            "Basic YW5uOnBhc3M=",
        ),
    ],
)
def test_a_connection_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object], url: str, authorization: str
) -> None:
    found = connected(monkeypatch, fields)

    assert (found.url, found.authorization) == (url, authorization)
    assert repr(found) == "NoticeWebhook('chat')"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": ""},
        {"host": "ftp://chat.example"},
        {"password": "https://"},
        {"password": "https://canary-5ecret:notaport/"},
        {"password": "https://chat.example/canary-5ecret with blanks"},
        {"password": "https://chat.example/canary-5ecret\r\nX: y"},
    ],
)
def test_what_leads_to_no_url_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object]
) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        connected(monkeypatch, fields)

    assert "connection chat" in str(refused.value)
    assert "canary-5ecret" not in str(refused.value)


async def test_a_message_is_posted_as_json() -> None:
    async with ScriptedServer() as server:
        server.on(f"POST {SECRET}", Reply(204))
        webhook = NoticeWebhook("chat", f"{server.url}{SECRET}", "Bearer token")

        await asyncio.to_thread(webhook.post, {"text": "\N{SNOWMAN}"})

        (seen,) = server.seen
    assert json.loads(seen.body) == {"text": "\N{SNOWMAN}"}
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("reply", "said", "retryable"),
    [
        (Reply(404), "was answered 404", False),
        (Reply(429), "was answered 429", True),
        (Reply(502, b"canary-5ecret"), "was answered 502", True),
        (Reply(302, headers={"Location": "/elsewhere/canary-5ecret"}), "was answered 302", False),
        (Reply(never=True), "got no answer", True),
    ],
)
async def test_a_message_that_is_not_taken_is_an_error_without_the_url(
    reply: Reply, said: str, *, retryable: bool
) -> None:
    async with ScriptedServer() as server:
        server.on(f"POST {SECRET}", reply)
        webhook = NoticeWebhook("chat", f"{server.url}{SECRET}")

        with pytest.raises(DeliveryError, match=said) as refused:
            await asyncio.to_thread(webhook.post, {"text": "x"})

    assert "connection chat" in str(refused.value)
    assert "canary-5ecret" not in str(refused.value)
    assert refused.value.retryable is retryable


def test_a_webhook_that_is_not_there_may_come_back() -> None:
    webhook = NoticeWebhook("chat", f"http://127.0.0.1:1{SECRET}")

    with pytest.raises(DeliveryError, match="got no answer") as refused:
        webhook.post({"text": "x"})

    assert refused.value.retryable
    assert "canary-5ecret" not in str(refused.value)
