"""What is attached to an image: found, carried behind it, and looked at where it went."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from image_promotion.errors import (
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    TagConflictError,
    UnsupportedContentError,
    VerificationError,
)
from image_promotion.registry import referrers as module
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.fallback_index import Patience, list_under_tag
from image_promotion.registry.manifest import ImageIndex, Manifest, parse_manifest
from image_promotion.registry.referrer_memory import TRIED, ReferrerMemory
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from image_promotion.registry.referrer_transfer import carry_attachments, check_attachments
from image_promotion.registry.referrers import Attachments, LeftOut, Reason, find_attachments
from image_promotion.registry.transfer import copy_image
from tests.support.attachments import (
    BUNDLE_TYPE,
    ENVELOPE_TYPE,
    SBOM_TYPE,
    SIGNING_TYPE,
    Built,
    ListingStore,
    artifact,
    cosign_manifest,
    hold,
    hold_tagged,
    list_of,
)
from tests.support.memory_store import Event, MemoryStore, index_of

SOURCE, TARGET = "dev/website", "qa/website"


class Pauses:
    """Waits for nothing, and remembers for how long it was asked to."""

    def __init__(self, *meanwhile: Callable[[], object]) -> None:
        self.asked_s: list[float] = []
        self._meanwhile: Iterator[Callable[[], object]] = iter(meanwhile)

    async def __call__(self, pause_s: float) -> None:
        self.asked_s.append(pause_s)
        if happens := next(self._meanwhile, None):
            happens()


def patience(pauses: Pauses | None = None, *, writes: int = 4) -> Patience:
    return Patience(writes=writes, sleep=pauses or Pauses(), chance=lambda: 0.5)


def attach(store: MemoryStore, *referrers: Built) -> list[Manifest]:
    """Hold referrers of one subject, listed as the store lists them."""
    held = [hold(store, SOURCE, each) for each in referrers]
    subject = held[0].subject
    assert subject is not None
    if not isinstance(store, ListingStore):
        hold_tagged(store, SOURCE, list_of(*held), fallback_tag(subject.digest))
    return held


BOTH_KINDS = pytest.mark.parametrize("kind", [MemoryStore, ListingStore])
Kind = Callable[[], MemoryStore]


@BOTH_KINDS
async def test_referrers_are_found_with_the_type_that_they_have_themselves(kind: Kind) -> None:
    store = kind()
    image = store.hold_image(SOURCE, b"layer")
    bundle, sbom, older = attach(
        store,
        artifact(image, BUNDLE_TYPE, b"bundle", annotations={"predicate": "sign"}),
        artifact(image, SBOM_TYPE, b"sbom"),
        artifact(image, None, b"older", config_type="application/vnd.example.config"),
    )

    found = await find_attachments(store, SOURCE, image.digest)

    assert {each.digest: each.artifact_type for each in found.found} == {
        bundle.digest: BUNDLE_TYPE,
        sbom.digest: SBOM_TYPE,
        older.digest: "application/vnd.example.config",
    }
    assert {each.subject for each in found.found} == {image.digest}
    by_digest = {each.digest: each.descriptor for each in found.found}
    assert by_digest[bundle.digest].annotations == {"predicate": "sign"}
    assert found.left_out == ()


async def test_what_cosign_keeps_under_tags_is_found_with_the_type_of_its_layers() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    sig, att, _ = cosign_tags(image.digest)
    hold(store, SOURCE, cosign_manifest(image.digest, ["a"]), sig)
    hold(store, SOURCE, cosign_manifest(image.digest, ["b"], ENVELOPE_TYPE), att)

    found = await find_attachments(store, SOURCE, image.digest)

    assert [(each.tag, each.artifact_type) for each in found.found] == [
        (sig, SIGNING_TYPE),
        (att, ENVELOPE_TYPE),
    ]


@BOTH_KINDS
async def test_attachments_of_attachments_and_of_an_index_s_images_are_found(kind: Kind) -> None:
    store = kind()
    child = store.hold_image(SOURCE, b"layer")
    index = store.hold_manifest(SOURCE, index_of(child))
    (sbom,) = attach(store, artifact(child, SBOM_TYPE, b"sbom of the child"))
    (signature,) = attach(store, artifact(sbom.descriptor, BUNDLE_TYPE, b"signature of the sbom"))
    hold(store, SOURCE, cosign_manifest(signature.digest, ["a"]), cosign_tags(signature.digest)[0])

    found = await find_attachments(store, SOURCE, index.digest)

    assert [each.subject for each in found.found] == [child.digest, sbom.digest, signature.digest]


async def test_nothing_attached_is_no_error() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")

    assert await find_attachments(store, SOURCE, image.digest) == Attachments(image.digest, ())


async def test_an_image_that_is_not_there_is_one() -> None:
    with pytest.raises(NotFoundError):
        await find_attachments(MemoryStore(), SOURCE, Digest.of(b"missing"))


async def test_only_wanted_types_count_and_what_hangs_on_others_is_left_with_them() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    bundle, sbom = attach(
        store, artifact(image, BUNDLE_TYPE, b"bundle"), artifact(image, SBOM_TYPE, b"sbom")
    )
    attach(store, artifact(sbom.descriptor, BUNDLE_TYPE, b"signature of the sbom"))

    found = await find_attachments(
        store, SOURCE, image.digest, wanted=lambda kind: kind == BUNDLE_TYPE
    )

    assert [each.digest for each in found.found] == [bundle.digest]
    assert found.left_out == (LeftOut(image.digest, sbom.digest, Reason.UNWANTED),)


async def test_a_listed_manifest_that_is_not_about_the_image_is_a_stranger() -> None:
    """Else whoever may write the list could have any image carried along."""
    store = MemoryStore()
    image, other = store.hold_image(SOURCE, b"layer"), store.hold_image(SOURCE, b"not approved")
    about_other = hold(store, SOURCE, artifact(other, SBOM_TYPE, b"sbom of the other"))
    stranger = store.manifests[SOURCE][other.digest]
    hold_tagged(store, SOURCE, list_of(stranger, about_other), fallback_tag(image.digest))

    found = await find_attachments(store, SOURCE, image.digest)

    assert found.found == ()
    assert {(each.digest, each.reason) for each in found.left_out} == {
        (other.digest, Reason.STRANGER),
        (about_other.digest, Reason.STRANGER),
    }


async def test_listed_manifests_that_are_gone_or_of_no_known_kind_are_told() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    gone = artifact(image, SBOM_TYPE, b"gone").manifest
    odd = {
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "digest": str(Digest.of(b"odd")),
        "size": 3,
    }
    document = json.loads(list_of(gone).content)
    document["manifests"].append(odd)
    index = parse_manifest(json.dumps(document).encode(), None)
    hold_tagged(store, SOURCE, index, fallback_tag(image.digest))

    found = await find_attachments(store, SOURCE, image.digest)

    assert {(each.digest, each.reason) for each in found.left_out} == {
        (gone.digest, Reason.MISSING),
        (Digest.of(b"odd"), Reason.UNSUPPORTED),
    }


async def test_a_fallback_tag_that_is_no_list_is_refused_and_named() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    tag = fallback_tag(image.digest)
    hold_tagged(store, SOURCE, store.manifests[SOURCE][image.digest], tag)

    with pytest.raises(ProtocolViolationError) as caught:
        await find_attachments(store, SOURCE, image.digest)

    assert caught.value.subject.tag == tag


@pytest.mark.parametrize("length", [1, 2, 3])
async def test_attachments_that_go_round_in_a_circle_are_refused(length: int) -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    chain = [
        store.manifests[SOURCE][image.digest],
        *(
            hold(store, SOURCE, cosign_manifest(image.digest, [str(number)]))
            for number in range(1, length)
        ),
    ]
    for attached, subject in zip((*chain[1:], chain[0]), chain, strict=True):
        hold_tagged(store, SOURCE, attached, cosign_tags(subject.digest)[0])

    with pytest.raises(ProtocolViolationError):
        await find_attachments(store, SOURCE, image.digest)


async def test_one_manifest_attached_to_two_images_is_no_circle() -> None:
    store = MemoryStore()
    first, second = store.hold_image(SOURCE, b"1"), store.hold_image(SOURCE, b"2")
    index = store.hold_manifest(SOURCE, index_of(first, second))
    shared = cosign_manifest(index.digest, ["a"])
    for image in (first, second):
        hold(store, SOURCE, shared, cosign_tags(image.digest)[2])

    found = await find_attachments(store, SOURCE, index.digest)

    assert [(each.subject, each.digest) for each in found.found] == [
        (first.digest, shared.digest),
        (second.digest, shared.digest),
    ]


async def test_more_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    attach(store, *(artifact(image, SBOM_TYPE, bytes([number])) for number in range(4)))
    monkeypatch.setattr(module, "MAX_ATTACHMENTS", 3)

    with pytest.raises(UnsupportedContentError):
        await find_attachments(store, SOURCE, image.digest)


@pytest.mark.parametrize(("length", "allowed"), [(3, True), (4, False)])
async def test_chains_longer_than_the_limit_are_refused(
    monkeypatch: pytest.MonkeyPatch, length: int, allowed: bool
) -> None:
    store = MemoryStore()
    subject = image = store.hold_image(SOURCE, b"layer")
    for number in range(length):
        (manifest,) = attach(store, artifact(subject, SBOM_TYPE, bytes([number])))
        subject = manifest.descriptor
    monkeypatch.setattr(module, "MAX_DEPTH", 4)

    if allowed:
        assert len((await find_attachments(store, SOURCE, image.digest)).found) == length
    else:
        with pytest.raises(UnsupportedContentError):
            await find_attachments(store, SOURCE, image.digest)


def test_tags_follow_the_two_schemas() -> None:
    digest, long = Digest.of(b"x"), Digest.of(b"x", "sha512")

    assert fallback_tag(digest) == f"sha256-{digest.encoded}"
    assert fallback_tag(long) == f"sha512-{long.encoded[:64]}"
    assert cosign_tags(digest) == tuple(
        f"sha256-{digest.encoded}.{suffix}" for suffix in ("sig", "att", "sbom")
    )
    assert cosign_tags(long) == ()


# ---- carrying


def a_signed_image(store: MemoryStore) -> Descriptor:
    """Hold an image with a bundle, a signed SBOM, and a signature under cosign's tag."""
    image = store.hold_image(SOURCE, b"layer")
    _, sbom = attach(
        store,
        artifact(image, BUNDLE_TYPE, b"bundle", annotations={"predicate": "sign"}),
        artifact(image, SBOM_TYPE, b"sbom"),
    )
    attach(store, artifact(sbom.descriptor, BUNDLE_TYPE, b"signature of the sbom"))
    hold(store, SOURCE, cosign_manifest(image.digest, ["a"]), cosign_tags(image.digest)[0])
    return image


