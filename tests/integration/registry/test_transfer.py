"""Copies between two real registries, looked at by plain HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from image_promotion.errors import ContentMismatchError, NotFoundError
from image_promotion.registry.digest import Digest
from image_promotion.registry.transfer import copy_image, list_content
from sandbox.image_layers import Layer, noise_layer, sha256
from sandbox.image_pusher import PushedBlob, PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index
from tests.integration.registry.raw_http import (
    RawRegistry,
    client_of,
    digest_of,
    stored_blob,
)

SOURCE = "dev/website"
TARGET = "qa/website"
BASE = noise_layer(5000, "base")


def an_image(registry: RegistryProcess, *, docker_schema2: bool = False) -> PushedImage:
    return push_image(
        registry.url,
        SOURCE,
        "1.0",
        layers=[BASE, noise_layer(700_000, "site")],
        docker_schema2=docker_schema2,
    )


def an_image_of_docker(registry: RegistryProcess) -> PushedImage:
    return an_image(registry, docker_schema2=True)


def an_index(registry: RegistryProcess, *, docker_schema2: bool = False) -> PushedImage:
    return push_index(
        registry.url,
        SOURCE,
        "2.0",
        images={
            "linux/amd64": [BASE, noise_layer(3000, "amd64")],
            "linux/arm64/v8": [BASE, noise_layer(3000, "arm64")],
        },
        docker_schema2=docker_schema2,
    )


def a_manifest_list_of_docker(registry: RegistryProcess) -> PushedImage:
    return an_index(registry, docker_schema2=True)


EVERY_KIND = pytest.mark.parametrize(
    "push", [an_image, an_image_of_docker, an_index, a_manifest_list_of_docker]
)


@EVERY_KIND
async def test_an_image_arrives_byte_for_byte_and_under_no_tag(
    dev: RegistryProcess, qa: RegistryProcess, push: Callable[[RegistryProcess], PushedImage]
) -> None:
    pushed = push(dev)

    async with client_of(dev) as source, client_of(qa) as target:
        report = await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)

    at_target = RawRegistry(qa)
    at_target.assert_holds(TARGET, pushed)
    assert at_target.tags(TARGET) == []
    blobs = {blob.digest: blob.size_bytes for blob in _all_blobs(pushed)}
    assert report.bytes_copied == sum(blobs.values())
    assert (report.blobs_copied, report.blobs_skipped, report.blobs_mounted) == (len(blobs), 0, 0)
    assert (report.manifests_copied, report.manifests_skipped) == (1 + len(pushed.children), 0)


@EVERY_KIND
async def test_a_second_copy_skips_all(
    dev: RegistryProcess, qa: RegistryProcess, push: Callable[[RegistryProcess], PushedImage]
) -> None:
    pushed = push(dev)

    async with client_of(dev) as source, client_of(qa) as target:
        first = await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)
        second = await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)

    assert (second.blobs_copied, second.bytes_copied, second.manifests_copied) == (0, 0, 0)
    assert second.blobs_skipped == first.blobs_copied
    assert second.bytes_skipped == first.bytes_copied
    assert second.manifests_skipped == first.manifests_copied
    RawRegistry(qa).assert_holds(TARGET, pushed)


async def test_only_what_differs_from_the_last_version_travels(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    first = push_image(dev.url, SOURCE, "1.0", layers=[BASE, noise_layer(1000, "1.0")])
    second = push_image(dev.url, SOURCE, "1.1", layers=[BASE, noise_layer(1000, "1.1")])

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, digest_of(first), target, TARGET)
        report = await copy_image(source, SOURCE, digest_of(second), target, TARGET)

    assert report.bytes_skipped == len(BASE.content)
    assert (report.blobs_copied, report.blobs_skipped) == (2, 1)
    RawRegistry(qa).assert_holds(TARGET, second)


async def test_a_blob_that_the_target_lost_is_sent_again(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    pushed = an_image(dev)
    lost = pushed.blobs[1].digest

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)
        RawRegistry(qa).delete_blob(TARGET, lost)
        report = await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)

    assert report.blobs_copied == 1
    RawRegistry(qa).assert_holds(TARGET, pushed)


@EVERY_KIND
async def test_one_registry_mounts_and_sends_nothing(
    dev: RegistryProcess, push: Callable[[RegistryProcess], PushedImage]
) -> None:
    pushed = push(dev)

    async with client_of(dev) as source, client_of(dev, namespace="qa") as target:
        report = await copy_image(source, SOURCE, digest_of(pushed), target, "website")

    assert (report.blobs_copied, report.bytes_copied, report.blobs_skipped) == (0, 0, 0)
    assert report.blobs_mounted == len({blob.digest for blob in _all_blobs(pushed)})
    RawRegistry(dev).assert_holds(TARGET, pushed)


async def test_a_repository_that_does_not_exist_is_named(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    missing = Digest.of(b"never pushed")

    async with client_of(dev) as source, client_of(qa) as target:
        with pytest.raises(NotFoundError) as caught:
            await copy_image(source, "dev/nothing", missing, target, TARGET)

    assert caught.value.subject.registry == dev.host
    assert caught.value.subject.repository == "dev/nothing"
    assert caught.value.subject.digest == str(missing)
    assert [code.code for code in caught.value.codes] == ["MANIFEST_UNKNOWN"]


async def test_bytes_that_rotted_at_the_source_do_not_arrive(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    pushed = an_image(dev)
    rotten = pushed.blobs[2]
    stored = stored_blob(dev, rotten.digest)
    stored.write_bytes(bytes(rotten.size_bytes))

    async with client_of(dev) as source, client_of(qa) as target:
        with pytest.raises(ContentMismatchError) as caught:
            await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)

    assert caught.value.expected == rotten.digest
    assert caught.value.actual == sha256(bytes(rotten.size_bytes))
    assert caught.value.subject.registry == dev.host
    at_target = RawRegistry(qa)
    assert not at_target.has_blob(TARGET, rotten.digest)
    assert not at_target.has_manifest(TARGET, pushed.digest)


async def test_a_blob_that_was_cut_at_the_source_does_not_arrive(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    pushed = an_image(dev)
    cut = pushed.blobs[2]
    stored = stored_blob(dev, cut.digest)
    stored.write_bytes(stored.read_bytes()[:-1])

    async with client_of(dev) as source, client_of(qa) as target:
        with pytest.raises(ContentMismatchError):
            await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)

    assert not RawRegistry(qa).has_manifest(TARGET, pushed.digest)


async def test_the_content_of_an_index_is_listed_children_first(dev: RegistryProcess) -> None:
    pushed = an_index(dev)

    async with client_of(dev) as source:
        content = await list_content(source, SOURCE, digest_of(pushed))

    digests = [str(manifest.digest) for manifest in content.manifests]
    assert sorted(digests[:-1]) == sorted(child.digest for child in pushed.children)
    assert digests[-1] == pushed.digest
    assert {(str(blob.digest), blob.size_bytes) for blob in content.blobs} == {
        (blob.digest, blob.size_bytes) for blob in _all_blobs(pushed)
    }


# ---- in a process of its own

_COPY = """
import asyncio, json, os, signal, sys
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import copy_image

