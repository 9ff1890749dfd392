"""Signatures and SBOMs travel with their image between real registries.

CNCF distribution 2.8 has no referrers API, so that what is attached stands under fallback tags.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.fallback_index import list_under_tag
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.referrer_transfer import carry_attachments, check_attachments
from image_promotion.registry.referrers import find_attachments
from image_promotion.registry.transfer import copy_image
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import ImagePusher
from sandbox.registry_process import RegistryProcess
from tests.integration.registry.raw_http import RawRegistry, client_of
from tests.support.attachments import BUNDLE_TYPE, SBOM_TYPE, artifact
from tests.support.signed_images import push, push_signed_index

SOURCE, TARGET = "dev/website", "qa/website"


async def test_all_that_is_attached_arrives_byte_for_byte_and_is_found_there(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index, number = push_signed_index(dev, SOURCE)

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, index.digest, target, TARGET)
        report = await carry_attachments(source, SOURCE, index.digest, target, TARGET)
        found = await find_attachments(target, TARGET, index.digest)
        assert await check_attachments(report.attachments, target, TARGET) == ()
        again = await carry_attachments(source, SOURCE, index.digest, target, TARGET)

    assert len(report.attachments) == number
    assert set(found.found) == set(report.attachments)
    assert (again.manifests_copied, again.lists_written, again.tags_set) == (0, 0, 0)
    at_source, at_target = RawRegistry(dev), RawRegistry(qa)
    for attachment in report.attachments:
        digest = str(attachment.digest)
        assert at_target.manifest(TARGET, digest) == at_source.manifest(SOURCE, digest)
    assert set(at_target.tags(TARGET)) == set(at_source.tags(SOURCE)) - {"1.0"}


async def test_all_that_is_attached_crosses_an_air_gap(
    dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path
) -> None:
    index, number = push_signed_index(dev, SOURCE)
    disk = LayoutStore(tmp_path)

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, index.digest, disk, SOURCE)
        await carry_attachments(source, SOURCE, index.digest, disk, SOURCE)
        await copy_image(disk, SOURCE, index.digest, target, TARGET)
        report = await carry_attachments(disk, SOURCE, index.digest, target, TARGET)

        assert await check_attachments(report.attachments, disk, SOURCE) == ()
        assert await check_attachments(report.attachments, target, TARGET) == ()
    assert len(report.attachments) == number


async def test_what_a_policy_does_not_want_stays_behind(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index, _ = push_signed_index(dev, SOURCE)

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, index.digest, target, TARGET)
        report = await carry_attachments(
            source, SOURCE, index.digest, target, TARGET, wanted=lambda kind: kind == BUNDLE_TYPE
        )

    assert {each.artifact_type for each in report.attachments} == {BUNDLE_TYPE}
    assert RawRegistry(qa).tags(TARGET) == [fallback_tag(index.digest)]


async def test_a_registry_that_lost_an_attachment_is_told_and_mended(
    dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index, _ = push_signed_index(dev, SOURCE)

    async with client_of(dev) as source, client_of(qa) as target:
        await copy_image(source, SOURCE, index.digest, target, TARGET)
        report = await carry_attachments(source, SOURCE, index.digest, target, TARGET)
        lost = report.attachments[0]
        url = f"{qa.url}/v2/{TARGET}/manifests/{lost.digest}"
        await asyncio.to_thread(_delete, url)
        assert await check_attachments(report.attachments, target, TARGET) == (
            f"{lost.digest} is not there whole",
        )
        await carry_attachments(source, SOURCE, index.digest, target, TARGET)
        assert await check_attachments(report.attachments, target, TARGET) == ()


@pytest.mark.parametrize("writers", [6])
async def test_writers_of_one_list_lose_nothing(dev: RegistryProcess, writers: int) -> None:
    """Six at once is where a plain read, merge and write kept two."""
    with ImagePusher(dev.url) as pusher:
        pushed = pusher.push_image(SOURCE, "1.0", layers=[noise_layer(1000)])
        image = Descriptor(pushed.media_type, Digest.parse(pushed.digest), len(pushed.manifest))
        referrers = [
            push(pusher, SOURCE, artifact(image, SBOM_TYPE, f"sbom {number}".encode()))
            for number in range(writers)
        ]
    # Distribution answers 500 while it writes a tag that is read, so that reads are retried.
    clients = [RegistryClient(RegistryEndpoint("dev", dev.url)) for _ in referrers]

    await asyncio.gather(
        *(
            list_under_tag(client, SOURCE, image.digest, [referrer])
            for client, referrer in zip(clients, referrers, strict=True)
        )
    )

    index = await clients[0].get_manifest(SOURCE, fallback_tag(image.digest))
    for client in clients:
        await client.aclose()
    assert isinstance(index, ImageIndex)
    assert {each.digest for each in index.manifests} == {each.digest for each in referrers}


def _delete(url: str) -> None:
    httpx.delete(url, trust_env=False).raise_for_status()