@pytest.mark.parametrize("source_kind", [MemoryStore, ListingStore])
@pytest.mark.parametrize("target_kind", [MemoryStore, ListingStore])
async def test_all_that_is_attached_arrives_and_is_found_there(
    source_kind: Kind, target_kind: Kind
) -> None:
    source, target = source_kind(), target_kind()
    target.identity = "another"
    image = a_signed_image(source)

    await copy_image(source, SOURCE, image.digest, target, TARGET)
    report = await carry_attachments(
        source, SOURCE, image.digest, target, TARGET, patience=patience()
    )

    expected = await find_attachments(source, SOURCE, image.digest)
    assert len(expected.found) == 4
    assert set((await find_attachments(target, TARGET, image.digest)).found) == set(expected.found)
    assert await check_attachments(report.attachments, target, TARGET) == ()
    lists = {tag for tag in target.tags[TARGET] if not tag.endswith(".sig")}
    assert len(lists) == report.lists_written == (0 if target_kind is ListingStore else 2)


async def test_carrying_again_writes_nothing() -> None:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = a_signed_image(source)
    await copy_image(source, SOURCE, image.digest, target, TARGET)
    await carry_attachments(source, SOURCE, image.digest, target, TARGET, patience=patience())
    target.events.clear()

    report = await carry_attachments(
        source, SOURCE, image.digest, target, TARGET, patience=patience()
    )

    assert (report.manifests_copied, report.lists_written, report.tags_set) == (0, 0, 0)
    assert not target.asked("put_manifest")
    assert not target.asked("put_blob")


