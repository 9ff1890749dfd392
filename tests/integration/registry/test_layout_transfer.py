"""From a real registry onto a disk, and from the disk into another one: an air gap."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from image_promotion.registry.digest import Digest
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.transfer import copy_image
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index
from tests.integration.registry.raw_http import RawRegistry, client_of, digest_of

SOURCE, DISK, TARGET = "dev/website", "transfer/website", "qa/website"
BASE = noise_layer(5000, "base")


def an_image(registry: RegistryProcess, tag: str = "1.0") -> PushedImage:
    return push_image(registry.url, SOURCE, tag, layers=[BASE, noise_layer(3_000_000, tag)])


def an_image_of_docker(registry: RegistryProcess) -> PushedImage:
    return push_image(registry.url, SOURCE, "1.0", layers=[BASE], docker_schema2=True)


def an_index(registry: RegistryProcess) -> PushedImage:
    return push_index(
        registry.url,
        SOURCE,
        "2.0",
        images={"linux/amd64": [BASE], "linux/arm64/v8": [BASE, noise_layer(3000, "arm64")]},
    )


@pytest.mark.parametrize("push", [an_image, an_image_of_docker, an_index])
async def test_an_image_crosses_an_air_gap_byte_for_byte(
    dev: RegistryProcess,
    qa: RegistryProcess,
    tmp_path: Path,
    push: Callable[[RegistryProcess], PushedImage],
) -> None:
    pushed = push(dev)
    digest = digest_of(pushed)

    async with client_of(dev) as source, LayoutStore(tmp_path) as disk:
        await copy_image(source, SOURCE, digest, disk, DISK)
        await disk.put_manifest(DISK, "1.0", await disk.get_manifest(DISK, digest))
    dev.stop()  # the other side of the gap
    async with LayoutStore(tmp_path) as disk, client_of(qa) as target:
        held = await disk.resolve(DISK, "1.0")
        assert held is not None
        await copy_image(disk, DISK, held.digest, target, TARGET)
        await target.put_manifest(TARGET, "1.0", await disk.get_manifest(DISK, held.digest))

    at_target = RawRegistry(qa)
    at_target.assert_holds(TARGET, pushed)
    assert at_target.tags(TARGET) == ["1.0"]


async def test_a_second_copy_onto_the_disk_skips_all(dev: RegistryProcess, tmp_path: Path) -> None:
    pushed = an_image(dev)

    async with client_of(dev) as source, LayoutStore(tmp_path) as disk:
        first = await copy_image(source, SOURCE, digest_of(pushed), disk, DISK)
        second = await copy_image(source, SOURCE, digest_of(pushed), disk, DISK)
        third = await copy_image(disk, DISK, digest_of(pushed), disk, TARGET)

    assert (second.blobs_copied, second.manifests_copied) == (0, 0)
    assert second.blobs_skipped == first.blobs_copied == third.blobs_mounted
    assert third.bytes_copied == 0


_COPY = """
import asyncio, sys
from pathlib import Path
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.transfer import copy_image

async def main(url, root, *tags):
    async with RegistryClient(RegistryEndpoint("c", url)) as source:
        disk = LayoutStore(Path(root))
        for tag in tags:
            manifest = await source.get_manifest("dev/website", tag)
            await copy_image(source, "dev/website", manifest.digest, disk, "transfer/website")
            await disk.put_manifest("transfer/website", tag, manifest)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_that_fill_one_layout_lose_nothing(
    dev: RegistryProcess, tmp_path: Path
) -> None:
    tags = [f"1.{number}" for number in range(12)]
    images = {
        tag: push_image(dev.url, SOURCE, tag, layers=[BASE, noise_layer(1000, tag)]) for tag in tags
    }

    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _COPY, dev.url, str(tmp_path), *part
        )
        for part in (tags[::2], tags[1::2])
    ]

    assert [await writer.wait() for writer in writers] == [0, 0]
    disk = LayoutStore(tmp_path)
    assert sorted([tag async for tag in disk.list_tags(DISK)]) == sorted(tags)
    for tag, image in images.items():
        manifest = await disk.get_manifest(DISK, tag)
        assert manifest.digest == Digest.parse(image.digest)