source_url, target_url, digest, killed_after_bytes = sys.argv[1:]

class Progress:
    sent_bytes = 0
    def planned(self, blobs, size_bytes): pass
    def blob_done(self, blob, how): pass
    def advanced(self, size_bytes):
        self.sent_bytes += size_bytes
        if self.sent_bytes > int(killed_after_bytes):
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    source = RegistryClient(RegistryEndpoint("source", source_url))
    target = RegistryClient(RegistryEndpoint("target", target_url))
    async with source, target:
        report = await copy_image(
            source, "dev/website", Digest.parse(digest), target, "qa/website", progress=Progress()
        )
    # Not ru_maxrss, which begins with the memory of whoever started this process (getrusage(2)).
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak_bytes = int(status["VmHWM"].split()[0]) * 1024
    print(json.dumps({"bytes_copied": report.bytes_copied, "peak_bytes": peak_bytes}))

asyncio.run(main())
"""

_NEVER = 2**62


def _copy_in_a_process(
    dev: RegistryProcess, qa: RegistryProcess, digest: str, *, killed_after_bytes: int = _NEVER
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COPY, dev.url, qa.url, digest, str(killed_after_bytes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_memory_does_not_grow_with_a_blob(dev: RegistryProcess, qa: RegistryProcess) -> None:
    size_bytes = 200_000_000
    content = bytes(size_bytes)  # nothing on the way compresses, so that zeros are as good as any
    digest = sha256(content)
    layer = Layer(content, digest, digest, compressed=False)
    pushed = push_image(dev.url, SOURCE, "1.0", layers=[layer])

    run = _copy_in_a_process(dev, qa, pushed.digest)

    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["bytes_copied"] > size_bytes
    assert outcome["peak_bytes"] < size_bytes // 2
    assert stored_blob(qa, layer.digest).stat().st_size == size_bytes
    for registry in (dev, qa):
        stored_blob(registry, layer.digest).unlink()  # pytest keeps folders; not these bytes


async def test_a_copy_that_was_killed_is_completed_by_the_next(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    pushed = push_image(
        dev.url, SOURCE, "1.0", layers=[noise_layer(1000), noise_layer(8_000_000, "large")]
    )

    killed = _copy_in_a_process(dev, qa, pushed.digest, killed_after_bytes=3_000_000)
    assert killed.returncode == -signal.SIGKILL
    at_target = RawRegistry(qa)
    assert not at_target.has_manifest(TARGET, pushed.digest)
    assert not at_target.has_blob(TARGET, pushed.blobs[2].digest)

    async with client_of(dev) as source, client_of(qa) as target:
        report = await copy_image(source, SOURCE, digest_of(pushed), target, TARGET)
    assert report.manifests_copied == 1
    at_target.assert_holds(TARGET, pushed)


def _all_blobs(image: PushedImage) -> list[PushedBlob]:
    return [*image.blobs, *(blob for child in image.children for blob in _all_blobs(child))]