async def test_no_list_and_no_tag_comes_before_what_it_leads_to() -> None:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = a_signed_image(source)
    await copy_image(source, SOURCE, image.digest, target, TARGET)

    async def fail_at_the_last_manifest(event: Event) -> None:
        if event.action == "put_manifest" and len(target.asked("put_manifest")) == 1 + 4:
            raise DeniedError("not now")

    target.hook = fail_at_the_last_manifest
    with pytest.raises(DeniedError):
        await carry_attachments(source, SOURCE, image.digest, target, TARGET, patience=patience())

    assert target.tags.get(TARGET, {}) == {}


async def test_the_list_says_types_and_annotations() -> None:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = a_signed_image(source)
    await copy_image(source, SOURCE, image.digest, target, TARGET)

    await carry_attachments(source, SOURCE, image.digest, target, TARGET, patience=patience())

    index = await target.get_manifest(TARGET, fallback_tag(image.digest))
    assert isinstance(index, ImageIndex)
    assert [(each.artifact_type, each.annotations) for each in index.manifests] == [
        (BUNDLE_TYPE, {"predicate": "sign"}),
        (SBOM_TYPE, {}),
    ]


@pytest.mark.parametrize(
    ("held", "carried", "stays"),
    [
        (["a"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a"], ["a", "b"]),
    ],
)
async def test_a_tag_of_cosigns_ends_with_the_signatures_of_both(
    held: list[str], carried: list[str], stays: list[str]
) -> None:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = source.hold_image(SOURCE, b"layer")
    tag = cosign_tags(image.digest)[0]
    hold(source, SOURCE, cosign_manifest(image.digest, carried), tag)
    hold(target, TARGET, cosign_manifest(image.digest, held), tag)

    report = await carry_attachments(
        source, SOURCE, image.digest, target, TARGET, patience=patience()
    )

    assert target.tags[TARGET][tag] == cosign_manifest(image.digest, stays).digest
    assert await check_attachments(report.attachments, target, TARGET) == ()


async def test_signatures_that_one_tag_cannot_keep_both_are_a_conflict() -> None:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = source.hold_image(SOURCE, b"layer")
    tag = cosign_tags(image.digest)[0]
    hold(source, SOURCE, cosign_manifest(image.digest, ["a"]), tag)
    held = hold(target, TARGET, cosign_manifest(image.digest, ["b"]), tag)

    with pytest.raises(TagConflictError) as caught:
        await carry_attachments(source, SOURCE, image.digest, target, TARGET, patience=patience())

    assert (caught.value.held_digest, caught.value.subject.tag) == (str(held.digest), tag)
    assert target.tags[TARGET][tag] == held.digest


# ---- the list under the fallback tag


async def test_what_others_listed_stays_as_they_wrote_it() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    theirs, ours = (hold(store, SOURCE, artifact(image, SBOM_TYPE, b)) for b in (b"1", b"2"))
    document = json.loads(list_of(theirs).content)
    document["annotations"] = {"by": "them"}
    document["manifests"][0]["x-member"] = True
    before = parse_manifest(json.dumps(document).encode(), None)
    hold_tagged(store, SOURCE, before, fallback_tag(image.digest))

    assert await list_under_tag(store, SOURCE, image.digest, [ours.descriptor], patience=patience())

    after = json.loads((await store.get_manifest(SOURCE, fallback_tag(image.digest))).content)
    assert after["manifests"][0] == document["manifests"][0]
    assert after["annotations"] == {"by": "them"}
    assert after["manifests"][1]["digest"] == str(ours.digest)


async def test_a_list_that_names_what_is_gone_is_mended() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    gone = artifact(image, SBOM_TYPE, b"gone").manifest
    kept, ours = (hold(store, SOURCE, artifact(image, SBOM_TYPE, b)) for b in (b"1", b"2"))
    hold_tagged(store, SOURCE, list_of(gone, kept), fallback_tag(image.digest))

    class Refusing(MemoryStore):
        """Refuses as distribution does: 404, and not our strict double's violation."""

        async def put_manifest(
            self, repository: str, reference: str | Digest, manifest: Manifest
        ) -> None:
            try:
                await super().put_manifest(repository, reference, manifest)
            except ProtocolViolationError as error:
                raise NotFoundError("a part is missing", status=404) from error

    refusing = Refusing(blobs=store.blobs, manifests=store.manifests, tags=store.tags)
    await list_under_tag(refusing, SOURCE, image.digest, [ours.descriptor], patience=patience())

    index = await store.get_manifest(SOURCE, fallback_tag(image.digest))
    assert isinstance(index, ImageIndex)
    assert [each.digest for each in index.manifests] == [kept.digest, ours.digest]


async def test_a_fallback_tag_at_something_else_is_a_conflict() -> None:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    sbom = hold(store, SOURCE, artifact(image, SBOM_TYPE, b"sbom"))
    hold_tagged(store, SOURCE, sbom, fallback_tag(image.digest))

    with pytest.raises(TagConflictError):
        await list_under_tag(store, SOURCE, image.digest, [sbom.descriptor], patience=patience())


def _contended(others: int) -> tuple[MemoryStore, Descriptor, list[Manifest], Callable[[], None]]:
    store = MemoryStore()
    image = store.hold_image(SOURCE, b"layer")
    manifests = [
        hold(store, SOURCE, artifact(image, SBOM_TYPE, bytes([number])))
        for number in range(others + 1)
    ]

    def overwrite() -> None:
        """Do what a writer does that had read before ours wrote."""
        hold_tagged(store, SOURCE, list_of(*manifests[1:]), fallback_tag(image.digest))

    return store, image, manifests, overwrite


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_what_another_writer_overwrites_is_written_again(times: int) -> None:
    store, image, manifests, overwrite = _contended(1)
    pauses = Pauses(*(each for _ in range(times) for each in (overwrite, lambda: None)))

    await list_under_tag(
        store, SOURCE, image.digest, [manifests[0].descriptor], patience=patience(pauses)
    )

    index = await store.get_manifest(SOURCE, fallback_tag(image.digest))
    assert isinstance(index, ImageIndex)
    assert {each.digest for each in index.manifests} == {each.digest for each in manifests}
    settling_s = Patience().settling_s
    assert pauses.asked_s[-1] >= settling_s, "nobody waited to see whether it holds"


async def test_a_list_that_never_holds_ends_in_an_error_that_may_be_retried() -> None:
    store, image, manifests, overwrite = _contended(1)

    class Forever(Pauses):
        async def __call__(self, pause_s: float) -> None:
            await super().__call__(pause_s)
            overwrite()

    with pytest.raises(VerificationError) as caught:
        await list_under_tag(
            store, SOURCE, image.digest, [manifests[0].descriptor], patience=patience(Forever())
        )

    assert caught.value.retryable
    assert str(manifests[0].digest) in caught.value.problems[0]
    assert len(store.asked("put_manifest")) == 4


# ---- looking


async def _carried() -> tuple[MemoryStore, Descriptor, Attachments]:
    source, target = MemoryStore(), MemoryStore(identity="another")
    image = a_signed_image(source)
    await copy_image(source, SOURCE, image.digest, target, TARGET)
    await carry_attachments(source, SOURCE, image.digest, target, TARGET, patience=patience())
    return target, image, await find_attachments(source, SOURCE, image.digest)


async def test_each_thing_that_is_missing_is_told() -> None:
    target, image, expected = await _carried()
    sbom = next(each for each in expected.found if each.artifact_type == SBOM_TYPE)
    sig = cosign_tags(image.digest)[0]
    tag = fallback_tag(image.digest)

    del target.tags[TARGET][sig]
    assert await check_attachments(expected.found, target, TARGET) == (f"the tag {sig} is missing",)
    target.tags[TARGET][sig] = sbom.digest
    assert await check_attachments(expected.found, target, TARGET) == (
        f"the tag {sig} points at {sbom.digest}",
    )
    del target.tags[TARGET][sig], target.tags[TARGET][tag]
    assert len(await check_attachments(expected.found, target, TARGET)) == 3
    del target.blobs[TARGET][Digest.of(b"sbom")]
    problems = await check_attachments(expected.found, target, TARGET)
    assert f"the blob {Digest.of(b'sbom')} of {sbom.digest} is missing" in problems
    del target.manifests[TARGET][sbom.digest]
    problems = await check_attachments(expected.found, target, TARGET)
    assert f"{sbom.digest} is not there whole" in problems


@BOTH_KINDS
async def test_what_was_learnt_from_some_images_saves_requests_and_loses_nothing(
    kind: Kind,
) -> None:
    store = kind()
    images = [store.hold_image(SOURCE, str(number).encode()) for number in range(30)]
    signed = images[20]
    sbom = attach(store, artifact(signed, SBOM_TYPE, b"sbom"))[0]
    signature = hold(
        store, SOURCE, cosign_manifest(images[25].digest, ["a"]), cosign_tags(images[25].digest)[0]
    )
    memory = ReferrerMemory()

    found = [await find_attachments(store, SOURCE, image.digest, memory=memory) for image in images]

    attached = {each.image: [one.digest for one in each.found] for each in found if each.found}
    assert attached == {signed.digest: [sbom.digest], images[25].digest: [signature.digest]}


async def test_where_nothing_has_a_tag_of_an_attachment_nothing_more_is_asked() -> None:
    store = MemoryStore()
    images = [store.hold_image(SOURCE, str(number).encode()) for number in range(30)]
    store.tags[SOURCE] = {"1.0": images[0].digest}
    memory = ReferrerMemory()
    for image in images[:TRIED]:
        await find_attachments(store, SOURCE, image.digest, memory=memory)
    store.events.clear()

    for image in images[TRIED:]:
        assert (await find_attachments(store, SOURCE, image.digest, memory=memory)).found == ()

    assert store.events == []
