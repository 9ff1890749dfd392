from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from image_promotion.errors import DeniedError, RegistryCode, RegistryError
from image_promotion.registry.arrivals import Arrivals
from image_promotion.registry.digest import Digest
from image_promotion.registry.retry import RetryRules
from image_promotion.registry.transfer import copy_image
from tests.support.memory_store import Event, MemoryStore

BASE = b"the base layer"
ONCE = RetryRules(attempts=1)


def two_stores() -> tuple[MemoryStore, MemoryStore]:
    return MemoryStore("source", "source"), MemoryStore("target", "target")


async def copy(source: MemoryStore, image: Digest, target: MemoryStore, arrivals: Arrivals) -> None:
    await copy_image(source, "dev/site", image, target, "qa/site", arrivals=arrivals, retry=ONCE)


async def test_of_many_images_at_once_each_shared_blob_is_sent_once() -> None:
    source, target = two_stores()
    images = [source.hold_image("dev/site", BASE, bytes([n])).digest for n in range(20)]
    arrivals = Arrivals()

    await asyncio.gather(*(copy(source, image, target, arrivals) for image in images))

    assert Counter(target.asked("put_blob"))[Digest.of(BASE)] == 1
    assert set(target.manifests["qa/site"]) == set(images)


async def test_a_later_image_does_not_ask_for_what_an_earlier_one_brought() -> None:
    source, target = two_stores()
    first = source.hold_image("dev/site", BASE, b"a").digest
    second = source.hold_image("dev/site", BASE, b"b").digest
    arrivals = Arrivals()

    await copy(source, first, target, arrivals)
    await copy(source, second, target, arrivals)

    assert target.asked("blob_size").count(Digest.of(BASE)) == 1


async def test_a_blob_that_was_collected_meanwhile_is_sent_again() -> None:
    source, target = two_stores()
    first = source.hold_image("dev/site", BASE, b"a").digest
    second = source.hold_image("dev/site", BASE, b"b").digest
    arrivals = Arrivals()
    await copy(source, first, target, arrivals)
    del target.blobs["qa/site"][Digest.of(BASE)]

    async def refuse_what_lacks_a_blob(event: Event) -> None:
        if event.action == "put_manifest" and Digest.of(BASE) not in target.blobs["qa/site"]:
            raise RegistryError("it lacks a blob", codes=(RegistryCode("MANIFEST_BLOB_UNKNOWN"),))

    target.hook = refuse_what_lacks_a_blob
    await copy(source, second, target, arrivals)

    assert target.blobs["qa/site"][Digest.of(BASE)] == BASE
    assert second in target.manifests["qa/site"]


async def test_a_registry_that_never_knows_the_blob_ends_the_copy_with_its_own_words() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", BASE).digest

    async def never_take_a_manifest(event: Event) -> None:
        if event.action == "put_manifest":
            raise RegistryError("it lacks a blob", codes=(RegistryCode("MANIFEST_BLOB_UNKNOWN"),))

    target.hook = never_take_a_manifest
    with pytest.raises(RegistryError, match="it lacks a blob"):
        await copy(source, image, target, Arrivals())
    assert target.asked("put_manifest").count(image) == 3


async def test_what_one_copy_cannot_bring_another_one_tries() -> None:
    source, target = two_stores()
    images = [source.hold_image("dev/site", BASE, bytes([n])).digest for n in range(2)]
    refusals = iter([DeniedError("not this time")])

    async def refuse_once(event: Event) -> None:
        await asyncio.sleep(0)
        if event == Event("put_blob", Digest.of(BASE)):
            for refusal in refusals:
                raise refusal

    target.hook = refuse_once
    arrivals = Arrivals()
    done = await asyncio.gather(
        *(copy(source, image, target, arrivals) for image in images), return_exceptions=True
    )

    assert [type(each) for each in done if each] == [DeniedError]
    assert target.blobs["qa/site"][Digest.of(BASE)] == BASE
    assert len(target.manifests["qa/site"]) == 1


async def test_images_that_want_each_others_blobs_do_not_wait_for_ever() -> None:
    source, target = two_stores()
    layers = [bytes([n]) * 3 for n in range(6)]
    forth = source.hold_image("dev/site", *layers).digest
    back = source.hold_image("dev/site", *reversed(layers)).digest
    arrivals = Arrivals()

    async with asyncio.timeout(10):
        await asyncio.gather(
            *(copy(source, image, target, arrivals) for image in (forth, back) * 3)
        )

    assert set(target.manifests["qa/site"]) == {forth, back}


async def test_places_are_told_apart() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", BASE).digest
    arrivals = Arrivals()

    await copy(source, image, target, arrivals)
    await copy_image(source, "dev/site", image, target, "qa/other", arrivals=arrivals)

    assert target.blobs["qa/other"][Digest.of(BASE)] == BASE


async def test_what_was_sent_before_the_registry_denied_it_counts_as_sent() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", BASE).digest
    refusals = iter([RegistryError("not yet", codes=(RegistryCode("MANIFEST_BLOB_UNKNOWN"),))])

    async def deny_once(event: Event) -> None:
        if event.action == "put_manifest":
            for refusal in refusals:
                raise refusal

    target.hook = deny_once
    report = await copy_image(source, "dev/site", image, target, "qa/site", retry=ONCE)

    assert (report.blobs_copied, report.blobs_skipped) == (2, 0)
    assert target.asked("put_blob").count(Digest.of(BASE)) == 1
