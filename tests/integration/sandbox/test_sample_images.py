from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from sandbox.image_layers import noise_layer, sha256
from sandbox.image_pusher import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    PushedImage,
    PushRefusedError,
)
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import (
    DEV_REPOSITORY,
    fill_dev_registry,
    push_blob,
    push_image,
    push_index,
    push_manifest_bytes,
)


def _get(
    registry: RegistryProcess, kind: str, reference: str, *, accept: str = "*/*"
) -> httpx.Response:
    url = f"{registry.url}/v2/a/{kind}/{reference}"
    return httpx.get(url, headers={"Accept": accept}, trust_env=False).raise_for_status()


def test_an_image_is_in_the_registry_under_its_tag_with_all_its_parts(
    registry: RegistryProcess,
) -> None:
    base, app = noise_layer(2000, "base"), noise_layer(1000, "app")
    pushed = push_image(
        registry.url,
        "a",
        "1.0",
        layers=[base, app.content],
        platform="linux/arm64/v8",
        created=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        labels={"version": "1.0"},
    )
    answer = _get(registry, "manifests", "1.0", accept=OCI_MANIFEST)
    assert answer.headers["Docker-Content-Digest"] == pushed.digest == sha256(answer.content)
    assert answer.headers["Content-Type"] == pushed.media_type == OCI_MANIFEST

    manifest = answer.json()
    assert manifest["config"]["mediaType"] == OCI_CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [OCI_LAYER + "+gzip"] * 2
    assert [layer["digest"] for layer in manifest["layers"]] == [base.digest, app.digest]

    config = _get(registry, "blobs", manifest["config"]["digest"]).json()
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    assert config["created"] == "2026-02-03T04:05:06Z"
    assert config["config"]["Labels"] == {"version": "1.0"}
    assert len(config["history"]) == 2
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        content = _get(registry, "blobs", layer["digest"]).content
        assert len(content) == layer["size"]
        assert sha256(gzip.decompress(content)) == diff_id

    assert (
        pushed.size_bytes
        == pushed.sent_bytes
        == len(pushed.manifest)
        + sum(part["size"] for part in [manifest["config"], *manifest["layers"]])
    )


def test_an_image_of_docker_has_dockers_media_types(registry: RegistryProcess) -> None:
    pushed = push_image(registry.url, "a", "1", layers=[noise_layer(10)], docker_schema2=True)
    answer = _get(registry, "manifests", "1", accept=DOCKER_MANIFEST)
    manifest = answer.json()
    assert answer.headers["Content-Type"] == pushed.media_type == DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == DOCKER_CONFIG
    assert manifest["layers"][0]["mediaType"].endswith("rootfs.diff.tar.gzip")


@pytest.mark.parametrize(
    ("docker_schema2", "media_type"), [(False, OCI_INDEX), (True, DOCKER_MANIFEST_LIST)]
)
def test_an_index_names_its_untagged_images_by_platform(
    registry: RegistryProcess, docker_schema2: bool, media_type: str
) -> None:
    pushed = push_index(
        registry.url,
        "a",
        "2.0",
        images={"linux/amd64": [noise_layer(10)], "linux/arm64/v8": [noise_layer(10)]},
        docker_schema2=docker_schema2,
    )
    answer = _get(registry, "manifests", "2.0", accept=media_type)
    assert answer.headers["Docker-Content-Digest"] == pushed.digest
    listed = answer.json()["manifests"]
    assert [entry["platform"] for entry in listed] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    assert [entry["digest"] for entry in listed] == [child.digest for child in pushed.children]
    assert len({child.digest for child in pushed.children}) == 2
    for entry in listed:
        child = _get(registry, "manifests", entry["digest"], accept=entry["mediaType"])
        assert len(child.content) == entry["size"]
    tags = httpx.get(f"{registry.url}/v2/a/tags/list", trust_env=False).json()["tags"]
    assert tags == ["2.0"]


