from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import (
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry import manifest_tree
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import OCI_INDEX
from image_promotion.registry.passage import BlobOutcome
from image_promotion.registry.retry import RetryRules
from image_promotion.registry.store import Store
from image_promotion.registry.transfer import (
    TransferReport,
    copy_image,
    list_content,
    readable_size,
)
from tests.support.memory_store import CONFIG_TYPE, Event, MemoryStore, image_of, index_of

AT_ONCE = RetryRules(attempts=3, base_s=0.0)
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@dataclass
class RecordedProgress:
    plans: list[tuple[int, int]] = field(default_factory=list)
    sent_bytes: int = 0
    done: list[tuple[Digest, BlobOutcome]] = field(default_factory=list)

    def planned(self, blobs: int, size_bytes: int) -> None:
        self.plans.append((blobs, size_bytes))

    def advanced(self, size_bytes: int) -> None:
        self.sent_bytes += size_bytes

    def blob_done(self, blob: Descriptor, how: BlobOutcome) -> None:
        self.done.append((blob.digest, how))


def two_stores() -> tuple[MemoryStore, MemoryStore]:
    return (
        MemoryStore(name="source:5000", identity="source"),
        MemoryStore(name="target:5000", identity="target"),
    )


async def copy(
    source: Store, image: Descriptor, target: Store, *, concurrency: int = 4
) -> TransferReport:
    return await copy_image(
        source, "dev/site", image.digest, target, "qa/site", concurrency=concurrency, retry=AT_ONCE
    )


def two_platforms(source: MemoryStore) -> tuple[Descriptor, Descriptor, Descriptor]:
    one = source.hold_image("dev/site", b"shared layer", b"amd64 layer", config=b'{"a": 1}')
    two = source.hold_image("dev/site", b"shared layer", b"arm64 layer", config=b'{"a": 2}')
    return one, two, source.hold_manifest("dev/site", index_of(one, two))


async def test_an_image_arrives_byte_for_byte_and_under_no_tag() -> None:
    source, target = two_stores()
    *_, index = two_platforms(source)

    report = await copy(source, index, target)

    assert target.blobs["qa/site"] == source.blobs["dev/site"]
    assert {digest: known.content for digest, known in target.manifests["qa/site"].items()} == {
        digest: known.content for digest, known in source.manifests["dev/site"].items()
    }
    assert target.tags == {}
    assert (report.blobs_copied, report.manifests_copied) == (5, 3)
    assert report.bytes_copied == sum(map(len, source.blobs["dev/site"].values()))


async def test_content_comes_before_manifests_and_children_before_parents() -> None:
    source, target = two_stores()
    one, two, index = two_platforms(source)

    await copy(source, index, target)

    actions = [event.action for event in target.events]
    last_blob = max(at for at, action in enumerate(actions) if action == "blob_stored")
    assert actions.index("put_manifest") > last_blob
    put = target.asked("put_manifest")
    assert set(put[:2]) == {one.digest, two.digest}
    assert put[2:] == [index.digest]


async def test_a_manifest_that_stands_at_two_heights_goes_before_both_its_parents() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    inner = source.hold_manifest("dev/site", index_of(image))
    outer = source.hold_manifest("dev/site", index_of(image, inner))

    await copy(source, outer, target)

    assert target.asked("put_manifest") == [image.digest, inner.digest, outer.digest]


async def test_what_the_target_has_is_not_sent_again() -> None:
    source, target = two_stores()
    *_, index = two_platforms(source)
    await copy(source, index, target)
    target.events.clear()

    report = await copy(source, index, target)

    assert target.asked("put_blob") == target.asked("put_manifest") == []
    assert (report.blobs_copied, report.blobs_skipped) == (0, 5)
    assert (report.manifests_copied, report.manifests_skipped) == (0, 3)
    assert report.bytes_skipped == sum(map(len, source.blobs["dev/site"].values()))


async def test_a_blob_lost_by_the_target_is_sent_though_the_manifest_is_there() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    await copy(source, image, target)
    del target.blobs["qa/site"][Digest.of(b"layer")]

    report = await copy(source, image, target)

    assert target.blobs["qa/site"][Digest.of(b"layer")] == b"layer"
    assert report.blobs_copied == 1


async def test_a_layer_that_comes_often_is_sent_once() -> None:
    source, target = two_stores()
    one = source.hold_image("dev/site", b"same", b"same", b"same")
    two = source.hold_image("dev/site", b"same", b"other")
    index = source.hold_manifest("dev/site", index_of(one, two, one))

    await copy(source, index, target)

    assert max(Counter(target.asked("put_blob")).values()) == 1
    assert max(Counter(target.asked("blob_size")).values()) == 1
    assert max(Counter(source.asked("get_manifest")).values()) == 1


async def test_an_empty_blob_is_a_blob() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"", config=b"{}")

    report = await copy(source, image, target)

    assert target.blobs["qa/site"][Digest.of(b"")] == b""
    assert (report.blobs_copied, report.bytes_copied) == (2, 2)


