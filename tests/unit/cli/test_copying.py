from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from image_promotion.cli.copying import Order, carry_out
from image_promotion.errors import (
    TagConflictError,
    UnsupportedContentError,
    VerificationError,
)
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.manifest import OCI_INDEX, parse_manifest
from image_promotion.registry.platforms import parse_platform
from image_promotion.registry.referrer_tags import cosign_tags
from tests.support.attachments import artifact, cosign_manifest, hold, list_of
from tests.support.memory_store import CONFIG_TYPE, Event, MemoryStore, entry, image_of

SOURCE, TARGET = "dev/site", "qa/site"


def two_stores() -> tuple[MemoryStore, MemoryStore]:
    return (
        MemoryStore(name="source:5000", identity="source"),
        MemoryStore(name="target:5000", identity="target"),
    )


def tagged(store: MemoryStore, repository: str, tag: str, *layers: bytes) -> Descriptor:
    image = store.hold_image(repository, *layers)
    store.tags.setdefault(repository, {})[tag] = image.digest
    return image


def order(source: MemoryStore, target: MemoryStore, *, takes_referrers: bool = False) -> Order:
    return Order(source, SOURCE, "1", target, TARGET, "1", takes_referrers=takes_referrers)


async def test_a_tag_that_is_set_meanwhile_by_somebody_else_is_left_as_it_is() -> None:
    source, target = two_stores()
    tagged(source, SOURCE, "1", b"ours")
    theirs = target.hold_image(TARGET, b"theirs")

    async def somebody_else(event: Event) -> None:
        if event.action == "put_manifest":
            target.tags.setdefault(TARGET, {})["1"] = theirs.digest

    target.hook = somebody_else
    with pytest.raises(TagConflictError) as refused:
        await carry_out(order(source, target))
    assert refused.value.held_digest == str(theirs.digest)
    assert target.tags[TARGET] == {"1": theirs.digest}


async def test_a_conflict_is_found_before_anything_is_sent() -> None:
    source, target = two_stores()
    tagged(source, SOURCE, "1", b"ours")
    tagged(target, TARGET, "1", b"theirs")
    with pytest.raises(TagConflictError):
        await carry_out(order(source, target))
    assert not target.asked("put_blob")
    assert not target.asked("put_manifest")


async def test_a_target_that_loses_what_it_took_is_not_called_verified() -> None:
    source, target = two_stores()
    image = tagged(source, SOURCE, "1", b"layer")

    async def lose(event: Event) -> None:
        if (event.action, event.digest) == ("get_manifest", image.digest):
            target.blobs[TARGET].clear()

    target.hook = lose
    with pytest.raises(VerificationError) as refused:
        await carry_out(order(source, target))
    assert "is missing" in str(refused.value)


class CreatingStore(MemoryStore):
    """A double of a product that takes no push into a repository that was not made before."""

    made: tuple[str, ...] = ()

    @property
    def catalogue(self) -> CreatingStore:
        return self

    async def ensure_repository(self, repository: str) -> bool:
        self.made = (*self.made, repository)
        return True

    async def put_blob(
        self, repository: str, blob: Descriptor, content: AsyncIterator[bytes]
    ) -> None:
        assert repository in self.made
        await super().put_blob(repository, blob, content)


async def test_a_repository_is_made_where_a_push_does_not_make_it() -> None:
    source, target = two_stores()[0], CreatingStore(identity="target")
    image = tagged(source, SOURCE, "1", b"layer")
    await carry_out(order(source, target))
    assert (target.made, target.tags[TARGET]) == ((TARGET,), {"1": image.digest})


async def test_what_is_attached_is_there_before_the_tag() -> None:
    source, target = two_stores()
    image = tagged(source, SOURCE, "1", b"layer")
    signature_tag = cosign_tags(image.digest)[0]
    signature = hold(source, SOURCE, cosign_manifest(image.digest, ["s"]), signature_tag)
    copied = await carry_out(order(source, target, takes_referrers=True))
    assert copied.carriages is not None
    assert [len(each.attachments) for each in copied.carriages] == [1]
    assert target.tags[TARGET] == {"1": image.digest, signature_tag: signature.digest}
    puts = target.asked("put_manifest")
    assert puts.index(signature.digest) < len(puts) - 1
    assert puts[-1] == image.digest
    assert "1 attachment with it" in str(copied)


