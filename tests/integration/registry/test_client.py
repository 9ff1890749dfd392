"""What real registries answer, and what becomes of it."""

from __future__ import annotations

import json

import pytest

import image_promotion.registry.client
from image_promotion.errors import InvalidReferenceError, NotFoundError, RegistryError
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    ImageIndex,
    ImageManifest,
    parse_manifest,
)
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index, push_manifest_bytes
from tests.integration.registry.raw_http import RawRegistry, client_of, digest_of

LAYER = noise_layer(2000)
REPOSITORY = "dev/website"


@pytest.fixture
def pages_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_promotion.registry.client, "PAGE_LENGTH", 7)


@pytest.mark.usefixtures("pages_of_seven")
async def test_all_tags_are_listed_whether_or_not_the_registry_knows_pages(
    dev: RegistryProcess,
) -> None:
    pushed = push_image(dev.url, REPOSITORY, "t0", layers=[LAYER])
    tags = {f"t{number}" for number in range(30)}
    for tag in tags:
        push_manifest_bytes(dev.url, REPOSITORY, tag, pushed.manifest, pushed.media_type)

    async with client_of(dev) as client:
        listed = [tag async for tag in client.list_tags(REPOSITORY)]

    assert len(listed) == len(tags)
    assert set(listed) == tags


@pytest.mark.usefixtures("pages_of_seven")
async def test_the_catalogue_comes_in_pages_and_within_the_namespace(dev: RegistryProcess) -> None:
    for number in range(9):
        push_image(dev.url, f"team/app-{number}", "1", layers=[LAYER])
        push_image(dev.url, f"others/app-{number}", "1", layers=[LAYER])
    assert "rel=" in RawRegistry(dev).ask("/v2/_catalog?n=7").headers["Link"]

    async with client_of(dev) as everything, client_of(dev, namespace="team") as team:
        names = [name async for name in everything.list_repositories()]
        own_names = [name async for name in team.list_repositories()]

    assert len(names) == 18
    assert own_names == [f"app-{number}" for number in range(9)]


async def test_a_repository_that_does_not_exist_is_not_found(dev: RegistryProcess) -> None:
    async with client_of(dev) as client:
        with pytest.raises(NotFoundError) as caught:
            [tag async for tag in client.list_tags("dev/nothing")]
        assert await client.resolve("dev/nothing", "1.0") is None
        assert not await client.has_manifest("dev/nothing", Digest.of(b""))
        assert await client.blob_size("dev/nothing", Digest.of(b"")) is None
    assert caught.value.subject.repository == "dev/nothing"
    assert caught.value.status == 404
    assert [code.code for code in caught.value.codes] == ["NAME_UNKNOWN"]


async def test_a_tag_resolves_to_what_it_points_at_now(dev: RegistryProcess) -> None:
    async with client_of(dev) as client:
        assert await client.resolve(REPOSITORY, "latest") is None
        first = push_image(dev.url, REPOSITORY, "latest", layers=[LAYER], docker_schema2=True)
        assert await client.resolve(REPOSITORY, "latest") == Descriptor(
            DOCKER_MANIFEST, digest_of(first), len(first.manifest)
        )
        second = push_index(dev.url, REPOSITORY, "latest", images={"linux/amd64": [LAYER]})
        assert await client.resolve(REPOSITORY, "latest") == Descriptor(
            OCI_INDEX, digest_of(second), len(second.manifest)
        )


async def test_a_manifest_is_read_by_tag_and_by_digest(dev: RegistryProcess) -> None:
    image = push_image(dev.url, REPOSITORY, "1.0", layers=[LAYER])
    push_index(dev.url, REPOSITORY, "2.0", images={"linux/arm64/v8": [LAYER]})

    async with client_of(dev) as client:
        by_tag = await client.get_manifest(REPOSITORY, "1.0")
        by_digest = await client.get_manifest(REPOSITORY, digest_of(image))
        of_index = await client.get_manifest(REPOSITORY, "2.0")

    assert isinstance(by_tag, ImageManifest)
    assert by_tag == by_digest
    assert by_tag.content == image.manifest
    assert [str(blob.digest) for blob in by_tag.blobs] == [blob.digest for blob in image.blobs]
    assert isinstance(of_index, ImageIndex)
    assert [str(child.platform) for child in of_index.manifests] == ["linux/arm64/v8"]


async def test_a_tag_is_set_to_the_very_bytes_and_may_be_set_again(dev: RegistryProcess) -> None:
    pushed = push_image(dev.url, REPOSITORY, None, layers=[LAYER])
    manifest = parse_manifest(pushed.manifest, pushed.media_type)

    async with client_of(dev) as client:
        for _ in range(2):
            await client.put_manifest(REPOSITORY, "1.0-promoted", manifest)

    raw = RawRegistry(dev)
    assert raw.manifest(REPOSITORY, "1.0-promoted").content == pushed.manifest
    assert raw.tags(REPOSITORY) == ["1.0-promoted"]


async def test_a_manifest_whose_blobs_are_missing_is_refused_with_the_registrys_words(
    dev: RegistryProcess,
) -> None:
    pushed = push_image(dev.url, "elsewhere", "1.0", layers=[LAYER])
    manifest = parse_manifest(pushed.manifest, pushed.media_type)

    async with client_of(dev) as client:
        with pytest.raises(RegistryError) as caught:
            await client.put_manifest(REPOSITORY, "1.0", manifest)

    assert caught.value.retryable  # another push may be writing them at this moment
    assert {code.code for code in caught.value.codes} == {"MANIFEST_BLOB_UNKNOWN"}
    assert caught.value.subject.tag == "1.0"
    assert not RawRegistry(dev).has_manifest(REPOSITORY, "1.0")


async def test_names_that_cannot_be_are_refused_before_any_request(dev: RegistryProcess) -> None:
    async with client_of(dev) as client:
        with pytest.raises(InvalidReferenceError):
            await client.resolve("Dev/Website", "1.0")
        with pytest.raises(InvalidReferenceError):
            await client.get_manifest(REPOSITORY, "not a tag")


async def test_an_image_of_any_annotations_keeps_its_bytes(dev: RegistryProcess) -> None:
    pushed = push_image(dev.url, REPOSITORY, None, layers=[LAYER])
    odd = json.dumps(json.loads(pushed.manifest) | {"annotations": {"ümlaut": "\n"}}, indent=7)
    push_manifest_bytes(dev.url, REPOSITORY, "odd", odd.encode(), pushed.media_type)

    async with client_of(dev) as client:
        manifest = await client.get_manifest(REPOSITORY, "odd")
        await client.put_manifest(REPOSITORY, "again", manifest)

    assert RawRegistry(dev).manifest(REPOSITORY, "again").content == odd.encode()
