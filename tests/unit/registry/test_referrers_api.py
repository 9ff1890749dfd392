"""The referrers API, against answers as the specification has them, and as it does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from image_promotion.errors import (
    DeniedError,
    ProtocolViolationError,
    RegistryError,
    UnsupportedContentError,
)
from image_promotion.registry import referrers_api
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.manifest import MAX_MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST
from image_promotion.registry.retry import NO_RETRY
from tests.support.scripted_server import Reply, ScriptedServer

SUBJECT = Digest.of(b"image")
PATH = f"/v2/team/site/referrers/{SUBJECT}"
FIRST = f"GET {PATH}"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[RegistryClient]:
    async with RegistryClient(RegistryEndpoint("sandbox", server.url), retry=NO_RETRY) as client:
        yield client


def entry(name: str) -> dict[str, object]:
    return {
        "mediaType": OCI_MANIFEST,
        "digest": str(Digest.of(name.encode())),
        "size": 7,
        "artifactType": f"application/{name}",
        "annotations": {"name": name},
    }


def page(*names: str, link: str = "", content_type: str = OCI_INDEX) -> Reply:
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry(name) for name in names],
    }
    headers = {"Content-Type": content_type, "Link": f'<{link}>; rel="next"' if link else ""}
    return Reply(200, json.dumps(body).encode(), headers)


async def names_of(client: RegistryClient) -> list[str] | None:
    listed = await client.list_referrers("team/site", SUBJECT)
    return None if listed is None else [each.annotations["name"] for each in listed]


async def test_what_is_listed_comes_with_types_and_annotations(
    server: ScriptedServer, client: RegistryClient
) -> None:
    server.on(FIRST, page("sbom"))

    listed = await client.list_referrers("team/site", SUBJECT)

    assert listed is not None
    (only,) = listed
    assert (only.digest, only.artifact_type) == (Digest.of(b"sbom"), "application/sbom")
    assert server.seen[0].headers["accept"] == OCI_INDEX


async def test_an_empty_list_is_not_the_lack_of_one(
    server: ScriptedServer, client: RegistryClient
) -> None:
    server.on(FIRST, page())

    assert await names_of(client) == []


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [b"", b"<html>not found</html>", b'{"errors": []}'])
async def test_a_registry_without_the_api_has_no_list(
    server: ScriptedServer, client: RegistryClient, status: int, body: bytes
) -> None:
    server.on(FIRST, Reply(status, body))

    assert await names_of(client) is None


@pytest.mark.parametrize(("status", "kind"), [(403, DeniedError), (500, RegistryError)])
async def test_another_failure_is_no_empty_list(
    server: ScriptedServer, client: RegistryClient, status: int, kind: type[RegistryError]
) -> None:
    server.on(FIRST, Reply(status))

    with pytest.raises(kind) as caught:
        await names_of(client)

    assert caught.value.status == status
    assert caught.value.subject.digest == str(SUBJECT)


async def test_pages_are_followed_and_what_comes_twice_counts_once(
    server: ScriptedServer, client: RegistryClient
) -> None:
    server.on(FIRST, page("a", "b", link=f"{PATH}?page=2"))
    server.on(f"GET {PATH}?page=2", page(link=f"{server.url}{PATH}?page=3"))
    server.on(f"GET {PATH}?page=3", page("b", "c"))

    assert await names_of(client) == ["a", "b", "c"]


async def test_pages_that_go_in_a_circle_end(
    server: ScriptedServer, client: RegistryClient
) -> None:
    server.on(FIRST, page("a", link=f"{PATH}?page=2"))
    server.on(f"GET {PATH}?page=2", page("b", link=PATH))

    with pytest.raises(ProtocolViolationError):
        await names_of(client)


async def test_pages_that_never_end_are_given_up(
    server: ScriptedServer, client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referrers_api, "MAX_PAGES", 3)
    server.on(FIRST, page("p0", link=f"{PATH}?page=1"))
    for number in range(1, 5):
        server.on(f"GET {PATH}?page={number}", page("p", link=f"{PATH}?page={number + 1}"))

    with pytest.raises(ProtocolViolationError):
        await names_of(client)

    assert len(server.seen) == 3


async def test_a_page_on_another_host_is_not_fetched(
    server: ScriptedServer, client: RegistryClient
) -> None:
    async with ScriptedServer() as other:
        server.on(FIRST, page("a", link=f"{other.url}{PATH}?page=2"))

        with pytest.raises(ProtocolViolationError):
            await names_of(client)

        assert other.seen == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"<html>welcome</html>"), ProtocolViolationError),
        (Reply(200, b"[]"), ProtocolViolationError),
        (Reply(200, b'{"schemaVersion": 2, "manifests": [{}]}'), ProtocolViolationError),
        (
            Reply.of_json({"schemaVersion": 2, "config": entry("c"), "layers": []}),
            ProtocolViolationError,
        ),
        (Reply(200, b" " * (MAX_MANIFEST_BYTES + 1)), UnsupportedContentError),
    ],
)
async def test_what_is_no_index_is_refused(
    server: ScriptedServer,
    client: RegistryClient,
    reply: Reply,
    kind: type[ProtocolViolationError | UnsupportedContentError],
) -> None:
    server.on(FIRST, reply)

    with pytest.raises(kind) as caught:
        await names_of(client)

    assert caught.value.subject.repository == "team/site"