async def test_one_registry_shares_blobs_between_its_repositories() -> None:
    store = MemoryStore()
    image = store.hold_image("dev/site", b"layer")

    report = await copy(store, image, store)

    assert store.asked("open_blob") == store.asked("put_blob") == []
    assert (report.blobs_mounted, report.bytes_mounted, report.blobs_copied) == (2, 7, 0)


async def test_a_mount_reaches_into_the_other_connections_namespace() -> None:
    source = MemoryStore(namespace="team-a")
    target = MemoryStore(namespace="team-b", blobs=source.blobs)
    image = source.hold_image("dev/site", b"layer")

    report = await copy(source, image, target)

    assert report.blobs_mounted == 2
    assert Digest.of(b"layer") in target.blobs["team-b/qa/site"]


async def test_two_registries_are_never_asked_to_mount() -> None:
    source, target = two_stores()

    await copy(source, source.hold_image("dev/site", b"layer"), target)

    assert target.asked("mount_blob") == []


@pytest.mark.parametrize(
    "refused", [None, DeniedError("no"), NotFoundError("no"), RegistryError("no", status=405)]
)
async def test_a_refused_mount_becomes_a_copy(refused: Exception | None) -> None:
    async def refuse(event: Event) -> None:
        if event.action == "mount_blob" and refused is not None:
            raise refused

    store = MemoryStore(mounts=False, hook=refuse)
    image = store.hold_image("dev/site", b"layer")

    report = await copy(store, image, store)

    assert (report.blobs_copied, report.blobs_mounted) == (2, 0)


@pytest.mark.parametrize("error", [UnreachableError("gone"), RateLimitedError("too many")])
async def test_a_mount_without_an_answer_ends_the_copy(error: RegistryError) -> None:
    async def fail(event: Event) -> None:
        if event.action == "mount_blob":
            raise error

    store = MemoryStore(hook=fail)
    image = store.hold_image("dev/site", b"layer")

    with pytest.raises(type(error)):
        await copy(store, image, store)
    assert store.asked("put_blob") == []


async def test_bytes_that_are_not_the_digests_end_the_copy_with_nothing_stored() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    source.blobs["dev/site"][Digest.of(b"layer")] = b"LAYER"

    with pytest.raises(ContentMismatchError) as refused:
        await copy(source, image, target)

    assert refused.value.subject.registry == "source:5000"
    assert refused.value.subject.repository == "dev/site"
    assert Digest.of(b"layer") not in target.blobs.get("qa/site", {})
    assert target.manifests == {}


async def test_a_blob_of_another_size_at_the_target_is_told_and_not_overwritten() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    target.blobs["qa/site"] = {Digest.of(b"layer"): b"more than a layer"}

    with pytest.raises(ContentMismatchError) as refused:
        await copy(source, image, target)

    assert (refused.value.expected, refused.value.actual) == ("5 bytes", "17 bytes")
    assert refused.value.subject.registry == "target:5000"
    assert target.asked("put_blob") == []


