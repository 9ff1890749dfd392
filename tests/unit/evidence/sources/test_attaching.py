from __future__ import annotations

import json

import pytest

from image_promotion.errors import TagConflictError
from image_promotion.evidence.sources.attaching import attach_report
from image_promotion.evidence.sources.referrers import ReferrersSource
from image_promotion.evidence.sources.source import Image
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.fallback_index import Patience
from image_promotion.registry.referrer_tags import fallback_tag
from tests.support.attachments import SBOM_TYPE, ListingStore, artifact, hold, hold_tagged, list_of
from tests.support.memory_store import MemoryStore

REPOSITORY = "qa/website"
AT_ONCE = Patience(settling_s=0.0, backoff_s=0.0)


async def attach(store: MemoryStore, subject: Descriptor, content: bytes = b"{}") -> Descriptor:
    return await attach_report(
        store,
        REPOSITORY,
        subject,
        content,
        media_type="application/vnd.syft+json",
        artifact_type="application/vnd.syft+json",
        annotations={"org.opencontainers.image.created": "2026-05-07T10:11:12Z"},
        patience=AT_ONCE,
    )


@pytest.mark.parametrize("store", [MemoryStore(), ListingStore()], ids=["tag", "listing"])
async def test_what_is_attached_is_found_again(store: MemoryStore) -> None:
    image = store.hold_image(REPOSITORY, b"layer")

    descriptor = await attach(store, image, b'{"artifacts": []}')

    (document,) = (
        await ReferrersSource(store).documents(Image(REPOSITORY, image.digest))
    ).documents
    assert document.content == b'{"artifacts": []}'
    assert document.artifact_type == "application/vnd.syft+json"
    assert str(descriptor.digest) in document.location
    assert (await store.get_manifest(REPOSITORY, descriptor.digest)).subject == image


async def test_a_report_that_is_attached_already_is_not_attached_again() -> None:
    store = MemoryStore()
    image = store.hold_image(REPOSITORY, b"layer")

    first = await attach(store, image)
    second = await attach(store, image)

    assert first == second
    index = await store.get_manifest(REPOSITORY, fallback_tag(image.digest))
    assert len(json.loads(index.content)["manifests"]) == 1


async def test_what_was_attached_before_stays() -> None:
    store = MemoryStore()
    image = store.hold_image(REPOSITORY, b"layer")
    before = hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"before"))
    hold_tagged(store, REPOSITORY, list_of(before), fallback_tag(image.digest))

    await attach(store, image, b"after")

    answer = await ReferrersSource(store).documents(Image(REPOSITORY, image.digest))
    assert {each.content for each in answer.documents} == {b"before", b"after"}


async def test_a_store_that_lists_referrers_by_itself_gets_no_tag() -> None:
    store = ListingStore()
    image = store.hold_image(REPOSITORY, b"layer")

    await attach(store, image)

    assert await store.resolve(REPOSITORY, fallback_tag(image.digest)) is None


async def test_an_image_under_the_tag_of_the_list_is_left_alone() -> None:
    store = MemoryStore()
    image = store.hold_image(REPOSITORY, b"layer")
    manifest = await store.get_manifest(REPOSITORY, image.digest)
    hold_tagged(store, REPOSITORY, manifest, fallback_tag(image.digest))

    with pytest.raises(TagConflictError):
        await attach(store, image)

    assert await store.resolve(REPOSITORY, fallback_tag(image.digest)) == image