async def test_an_attachment_that_gets_lost_is_not_passed_over() -> None:
    source, target = two_stores()
    image = tagged(source, SOURCE, "1", b"layer")
    signature_tag = cosign_tags(image.digest)[0]
    signature = hold(source, SOURCE, cosign_manifest(image.digest, ["s"]), signature_tag)

    async def lose(event: Event) -> None:
        # The verification of the image reads it, after all was put.
        if (event.action, event.digest) == ("get_manifest", image.digest):
            target.manifests[TARGET].pop(signature.digest, None)
            target.tags[TARGET].pop(signature_tag, None)

    target.hook = lose
    with pytest.raises(VerificationError, match="attached"):
        await carry_out(order(source, target, takes_referrers=True))


async def test_of_a_narrowed_index_only_what_is_about_the_kept_images_goes_along() -> None:
    source, target = two_stores()
    kept, dropped = (
        source.hold_image(SOURCE, name.encode(), config=name.encode()) for name in ("amd", "arm")
    )
    listed = [
        entry(each) | {"platform": {"os": "linux", "architecture": architecture}}
        for each, architecture in ((kept, "amd64"), (dropped, "arm64"))
    ]
    written = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
    index = source.hold_manifest(SOURCE, parse_manifest(written.encode(), OCI_INDEX))
    source.tags[SOURCE] = {"1": index.digest}
    signatures = {}
    for subject in (kept, dropped, index):
        signatures[subject.digest] = hold(
            source,
            SOURCE,
            cosign_manifest(subject.digest, [f"over {subject.digest}"]),
            cosign_tags(subject.digest)[0],
        )
    wanted = Order(
        source,
        SOURCE,
        "1",
        target,
        TARGET,
        "1",
        platforms=(parse_platform("linux/amd64"),),
        takes_referrers=True,
    )
    copied = await carry_out(wanted)
    assert copied.digest != index.digest
    assert set(target.tags[TARGET]) == {"1", cosign_tags(kept.digest)[0]}
    assert set(target.manifests[TARGET]) == {
        copied.digest,
        kept.digest,
        signatures[kept.digest].digest,
    }
    [warning] = copied.warnings()
    assert str(index.digest) in warning
    assert "signatures over the old one" in warning
    assert copied.warnings() == (await carry_out(wanted)).warnings()


def with_foreign_layer(source: MemoryStore) -> Descriptor:
    """Push an image with a layer that must not be pushed, and whose content the source holds."""
    held = source.hold_blob(SOURCE, b"windows")
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    foreign = Descriptor(kind, held.digest, 7, urls=("https://example.com/windows",))
    image = source.hold_manifest(
        SOURCE, image_of(source.hold_blob(SOURCE, b"{}", CONFIG_TYPE), foreign)
    )
    source.tags[SOURCE] = {"1": image.digest}
    return foreign


async def test_a_foreign_layer_is_left_out_with_a_warning_unless_it_is_asked_for() -> None:
    source, target = two_stores()
    foreign = with_foreign_layer(source)
    [warning] = (await carry_out(order(source, target))).warnings()
    assert warning.startswith("1 foreign layer was not copied")
    assert foreign.digest not in target.blobs[TARGET]
    wanted = replace(order(source, target), foreign_layers=ForeignLayers.COPY)
    assert (await carry_out(wanted)).warnings() == ()
    assert foreign.digest in target.blobs[TARGET]


async def test_an_image_with_a_foreign_layer_is_refused_before_anything_is_sent() -> None:
    source, target = two_stores()
    foreign = with_foreign_layer(source)
    refusing = replace(order(source, target), foreign_layers=ForeignLayers.REFUSE)
    with pytest.raises(UnsupportedContentError, match=str(foreign.digest)):
        await carry_out(refusing)
    assert target.events == []


async def test_what_is_left_behind_is_told() -> None:
    source, target = two_stores()
    image = tagged(source, SOURCE, "1", b"layer")
    stranger = hold(source, SOURCE, artifact(None, "application/spdx+json", b"about nothing"))
    fallback = str(image.digest).replace(":", "-")
    hold_list = list_of(stranger)
    source.hold_manifest(SOURCE, hold_list)
    source.tags[SOURCE][fallback] = hold_list.digest
    copied = await carry_out(order(source, target, takes_referrers=True))
    [warning] = copied.warnings()
    assert str(stranger.digest) in warning
    assert warning.endswith("stranger")
    assert stranger.digest not in target.manifests[TARGET]
