from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ConnectionSettingsError,
    InvalidReferenceError,
    ProtocolViolationError,
    RateLimitedError,
)
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.products.catalogue import TagRecord
from image_promotion.registry.products.docker_hub import (
    HUB_URL,
    Allowance,
    DockerHubCatalogue,
    hub_endpoint,
    pull_allowance,
)
from image_promotion.registry.retry import NO_RETRY, RetryRules
from image_promotion.registry.session import Session
from tests.support.product_doubles import PASSWORD, USER, DockerHubDouble
from tests.support.scripted_server import Reply, ScriptedServer

FULL = "team/website"
DIGEST = Digest.of(b"image")
NOW_S = 1_700_000_000
REGISTRY = RegistryEndpoint(
    "hub", "https://registry-1.docker.io", RegistryType.DOCKER_HUB, USER, PASSWORD
)
ANONYMOUS = replace(REGISTRY, username=None, password=None)


def tag(name: str, **more: object) -> dict[str, object]:
    return {
        "id": 1,
        "name": name,
        "digest": str(DIGEST),
        "last_updated": "2026-05-06T00:00:00Z",
        "tag_last_pushed": "2026-05-07T10:11:12.345678Z",
        "images": [{"architecture": "amd64", "os": "linux", "digest": str(Digest.of(b"child"))}],
        **more,
    }


@pytest.fixture
async def session(server: ScriptedServer) -> AsyncIterator[Session]:
    session = Session(hub_endpoint(REGISTRY, server.url), connections=2, rules=NO_RETRY)
    yield session
    await session.aclose()


@pytest.fixture
def hub(server: ScriptedServer) -> DockerHubDouble:
    return DockerHubDouble(server, FULL)


class Clock:
    """Stands still but for the pauses, which it remembers."""

    def __init__(self) -> None:
        self.pauses_s: list[float] = []

    async def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)

    def now(self) -> float:
        return NOW_S + sum(self.pauses_s)


def catalogue_of(
    session: Session,
    server: ScriptedServer,
    endpoint: RegistryEndpoint = ANONYMOUS,
    clock: Clock | None = None,
    rules: RetryRules = NO_RETRY,
) -> DockerHubCatalogue:
    clock = clock or Clock()
    return DockerHubCatalogue(
        session, endpoint, hub_url=server.url, rules=rules, sleep=clock.sleep, now=clock.now
    )


async def tags_of(catalogue: DockerHubCatalogue, repository: str = FULL) -> list[TagRecord]:
    return [record async for record in catalogue.list_tags(repository)]


