"""Who is let in by real registries, with passwords and with tokens, and who learns a secret."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from image_promotion.errors import AuthenticationError, DeniedError, RegistryError
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.retry import NO_RETRY
from image_promotion.registry.transfer import copy_image
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from sandbox.token_service import PULL, PUSH, TokenService, User
from tests.integration.registry.raw_http import RawRegistry, client_of, digest_of, files_of
from tests.support.scripted_server import Reply, ScriptedServer

SOURCE = "dev/website"
TARGET = "qa/website"
SECRET = "canary-sesame"
LAYERS = (noise_layer(1000, "base"), noise_layer(300_000, "site"))


# ---- basic authentication


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RegistryProcess]:
    """A registry that knows one user by htpasswd."""
    with RegistryProcess.start(tmp_path / "guarded", htpasswd={"robot": SECRET}) as registry:
        yield registry


async def test_a_password_opens_a_registry_for_reading_and_writing(
    guarded: RegistryProcess, dev: RegistryProcess
) -> None:
    pushed = push_image(dev.url, SOURCE, "1.0", layers=LAYERS)

    robot = client_of(guarded, username="robot", password=SECRET)
    async with client_of(dev) as source, robot as target:
        await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)
        await target.put_manifest(TARGET, "1.0", await source.get_manifest(SOURCE, "1.0"))

    raw = RawRegistry(guarded, auth=("robot", SECRET))
    raw.assert_holds(TARGET, pushed)
    assert raw.tags(TARGET) == ["1.0"]


@pytest.mark.parametrize(("username", "password"), [("robot", "wrong"), ("stranger", SECRET)])
async def test_a_wrong_login_is_refused(
    guarded: RegistryProcess, username: str, password: str
) -> None:
    async with client_of(guarded, username=username, password=password) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.ping()
    assert caught.value.status == 401
    assert not caught.value.retryable
    assert caught.value.subject.registry == guarded.host
    assert password not in repr(caught.value) + str(caught.value)


async def test_a_registry_that_wants_a_login_is_told_apart_from_one_that_refuses_it(
    guarded: RegistryProcess,
) -> None:
    async with client_of(guarded) as client:
        with pytest.raises(AuthenticationError, match="connection does not say"):
            await client.ping()


# ---- tokens


@dataclass(frozen=True)
class Place:
    """A registry, the token service it trusts, and an image in it."""

    tokens: TokenService
    registry: RegistryProcess
    image: PushedImage

    def client(self, user: str, password: str | None = None) -> RegistryClient:
        known = self.tokens.users[user].password
        return client_of(self.registry, username=user, password=password or known)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    users = {
        "reader": User("canary-r", {"dev/*": PULL}),
        "writer": User("canary-w", {"qa/*": PUSH}),
        "promoter": User("canary-p", {"dev/*": PULL, "qa/*": PUSH}),
    }
    with (
        TokenService.start(tmp_path / "tokens", users=users) as tokens,
        RegistryProcess.start(tmp_path / "registry", token_auth=tokens) as registry,
    ):
        auth = tokens.pusher_auth(SOURCE)
        image = push_image(registry.url, SOURCE, "1.0", layers=LAYERS, auth=auth)
        yield Place(tokens, registry, image)


async def test_reading_asks_for_pull_and_writing_for_push(
    place: Place, qa: RegistryProcess, dev: RegistryProcess
) -> None:
    async with place.client("reader") as source, client_of(qa) as target:
        await copy_image(source, SOURCE, digest_of(place.image), target, TARGET)
    assert {request.scopes for request in place.tokens.requests} == {(f"repository:{SOURCE}:pull",)}
    assert {request.user for request in place.tokens.requests} == {"reader"}
    place.tokens.forget_requests()

    pushed = push_image(dev.url, "any", "1.0", layers=LAYERS)
    async with client_of(dev) as source, place.client("writer") as target:
        await copy_image(source, "any", digest_of(pushed), target, TARGET)
    assert {request.scopes for request in place.tokens.requests} == {
        (f"repository:{TARGET}:pull",),
        (f"repository:{TARGET}:pull,push",),
    }
    RawRegistry(place.registry, auth=place.tokens.pusher_auth(TARGET)).assert_holds(TARGET, pushed)


async def test_a_whole_copy_needs_one_token_for_each_right(
    place: Place, qa: RegistryProcess
) -> None:
    async with place.client("reader") as source, client_of(qa) as target:
        await copy_image(source, SOURCE, digest_of(place.image), target, TARGET)
        await copy_image(source, SOURCE, digest_of(place.image), target, TARGET)
    assert place.tokens.request_count == 1


async def test_a_mount_across_repositories_is_allowed_by_one_token_for_both(place: Place) -> None:
    async with place.client("promoter") as source, place.client("promoter") as target:
        report = await copy_image(source, SOURCE, digest_of(place.image), target, TARGET)

    assert (report.blobs_mounted, report.blobs_copied) == (len(place.image.blobs), 0)
    both = (f"repository:{SOURCE}:pull", f"repository:{TARGET}:pull,push")
    assert both in {tuple(sorted(request.scopes)) for request in place.tokens.requests}
    raw = RawRegistry(place.registry, auth=place.tokens.pusher_auth(TARGET))
    raw.assert_holds(TARGET, place.image)


async def test_where_the_targets_account_may_not_read_the_source_the_bytes_travel(
    place: Place,
) -> None:
    async with place.client("reader") as source, place.client("writer") as target:
        report = await copy_image(source, SOURCE, digest_of(place.image), target, TARGET)

    assert (report.blobs_mounted, report.blobs_copied) == (0, len(place.image.blobs))
    raw = RawRegistry(place.registry, auth=place.tokens.pusher_auth(TARGET))
    raw.assert_holds(TARGET, place.image)


async def test_a_token_that_expires_earlier_than_it_said_is_replaced(place: Place) -> None:
    place.tokens.lifetime_s = 1
    place.tokens.announced_lifetime_s = 3600
    async with place.client("reader") as client:
        assert await client.resolve(SOURCE, "1.0") is not None
        _wait_until_a_token_of_now_is_over(place)
        assert await client.resolve(SOURCE, "1.0") is not None
    assert place.tokens.request_count == 2


async def test_a_token_that_is_never_good_ends_in_an_error(place: Place) -> None:
    place.tokens.lifetime_s = -1
    async with place.client("reader") as client:
        with pytest.raises(AuthenticationError):
            await client.resolve(SOURCE, "1.0")
    assert place.tokens.request_count == 1


async def test_a_wrong_password_is_refused_by_the_token_service(place: Place) -> None:
    async with place.client("reader", password="canary-wrong") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.resolve(SOURCE, "1.0")
    assert caught.value.status == 401
    assert caught.value.url.startswith(place.tokens.realm)
    assert "canary" not in repr(caught.value) + str(caught.value)


async def test_an_identity_token_without_a_name_opens_a_registry(place: Place) -> None:
    place.tokens.users["helper"] = User("unused", {"dev/*": PULL}, identity_token="canary-i")
    async with client_of(place.registry, password="canary-i") as client:
        found = await client.resolve(SOURCE, "1.0")
    assert found is not None
    assert found.digest == digest_of(place.image)
    assert [request.method for request in place.tokens.requests] == ["POST"]
    assert place.tokens.requests[0].scopes == (f"repository:{SOURCE}:pull",)


async def test_an_identity_token_that_nobody_knows_is_refused(place: Place) -> None:
    async with client_of(place.registry, password="canary-nobodys") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.resolve(SOURCE, "1.0")
    assert "canary" not in repr(caught.value) + str(caught.value)
    assert [request.method for request in place.tokens.requests] == ["POST", "GET"]


async def test_who_may_not_write_is_told_so_and_leaves_nothing(
    place: Place, dev: RegistryProcess
) -> None:
    pushed = push_image(dev.url, "any", "1.0", layers=[noise_layer(1000, "another")])
    before = files_of(place.registry)
    async with client_of(dev) as source, place.client("reader") as target:
        with pytest.raises(DeniedError) as caught:
            await copy_image(source, "any", digest_of(pushed), target, SOURCE)
    assert caught.value.subject.registry == place.registry.host
    assert caught.value.subject.repository == SOURCE
    assert not caught.value.retryable
    assert files_of(place.registry) == before


def _wait_until_a_token_of_now_is_over(place: Place) -> None:
    token = place.tokens.token({SOURCE: PULL})
    url = f"{place.registry.url}/v2/{SOURCE}/tags/list"
    headers = {"Authorization": f"Bearer {token}"}
    deadline_s = time.monotonic() + 30
    while httpx.get(url, headers=headers, trust_env=False).status_code != 401:
        assert time.monotonic() < deadline_s, "the registry takes a token for ever"


# ---- nobody else learns a secret

CONTENT = b"layer" * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(CONTENT), len(CONTENT))


async def _read(client: RegistryClient) -> bytes:
    async with client.open_blob("a", BLOB) as pieces:
        return b"".join([piece async for piece in pieces])


async def _list(client: RegistryClient) -> list[str]:
    return [tag async for tag in client.list_tags("a")]


async def test_no_other_host_sees_the_credentials_wherever_the_registry_points() -> None:
    async with ScriptedServer() as elsewhere, ScriptedServer() as registry:
        away = Reply(307, headers={"Location": f"{elsewhere.url}/away"})
        wants_login = Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        wants_token = Reply(
            401, headers={"WWW-Authenticate": f'Bearer realm="{elsewhere.url}/token"'}
        )
        registry.on("GET /v2/", wants_login, Reply.of_json({}))
        for method in ("GET", "HEAD"):
            registry.on(f"{method} /v2/a/manifests/1.0", away)
            registry.on(f"{method} /v2/a/blobs/{BLOB.digest}", away)
            elsewhere.on(f"{method} /away", wants_login, wants_token, Reply(200, CONTENT))
        next_page = f'<{elsewhere.url}/away>; rel="next"'
        registry.on("GET /v2/a/tags/list?n=1000", Reply.of_json({"tags": ["a"]}, Link=next_page))
        upload = Reply(202, headers={"Location": f"{elsewhere.url}/away"})
        registry.on("POST /v2/a/blobs/uploads/", upload)

        endpoint = RegistryEndpoint("c", registry.url, username="robot", password=SECRET)
        async with RegistryClient(endpoint, retry=NO_RETRY) as client:
            await client.ping()  # from here on, the client knows that it is to send the password
            attempts: tuple[Callable[[], Awaitable[object]], ...] = (
                lambda: client.get_manifest("a", "1.0"),
                lambda: client.resolve("a", "1.0"),
                lambda: client.blob_size("a", BLOB.digest),
                lambda: _read(client),
                lambda: _list(client),
                lambda: client.probe_upload("a"),
            )
            for attempt in (*attempts, *attempts, *attempts):
                with suppress(RegistryError):
                    await attempt()

        assert all("authorization" in seen.headers for seen in registry.seen[1:])
        assert {seen.line for seen in elsewhere.seen} == {"GET /away", "HEAD /away"}
        assert not any("authorization" in seen.headers for seen in elsewhere.seen)