async def test_a_stream_that_breaks_is_read_again_from_its_start() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"a layer of several pieces")
    breaks = 2

    async def break_twice(event: Event) -> None:
        nonlocal breaks
        if event == Event("piece", Digest.of(b"a layer of several pieces")) and breaks:
            breaks -= 1
            raise UnreachableError("the connection broke")

    source.hook = break_twice
    progress = RecordedProgress()

    await copy_image(
        source, "dev/site", image.digest, target, "qa/site", progress=progress, retry=AT_ONCE
    )

    assert target.blobs["qa/site"] == source.blobs["dev/site"]
    assert source.asked("open_blob").count(Digest.of(b"a layer of several pieces")) == 3
    assert progress.sent_bytes == 25 + 2


async def test_a_stream_that_keeps_breaking_ends_with_its_own_error() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer", config=b"")

    async def break_always(event: Event) -> None:
        if event.action == "piece":
            raise UnreachableError("the connection broke")

    source.hook = break_always

    with pytest.raises(UnreachableError, match="the connection broke") as broken:
        await copy(source, image, target)

    assert broken.value.subject.registry == "source:5000"
    assert broken.value.subject.digest == str(Digest.of(b"layer"))
    assert len(source.asked("open_blob")) <= 3 + 1
    assert target.manifests == {}


async def test_what_no_retry_helps_is_tried_once() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site")

    async def deny(event: Event) -> None:
        if event.action == "put_blob":
            raise DeniedError("you may not")

    target.hook = deny

    with pytest.raises(DeniedError) as denied:
        await copy(source, image, target)

    assert len(target.asked("put_blob")) == 1
    assert denied.value.subject.registry == "target:5000"
    assert denied.value.subject.repository == "qa/site"


async def test_the_first_failure_cancels_the_other_blobs() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"fails", b"hangs")
    hangs = asyncio.Event()
    cancelled: list[Digest] = []

    async def hang_or_fail(event: Event) -> None:
        if event == Event("put_blob", Digest.of(b"hangs")):
            hangs.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(event.digest)
                raise
        if event == Event("put_blob", Digest.of(b"fails")):
            await hangs.wait()
            cause = OSError("the reason")
            raise DeniedError("you may not") from cause

    target.hook = hang_or_fail

    with pytest.raises(DeniedError) as denied:
        await asyncio.wait_for(copy(source, image, target), timeout=10)

    assert cancelled == [Digest.of(b"hangs")]
    assert isinstance(denied.value.__cause__, OSError)
    assert target.asked("put_manifest") == []


async def test_a_missing_source_blob_names_the_source() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    del source.blobs["dev/site"][Digest.of(b"layer")]

    with pytest.raises(NotFoundError) as missing:
        await copy(source, image, target)

    assert missing.value.subject.registry == "source:5000"
    assert target.manifests == {}


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_blobs_travel_at_a_time_than_allowed(concurrency: int) -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", *(bytes([number]) for number in range(12)))
    travelling = most = 0

    async def count(event: Event) -> None:
        nonlocal travelling, most
        if event.action == "put_blob":
            travelling += 1
            most = max(most, travelling)
            for _ in range(5):
                await asyncio.sleep(0)
        if event.action == "blob_stored":
            travelling -= 1

    target.hook = count

    await copy(source, image, target, concurrency=concurrency)

    assert most == concurrency


async def test_progress_tells_what_is_to_be_sent_and_each_blob_once() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer", b"known")
    target.hold_blob("qa/site", b"known")
    progress = RecordedProgress()

    await copy_image(source, "dev/site", image.digest, target, "qa/site", progress=progress)

    assert progress.plans == [(2, 7)]
    assert progress.sent_bytes == 7
    assert Counter(progress.done) == Counter(
        {
            (Digest.of(b"{}"), BlobOutcome.COPIED): 1,
            (Digest.of(b"layer"), BlobOutcome.COPIED): 1,
            (Digest.of(b"known"), BlobOutcome.SKIPPED): 1,
        }
    )