def test_a_second_push_sends_nothing(registry: RegistryProcess) -> None:
    def push() -> PushedImage:
        return push_image(registry.url, "a", "1", layers=[noise_layer(1000)])

    first, second = push(), push()
    assert first.digest == second.digest
    assert first.sent_bytes == first.size_bytes
    assert second.sent_bytes == 0


def test_a_tag_moves_to_what_is_pushed_under_it_last(registry: RegistryProcess) -> None:
    push_image(registry.url, "a", "latest", layers=[noise_layer(10, "old")])
    moved = push_image(registry.url, "a", "latest", layers=[noise_layer(10, "new")])
    assert moved.is_new
    answer = _get(registry, "manifests", "latest", accept=OCI_MANIFEST)
    assert answer.headers["Docker-Content-Digest"] == moved.digest


def test_a_blob_that_is_there_is_not_sent_again(registry: RegistryProcess) -> None:
    first = push_blob(registry.url, "a", b"content")
    again = push_blob(registry.url, "a", b"content")
    assert (first.digest, first.is_new) == (sha256(b"content"), True)
    assert (again.digest, again.is_new) == (first.digest, False)


def test_a_manifest_of_any_shape_can_be_pushed(registry: RegistryProcess) -> None:
    pushed = push_image(registry.url, "a", "1", layers=[noise_layer(10)])
    odd = json.dumps(json.loads(pushed.manifest) | {"annotations": {"odd": "yes"}}).encode()
    assert push_manifest_bytes(registry.url, "a", "odd", odd, OCI_MANIFEST) == sha256(odd)
    assert _get(registry, "manifests", "odd", accept=OCI_MANIFEST).content == odd


def test_what_the_registry_refuses_is_an_error_with_its_words(registry: RegistryProcess) -> None:
    pushed = push_image(registry.url, "a", "1", layers=[noise_layer(10)])
    with pytest.raises(PushRefusedError, match="MANIFEST_BLOB_UNKNOWN") as caught:
        push_manifest_bytes(registry.url, "elsewhere", "1", pushed.manifest, OCI_MANIFEST)
    assert caught.value.status in {400, 404}  # distribution 2 and 3


def test_the_dev_registry_is_filled_with_the_website(registry: RegistryProcess) -> None:
    seen: list[tuple[str | None, int, int]] = []
    images = fill_dev_registry(
        registry.url, lambda image, done, total: seen.append((image.tag, done, total))
    )
    by_tag = {image.tag: image for image in images}

    assert seen == [(image.tag, n, len(images)) for n, image in enumerate(images, 1)]
    listing = httpx.get(f"{registry.url}/v2/{DEV_REPOSITORY}/tags/list", trust_env=False).json()
    assert sorted(listing["tags"]) == sorted(tag for tag in by_tag if tag)
    assert {"1.4-stable", "1.5-rc1", "2.0-stable", "latest", "pr-17"} <= by_tag.keys()
    assert 20 <= len(by_tag) <= 30
    assert sum(tag is not None and tag.endswith("-stable") for tag in by_tag) == 10

    index = by_tag["2.0-stable"]
    assert [child.platform for child in index.children] == ["linux/amd64", "linux/arm64"]
    assert by_tag["latest"].digest == index.digest
    assert len({image.digest for image in images}) == len(images) - 1

    leaves = [leaf for image in images for leaf in (image.children or (image,))]
    bases = Counter(leaf.blobs[1].digest for leaf in leaves)
    assert len(bases) == 1, "all share one base layer"
    assert sum(image.sent_bytes for image in images) < 30_000_000
    assert Counter(image.media_type for image in images)[DOCKER_MANIFEST] == 3


def test_a_second_fill_sends_nothing_and_changes_no_digest(registry: RegistryProcess) -> None:
    first = fill_dev_registry(registry.url)
    second = fill_dev_registry(registry.url)
    assert [image.digest for image in second] == [image.digest for image in first]
    assert sum(image.sent_bytes for image in second) == 0