async def test_tags_come_with_the_digest_of_the_index_and_the_last_push(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.page([tag("1.0"), tag("old", digest=None, tag_last_pushed=None)])

    assert await tags_of(catalogue_of(session, server)) == [
        TagRecord("1.0", DIGEST, datetime(2026, 5, 7, 10, 11, 12, 345_678, tzinfo=UTC)),
        TagRecord("old", None, datetime(2026, 5, 6, tzinfo=UTC)),
    ]


async def test_without_credentials_nothing_is_sent_that_says_who_we_are(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.page([])

    await tags_of(catalogue_of(session, server))

    assert server.lines() == ["GET /v2/namespaces/team/repositories/website/tags?page_size=100"]
    assert "authorization" not in server.seen[0].headers


async def test_credentials_are_sent_once_to_be_changed_into_a_token(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.takes_logins()
    hub.page([tag("1.0")], is_last=False, token="token-1")
    hub.page([tag("1.0"), tag("1.1")], number=2, token="token-1")
    catalogue = catalogue_of(session, server, REGISTRY)

    assert [record.tag for record in await tags_of(catalogue)] == ["1.0", "1.1"]
    await tags_of(catalogue)

    assert len(hub.logins) == 1
    sent = [seen.line for seen in server.seen if PASSWORD.encode() in seen.body]
    assert sent == ["POST /v2/auth/token"]


async def test_a_token_that_has_expired_is_changed_for_a_new_one(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.takes_logins()
    hub.page([tag("1.0")], token="token-1")
    hub.page([tag("1.0")], token="token-2")
    catalogue = catalogue_of(session, server, REGISTRY)

    await tags_of(catalogue)
    await tags_of(catalogue)

    assert len(hub.logins) == 2


async def test_a_wrong_password_is_told_and_tried_once(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.takes_logins()
    catalogue = catalogue_of(session, server, replace(REGISTRY, password="wrong-canary"))

    with pytest.raises(AuthenticationError) as caught:
        await tags_of(catalogue)

    assert len(server.seen) == 1
    assert "canary" not in repr(caught.value) + str(caught.value)


async def test_credentials_never_go_over_plain_http(session: Session) -> None:
    with pytest.raises(ConnectionSettingsError):
        DockerHubCatalogue(session, REGISTRY, hub_url="http://hub.example.com")


def test_the_session_of_the_interface_has_no_credentials() -> None:
    endpoint = hub_endpoint(REGISTRY)

    assert (endpoint.url, endpoint.username, endpoint.password) == (HUB_URL, None, None)


async def test_it_is_asked_again_when_it_says_and_not_before(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.slow_down_once(until_s=NOW_S + 30)
    hub.page([tag("1.0")])
    clock = Clock()
    catalogue = catalogue_of(session, server, clock=clock, rules=RetryRules(base_s=0))

    assert [record.tag for record in await tags_of(catalogue)] == ["1.0"]

    assert clock.pauses_s == [30.0]
    assert str(catalogue.allowance) == "599 of 600 left"
    assert catalogue.allowance == Allowance(600, 599, resets_at_s=1_700_000_060)


async def test_a_pause_that_is_too_long_is_left_to_a_later_task(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    hub.slow_down_once(until_s=NOW_S + 3600)

    with pytest.raises(RateLimitedError) as caught:
        await tags_of(catalogue_of(session, server, rules=RetryRules(base_s=0)))

    assert caught.value.retry_after_s == 3600.0
    assert caught.value.retryable


async def test_a_next_page_on_another_host_is_not_fetched(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    async with ScriptedServer() as other:
        hub.takes_logins()
        hub.page([], token="token-1", following=f"{other.url}/v2/namespaces")

        with pytest.raises(ProtocolViolationError):
            await tags_of(catalogue_of(session, server, REGISTRY))

        assert other.seen == []


async def test_pages_that_go_in_a_circle_end(
    server: ScriptedServer, hub: DockerHubDouble, session: Session
) -> None:
    path = "/v2/namespaces/team/repositories/website/tags?page_size=100"
    hub.page([tag("1.0")], following=f"{server.url}{path}")

    with pytest.raises(ProtocolViolationError):
        await tags_of(catalogue_of(session, server))


@pytest.mark.parametrize("body", [b"[]", b'{"results": null}', b'{"results": [{"name": "a/b"}]}'])
async def test_what_is_not_as_documented_is_refused(
    server: ScriptedServer, session: Session, body: bytes
) -> None:
    line = "GET /v2/namespaces/team/repositories/website/tags?page_size=100"
    server.on(line, Reply(200, body))

    with pytest.raises(ProtocolViolationError):
        await tags_of(catalogue_of(session, server))


async def test_official_images_are_in_the_library(server: ScriptedServer, session: Session) -> None:
    DockerHubDouble(server, "library/debian").page([tag("12")])

    assert [record.tag for record in await tags_of(catalogue_of(session, server), "debian")] == [
        "12"
    ]


async def test_a_name_that_docker_hub_cannot_have_is_refused(
    server: ScriptedServer, session: Session
) -> None:
    catalogue = catalogue_of(session, server)

    with pytest.raises(InvalidReferenceError):
        await tags_of(catalogue, "a/b/c")
    assert not await catalogue.ensure_repository(FULL)
    assert await catalogue.has_immutable_tags(FULL) is None


@pytest.mark.parametrize(
    ("headers", "allowance", "text"),
    [
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            Allowance(100, 76, 21_600),
            "76 of 100 in 6 h left",
        ),
        (
            {"ratelimit-limit": "100", "ratelimit-remaining": "0"},
            Allowance(100, 0),
            "0 of 100 left",
        ),
        ({}, None, "None"),
        ({"ratelimit-limit": "100;w=21600"}, None, "None"),
        ({"ratelimit-limit": "many", "ratelimit-remaining": "-1"}, None, "None"),
    ],
)
def test_the_registry_s_own_limit_of_pulls_is_read(
    headers: dict[str, str], allowance: Allowance | None, text: str
) -> None:
    assert pull_allowance(headers) == allowance
    assert str(pull_allowance(headers)) == text