def image_with_foreign_layer(source: MemoryStore) -> tuple[Descriptor, Descriptor, Descriptor]:
    foreign = Descriptor(FOREIGN, Digest.of(b"windows"), 7, urls=("https://example.com/windows",))
    config = source.hold_blob("dev/site", b"{}", CONFIG_TYPE)
    return source.hold_manifest("dev/site", image_of(config, foreign)), config, foreign


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_a_foreign_layer_travels_only_where_it_is_asked_for(is_wanted: bool) -> None:
    source, target = two_stores()
    image, config, foreign = image_with_foreign_layer(source)
    source.hold_blob("dev/site", b"windows")

    report = await copy_image(
        source, "dev/site", image.digest, target, "qa/site", takes_foreign_layers=is_wanted
    )

    assert (foreign.digest in target.blobs["qa/site"]) is is_wanted
    assert ("1 foreign layer left where the URLs lead" in str(report)) is not is_wanted
    assert report.blobs_copied == 1 + is_wanted
    content = await list_content(source, "dev/site", image.digest)
    assert (content.blobs, content.foreign_layers) == ((config,), (foreign,))


async def test_a_foreign_layer_that_is_nowhere_is_refused_with_nothing_sent() -> None:
    source, target = two_stores()
    image, _, foreign = image_with_foreign_layer(source)

    with pytest.raises(NotFoundError, match=str(foreign.digest)) as missing:
        await copy_image(
            source, "dev/site", image.digest, target, "qa/site", takes_foreign_layers=True
        )

    assert missing.value.subject.registry == source.name
    assert target.asked("put_blob") == []


async def test_a_foreign_layer_that_the_target_alone_holds_is_there() -> None:
    source, target = two_stores()
    image, _, _ = image_with_foreign_layer(source)
    target.hold_blob("qa/site", b"windows")

    report = await copy_image(
        source, "dev/site", image.digest, target, "qa/site", takes_foreign_layers=True
    )

    assert (report.blobs_copied, report.blobs_skipped) == (1, 1)


async def test_content_lists_children_first_and_each_thing_once() -> None:
    source, _ = two_stores()
    one, two, index = two_platforms(source)

    content = await list_content(source, "dev/site", index.digest)

    assert content.manifests == (one, two, index)
    assert len(content.blobs) == len({blob.digest for blob in content.blobs}) == 5


async def test_a_child_missing_from_the_source_is_told_with_the_image() -> None:
    source, target = two_stores()
    one, _, index = two_platforms(source)
    del source.manifests["dev/site"][one.digest]

    with pytest.raises(NotFoundError) as missing:
        await copy(source, index, target)

    assert missing.value.subject.digest == str(index.digest)
    assert target.events == []


async def test_a_child_of_another_size_than_listed_is_refused() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    index = source.hold_manifest(
        "dev/site", index_of(replace(image, size_bytes=image.size_bytes + 1))
    )

    with pytest.raises(ContentMismatchError):
        await copy(source, index, target)


async def test_a_child_of_another_type_than_listed_is_refused() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    index = source.hold_manifest("dev/site", index_of(replace(image, media_type=OCI_INDEX)))

    with pytest.raises(ProtocolViolationError):
        await copy(source, index, target)


async def test_an_index_that_lists_what_is_no_manifest_is_refused() -> None:
    source, target = two_stores()
    index = source.hold_manifest("dev/site", index_of(source.hold_blob("dev/site", b"cache")))

    with pytest.raises(UnsupportedContentError, match="which is not promoted"):
        await copy(source, index, target)


async def test_two_sizes_told_of_one_blob_are_refused() -> None:
    source, target = two_stores()
    layer = source.hold_blob("dev/site", b"layer")
    config = source.hold_blob("dev/site", b"{}")
    one = source.hold_manifest("dev/site", image_of(config, layer))
    two = source.hold_manifest("dev/site", image_of(config, replace(layer, size_bytes=6)))
    index = source.hold_manifest("dev/site", index_of(one, two))

    with pytest.raises(ProtocolViolationError, match="two different sizes"):
        await copy(source, index, target)


