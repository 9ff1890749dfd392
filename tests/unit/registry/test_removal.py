"""Tags and manifests taken away: what each kind of registry answers, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_promotion.errors import DeniedError, RegistryError
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.products.client import ProductClient
from image_promotion.registry.retry import NO_RETRY
from tests.support.memory_store import CONFIG_TYPE, LAYER_TYPE, MemoryStore, image_of
from tests.support.product_doubles import PASSWORD, USER, DtrDouble, HarborDouble
from tests.support.scripted_server import Reply, ScriptedServer

DIGEST = Digest.of(b"image")
TAG = "DELETE /v2/a/manifests/1.0"
MANIFEST = f"DELETE /v2/a/manifests/{DIGEST}"
UNSUPPORTED = {"errors": [{"code": "UNSUPPORTED", "message": "not here"}]}
INVALID = {"errors": [{"code": "DIGEST_INVALID", "message": "no digest"}]}


def client_of(server: ScriptedServer) -> RegistryClient:
    return RegistryClient(RegistryEndpoint("c", server.url), retry=NO_RETRY)


def product_of(server: ScriptedServer, registry_type: RegistryType) -> ProductClient:
    endpoint = RegistryEndpoint("c", server.url, registry_type, USER, PASSWORD)
    return ProductClient(endpoint, retry=NO_RETRY, hub_url=server.url)


@pytest.mark.parametrize(
    ("reply", "is_gone"),
    [
        (Reply(202), True),
        (Reply(204), True),
        (Reply.of_json(UNSUPPORTED, 400), False),
        (Reply.of_json(INVALID, 400), False),  # CNCF distribution 2.8
        (Reply.of_json(UNSUPPORTED, 405), False),
        (Reply(404), False),
    ],
)
async def test_a_registry_deletes_a_tag_or_says_that_it_does_not(
    reply: Reply, is_gone: bool
) -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(TAG, reply)

        assert await client.remove_tag("a", "1.0", DIGEST) is is_gone


async def test_who_may_not_delete_is_told_so() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(TAG, Reply(403))

        with pytest.raises(DeniedError):
            await client.remove_tag("a", "1.0", DIGEST)


async def test_a_manifest_that_is_gone_already_is_no_error() -> None:
    for reply in (Reply(202), Reply(404)):
        async with ScriptedServer() as server, client_of(server) as client:
            server.on(MANIFEST, reply)
            await client.remove_manifest("a", DIGEST)


async def test_a_registry_that_deletes_nothing_is_an_error_with_advice() -> None:
    async with ScriptedServer() as server, client_of(server) as client:
        server.on(MANIFEST, Reply.of_json(UNSUPPORTED, 405))

        with pytest.raises(RegistryError) as caught:
            await client.remove_manifest("a", DIGEST)

    assert "REGISTRY_STORAGE_DELETE_ENABLED" in caught.value.advice
    assert not caught.value.retryable


async def test_dtr_s_own_interface_deletes_a_tag() -> None:
    async with ScriptedServer() as server, product_of(server, RegistryType.DTR) as client:
        DtrDouble(server, "qa/website").deletes_tag("1.0")

        assert await client.remove_tag("qa/website", "1.0", DIGEST)


async def test_harbor_s_own_interface_deletes_a_tag_of_an_artifact() -> None:
    async with ScriptedServer() as server, product_of(server, RegistryType.HARBOR) as client:
        HarborDouble(server, "qa", "team%252Fwebsite").deletes_tag("1.0", str(DIGEST))

        assert await client.remove_tag("qa/team/website", "1.0", DIGEST)


async def test_a_tag_that_harbor_keeps_as_immutable_is_an_error() -> None:
    refusal = Reply.of_json({"errors": [{"code": "PRECONDITION", "message": "immutable"}]}, 412)
    async with ScriptedServer() as server, product_of(server, RegistryType.HARBOR) as client:
        HarborDouble(server, "qa", "website").deletes_tag("1.0", str(DIGEST), refusal)

        with pytest.raises(RegistryError) as caught:
            await client.remove_tag("qa/website", "1.0", DIGEST)

    assert caught.value.status == 412


async def test_docker_hub_is_asked_by_the_protocol_which_refuses() -> None:
    async with ScriptedServer() as server, product_of(server, RegistryType.DOCKER_HUB) as client:
        server.on("DELETE /v2/qa/website/manifests/1.0", Reply.of_json(UNSUPPORTED, 405))

        assert not await client.remove_tag("qa/website", "1.0", DIGEST)


async def test_a_layout_loses_the_entry_of_a_tag_and_keeps_all_else(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    made = MemoryStore()
    config, layer = (
        made.hold_blob("a", content, kind)
        for content, kind in ((b"{}", CONFIG_TYPE), (b"layer", LAYER_TYPE))
    )
    image = image_of(config, layer)
    for blob in (config, layer):
        async with made.open_blob("a", blob) as content:
            await store.put_blob("a", blob, content)
    for tag in ("1.0", "2.0", "3.0"):
        await store.put_manifest("a", tag, image)

    assert not await store.remove_tag("a", "1.0", DIGEST)  # another digest than it holds
    assert await store.remove_tag("a", "1.0", image.digest)
    assert await store.remove_tag("a", "1.0", image.digest)

    assert [tag async for tag in store.list_tags("a")] == ["2.0", "3.0"]
    await store.remove_manifest("a", image.digest)
    assert [tag async for tag in store.list_tags("a")] == []
    assert await store.has_manifest("a", image.digest)