def nested(source: MemoryStore, levels: int) -> Descriptor:
    image = source.hold_image("dev/site", b"layer")
    for _ in range(levels):
        image = source.hold_manifest("dev/site", index_of(image))
    return image


async def test_indexes_may_be_nested_as_deep_as_the_bound_and_no_deeper() -> None:
    source, target = two_stores()

    await copy(source, nested(source, manifest_tree.MAX_DEPTH), target)
    with pytest.raises(UnsupportedContentError, match="nested more than 8"):
        await copy(source, nested(source, manifest_tree.MAX_DEPTH + 1), target)


async def test_depth_is_counted_along_the_longest_path() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    chain = [image]
    for _ in range(manifest_tree.MAX_DEPTH):
        chain.append(source.hold_manifest("dev/site", index_of(chain[-1])))
    # Read level by level, all of the chain is one step away from this index.
    index = source.hold_manifest("dev/site", index_of(*chain))

    with pytest.raises(UnsupportedContentError, match="nested more than 8"):
        await copy(source, index, target)


async def test_a_store_that_claims_a_cycle_is_not_followed_for_ever() -> None:
    source, target = two_stores()
    inner = index_of(source.hold_image("dev/site", b"layer"))
    outer = index_of(inner.descriptor)
    claimed = replace(inner, manifests=(outer.descriptor,))
    source.hold_manifest("dev/site", claimed)
    source.hold_manifest("dev/site", outer)

    with pytest.raises(UnsupportedContentError, match="nested more than 8"):
        await asyncio.wait_for(copy(source, outer.descriptor, target), timeout=10)


async def test_an_image_of_too_many_or_too_large_manifests_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = two_stores()
    *_, index = two_platforms(source)

    with monkeypatch.context() as patch:
        patch.setattr(manifest_tree, "MAX_MANIFESTS", 2)
        with pytest.raises(UnsupportedContentError, match="more than 2 manifests"):
            await copy(source, index, target)
    with monkeypatch.context() as patch:
        patch.setattr(manifest_tree, "MAX_MANIFESTS_BYTES", 1000)
        with pytest.raises(UnsupportedContentError, match="larger than 1000 bytes"):
            await copy(source, index, target)


async def test_a_store_that_answers_with_another_manifest_is_not_believed() -> None:
    source, target = two_stores()
    image = source.hold_image("dev/site", b"layer")
    other = source.hold_image("dev/site", b"other")
    source.manifests["dev/site"][image.digest] = source.manifests["dev/site"][other.digest]

    with pytest.raises(ContentMismatchError):
        await copy(source, image, target)


def test_a_report_reads_as_one_line() -> None:
    report = TransferReport(
        blobs_copied=3,
        blobs_skipped=1,
        blobs_mounted=0,
        bytes_copied=12_300_000,
        bytes_skipped=4_000,
        bytes_mounted=0,
        manifests_copied=1,
        manifests_skipped=2,
        seconds=0.5,
    )

    assert str(report) == (
        "3 blobs, 12.3 MB copied; 1 blob, 4.0 kB skipped; 0 blobs, 0 B mounted; "
        "1 manifest copied, 2 skipped; 0.5 s, 24.6 MB/s"
    )
    assert report.rate_bytes_per_s == 24_600_000
    assert replace(report, seconds=0).rate_bytes_per_s == 0


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (12_300_000, "12.3 MB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_sizes_are_written_in_decimal_units(size_bytes: float, text: str) -> None:
    assert readable_size(size_bytes) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_a_written_size_is_close_to_the_size(size_bytes: int) -> None:
    number, unit = readable_size(size_bytes).split()
    scale = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]

    assert float(number) * scale == pytest.approx(size_bytes, rel=0.06)
    assert float(number) < 1000 or unit == "TB"
