"""A folder of layouts as a store: what is written is whole, what a stranger wrote is checked."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.errors import (
    ContentMismatchError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RegistryError,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry import layout_folder
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.layout import PIECE_BYTES, LayoutStore
from image_promotion.registry.layout_index import (
    EMPTY_INDEX,
    MAX_INDEX_BYTES,
    TAG_ANNOTATION,
    LayoutIndex,
)
from image_promotion.registry.manifest import Manifest
from image_promotion.registry.referrer_tags import fallback_tag
from image_promotion.registry.store import Store
from tests.support.attachments import SBOM_TYPE, artifact, list_of
from tests.support.memory_store import CONFIG_TYPE, LAYER_TYPE, entry, image_of, index_of

REPOSITORY = "dev/website"


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def hold_blob(store: Store, content: bytes, media_type: str = LAYER_TYPE) -> Descriptor:
    blob = Descriptor(media_type, Digest.of(content), len(content))
    await store.put_blob(REPOSITORY, blob, stream(content))
    return blob


async def an_image(store: Store, note: str = "layer") -> Manifest:
    """Bring the blobs of an image, and return its manifest."""
    config = await hold_blob(store, b"{}", CONFIG_TYPE)
    return image_of(config, await hold_blob(store, note.encode()))


async def read(store: Store, blob: Descriptor) -> bytes:
    async with store.open_blob(REPOSITORY, blob) as pieces:
        return b"".join([piece async for piece in pieces])


def index_file(root: Path, repository: str = REPOSITORY) -> Path:
    return root / repository / "index.json"


def blob_file(root: Path, digest: Digest, repository: str = REPOSITORY) -> Path:
    return root / repository / "blobs" / digest.algorithm / digest.encoded


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(".incoming-*"))


def any_file(folder: Path) -> bool:
    return any(folder.iterdir())


async def tags_of(store: LayoutStore, repository: str = REPOSITORY) -> list[str]:
    return [tag async for tag in store.list_tags(repository)]


async def test_what_is_put_is_what_the_specification_calls_a_layout(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)

    await store.put_manifest(REPOSITORY, "1.0", image)

    folder = tmp_path / REPOSITORY
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((folder / "index.json").read_bytes())
    assert (index["schemaVersion"], index["mediaType"]) == (
        2,
        "application/vnd.oci.image.index.v1+json",
    )
    assert index["manifests"] == [
        {
            "mediaType": image.media_type,
            "digest": str(image.digest),
            "size": len(image.content),
            "annotations": {TAG_ANNOTATION: "1.0"},
        }
    ]
    assert blob_file(tmp_path, image.digest).read_bytes() == image.content
    assert stat.S_IMODE(blob_file(tmp_path, image.digest).stat().st_mode) & 0o400
    assert leftovers(tmp_path) == []


async def test_a_manifest_is_read_by_tag_and_by_digest(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)

    reopened = LayoutStore(tmp_path)

    assert await reopened.get_manifest(REPOSITORY, "1.0") == image
    assert await reopened.get_manifest(REPOSITORY, image.digest) == image
    assert await reopened.resolve(REPOSITORY, "1.0") == image.descriptor
    assert await tags_of(reopened) == ["1.0"]


async def test_a_manifest_put_by_digest_has_no_tag(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)

    await store.put_manifest(REPOSITORY, image.digest, image)

    assert await store.has_manifest(REPOSITORY, image.digest)
    assert await tags_of(store) == []


async def test_a_tag_that_moves_leaves_the_others_and_what_it_pointed_at(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    first, second = await an_image(store, "first"), await an_image(store, "second")
    await store.put_manifest(REPOSITORY, "latest", first)
    await store.put_manifest(REPOSITORY, "1.0", first)

    await store.put_manifest(REPOSITORY, "latest", second)

    assert await store.resolve(REPOSITORY, "latest") == second.descriptor
    assert await store.resolve(REPOSITORY, "1.0") == first.descriptor
    assert await store.get_manifest(REPOSITORY, first.digest) == first
    assert len(json.loads(index_file(tmp_path).read_bytes())["manifests"]) == 2


async def test_what_others_wrote_into_the_index_stays(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, image.digest, image)
    foreign = {
        "mediaType": "application/xml",
        "digest": str(Digest.of(b"<xml/>")),
        "size": 6,
        "annotations": {"com.example": "kept"},
        "x-member": [1],
    }
    document = {
        "schemaVersion": 2,
        "manifests": [foreign],
        "annotations": {"a": "b"},
        "x": {"y": 1},
    }
    index_file(tmp_path).write_text(json.dumps(document))

    await store.put_manifest(REPOSITORY, "1.0", image)

    written = json.loads(index_file(tmp_path).read_bytes())
    assert written["manifests"][0] == foreign
    assert {name: written[name] for name in ("schemaVersion", "annotations", "x")} == {
        name: document[name] for name in ("schemaVersion", "annotations", "x")
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "A", "b", "1.0", "_"]), st.integers(0, 3))))
def test_an_index_holds_what_was_last_set(changes: list[tuple[str, int]]) -> None:
    images = [image_of(Descriptor(CONFIG_TYPE, Digest.of(bytes([n])), 1)) for n in range(4)]
    content, expected = EMPTY_INDEX, {}

    for tag, number in changes:
        content = LayoutIndex(content).with_tag(tag, images[number])
        expected[tag] = images[number].digest

    index = LayoutIndex(content)
    assert {tag: entry.digest for tag in index.tags if (entry := index.entry(tag))} == expected
    assert len(index.entries) == len(expected)


async def test_a_name_that_is_more_than_a_tag_is_no_tag(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)
    document = json.loads(index_file(tmp_path).read_bytes())
    document["manifests"][0]["annotations"][TAG_ANNOTATION] = "stable/1.0"
    index_file(tmp_path).write_text(json.dumps(document))

    assert await tags_of(store) == []
    assert await store.resolve(REPOSITORY, "1.0") is None


async def test_two_repositories_lie_side_by_side_and_are_listed(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)
    config = Descriptor(CONFIG_TYPE, Digest.of(b"{}"), 2)
    await store.put_blob("dev/website/api", config, stream(b"{}"))
    (tmp_path / "notes").mkdir()

    assert [name async for name in store.list_repositories()] == [REPOSITORY, "dev/website/api"]
    assert [name async for name in LayoutStore(tmp_path, namespace="dev").list_repositories()] == [
        "website",
        "website/api",
    ]
    assert await store.blob_size("dev/website/api", config.digest) == 2
    assert await store.blob_size("dev/website/api", image.digest) is None


async def test_a_namespace_goes_before_each_repository(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path, namespace="team")

    await store.put_blob("site", Descriptor(CONFIG_TYPE, Digest.of(b"{}"), 2), stream(b"{}"))

    assert store.full_repository("site") == "team/site"
    assert (tmp_path / "team" / "site" / "oci-layout").is_file()


@pytest.mark.parametrize(
    "repository",
    [
        *("", "/", "..", "../other", "dev/../../etc", "/etc", "dev//x", "dev/.", "dev/\0", "Dev"),
        *("dev/blobs", "dev/blobs/sha256", "dev/index.json", "dev/oci-layout/x"),
    ],
)
async def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, repository: str) -> None:
    store = LayoutStore(tmp_path / "root")

    with pytest.raises(InvalidReferenceError):
        await store.blob_size(repository, Digest.of(b""))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab./\\-_~%:\0 é", max_size=24))
def test_no_name_leads_out_of_the_root(text: str) -> None:
    root = Path("/nowhere/root")
    store = LayoutStore(root)
    try:
        full = store.full_repository(text)
    except InvalidReferenceError:
        return
    assert Path(os.path.normpath(root / full)).is_relative_to(root)
    assert Path(os.path.normpath(root / full)) == root / full != root


async def test_a_digest_made_by_hand_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")

    with pytest.raises(InvalidReferenceError):
        await LayoutStore(tmp_path).blob_size(REPOSITORY, Digest("sha256", "../../../../secret"))


async def test_what_is_not_there_is_said_as_registries_say_it(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    nothing = Descriptor(LAYER_TYPE, Digest.of(b"nothing"), 7)

    assert await store.resolve(REPOSITORY, "1.0") is None
    assert await store.blob_size(REPOSITORY, nothing.digest) is None
    assert not await store.has_manifest(REPOSITORY, nothing.digest)
    for missing in ("1.0", nothing.digest):
        with pytest.raises(NotFoundError) as caught:
            await store.get_manifest(REPOSITORY, missing)
        assert caught.value.subject.repository == REPOSITORY
    with pytest.raises(NotFoundError):
        await read(store, nothing)
    with pytest.raises(NotFoundError):
        await tags_of(store)
    assert not any_file(tmp_path), "a question has made something"


# ---- writing


async def test_a_blob_larger_than_a_piece_arrives_whole(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    content = os.urandom(2 * PIECE_BYTES + 17)
    blob = Descriptor(LAYER_TYPE, Digest.of(content), len(content))
    pieces = [content[start : start + 65_536] for start in range(0, len(content), 65_536)]

    await store.put_blob(REPOSITORY, blob, stream(*pieces))

    assert await read(store, blob) == content
    assert await store.blob_size(REPOSITORY, blob.digest) == len(content)


async def test_an_empty_blob_and_a_sha512_one_arrive(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    empty = Descriptor(LAYER_TYPE, Digest.of(b""), 0)
    long = Descriptor(LAYER_TYPE, Digest.of(b"x", "sha512"), 1)

    await store.put_blob(REPOSITORY, empty, stream())
    await store.put_blob(REPOSITORY, long, stream(b"x"))

    assert (await read(store, empty), await read(store, long)) == (b"", b"x")


@pytest.mark.parametrize("sent", [b"other", b"righ", b"right and more", b""])
async def test_bytes_that_are_not_the_digest_leave_nothing(tmp_path: Path, sent: bytes) -> None:
    store = LayoutStore(tmp_path)
    blob = Descriptor(LAYER_TYPE, Digest.of(b"right"), 5)

    with pytest.raises(ContentMismatchError):
        await store.put_blob(REPOSITORY, blob, stream(sent))

    assert await store.blob_size(REPOSITORY, blob.digest) is None
    assert leftovers(tmp_path) == []


async def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)

    async def breaks() -> AsyncIterator[bytes]:
        yield b"ri"
        raise UnreachableError("the connection broke")

    with pytest.raises(UnreachableError):
        await store.put_blob(REPOSITORY, Descriptor(LAYER_TYPE, Digest.of(b"right"), 5), breaks())

    assert leftovers(tmp_path) == []


async def test_a_manifest_before_its_parts_is_refused(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    config = await hold_blob(store, b"{}", CONFIG_TYPE)
    missing = Descriptor(LAYER_TYPE, Digest.of(b"missing"), 7)
    image = image_of(config, missing)

    for lacking in (image, index_of(image.descriptor)):
        with pytest.raises(NotFoundError):
            await store.put_manifest(REPOSITORY, "1.0", lacking)

    assert await tags_of(store) == []
    assert not await store.has_manifest(REPOSITORY, image.digest)


async def test_a_foreign_layer_need_not_be_there(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    foreign = Descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        Digest.of(b"elsewhere"),
        9,
        urls=("https://example.com/layer",),
    )
    image = image_of(await hold_blob(store, b"{}", CONFIG_TYPE), foreign)

    await store.put_manifest(REPOSITORY, "1.0", image)

    assert await tags_of(store) == ["1.0"]


async def test_a_manifest_under_another_digest_is_refused(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)

    with pytest.raises(ContentMismatchError):
        await store.put_manifest(REPOSITORY, Digest.of(b"other"), await an_image(store))


async def test_an_illegal_tag_is_refused(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)

    with pytest.raises(InvalidReferenceError):
        await store.put_manifest(REPOSITORY, "no/tag", await an_image(store))


async def test_a_crash_before_the_rename_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)
    before = index_file(tmp_path).read_bytes()

    def crash(_beside: Path, _place: Path) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(layout_folder, "_put_in_place", crash)
    with pytest.raises(RegistryError) as caught:
        await store.put_manifest(REPOSITORY, "2.0", image)

    assert index_file(tmp_path).read_bytes() == before
    assert caught.value.subject.repository == REPOSITORY
    assert leftovers(tmp_path) == []


async def test_what_a_killed_writer_left_is_removed_a_day_later(tmp_path: Path) -> None:
    await an_image(LayoutStore(tmp_path))
    old = blob_file(tmp_path, Digest.of(b"{}")).with_name(".incoming-old")
    fresh = old.with_name(".incoming-fresh")
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))

    await an_image(LayoutStore(tmp_path))

    assert leftovers(tmp_path) == [fresh]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, DeniedError), (errno.EROFS, DeniedError), (errno.ENOSPC, RegistryError)],
)
async def test_the_disk_s_refusals_are_told_in_the_project_s_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[RegistryError]
) -> None:
    store = LayoutStore(tmp_path)
    await an_image(store)

    def refuse(_path: Path) -> int:
        raise OSError(number, "refused")

    monkeypatch.setattr(layout_folder, "_create", refuse)
    with pytest.raises(kind) as caught:
        await hold_blob(store, b"more")

    assert caught.value.advice
    assert os.strerror(number) in caught.value.attempted


async def test_two_writers_of_one_index_lose_nothing(tmp_path: Path) -> None:
    stores = [LayoutStore(tmp_path) for _ in range(4)]
    image = await an_image(stores[0])
    tags = [f"v{number}" for number in range(40)]

    await asyncio.gather(
        *(
            stores[number % len(stores)].put_manifest(REPOSITORY, tag, image)
            for number, tag in enumerate(tags)
        )
    )

    assert sorted(await tags_of(stores[0])) == sorted(tags)


async def test_a_writer_that_never_ends_is_not_waited_for_forever(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path, lock_timeout_s=0.02)
    image = await an_image(store)

    with (tmp_path / REPOSITORY / ".index.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UnreachableError) as caught:
            await store.put_manifest(REPOSITORY, "1.0", image)

    assert caught.value.retryable
    await store.put_manifest(REPOSITORY, "1.0", image)


async def test_repositories_of_one_root_share_a_blob(tmp_path: Path) -> None:
    store, other = LayoutStore(tmp_path), LayoutStore(tmp_path, namespace="qa")
    blob = await hold_blob(store, b"shared")

    assert store.identity == other.identity
    assert await other.mount_blob("website", blob.digest, REPOSITORY)
    assert await other.mount_blob("website", blob.digest, REPOSITORY), "twice is once"

    places = [blob_file(tmp_path, blob.digest, name) for name in (REPOSITORY, "qa/website")]
    assert places[0].samefile(places[1])
    assert leftovers(tmp_path) == []


async def test_a_damaged_blob_is_not_shared(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    blob = await hold_blob(store, b"shared")
    blob_file(tmp_path, blob.digest).write_bytes(b"damage")

    assert not await store.mount_blob("qa/website", blob.digest, REPOSITORY)
    assert not await store.mount_blob("qa/website", Digest.of(b"nothing"), REPOSITORY)
    assert await store.blob_size("qa/website", blob.digest) is None


async def test_referrers_without_a_tag_are_listed_with_those_under_the_fallback_tag(
    tmp_path: Path,
) -> None:
    """Some tools keep them so, and others so; a layout may have been through both."""
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)
    built = [artifact(image.descriptor, SBOM_TYPE, content) for content in (b"1", b"2")]
    for each in built:
        for blob in each.blobs:
            await hold_blob(store, blob)
        await store.put_manifest(REPOSITORY, each.digest, each.manifest)
    untagged, listed = (each.manifest for each in built)

    await store.put_manifest(REPOSITORY, fallback_tag(image.digest), list_of(listed))
    assert await store.list_referrers(REPOSITORY, image.digest) is None

    document = json.loads(index_file(tmp_path).read_bytes())
    document["manifests"] += [entry(untagged.descriptor), entry(image.descriptor)]
    index_file(tmp_path).write_text(json.dumps(document))
    found = await store.list_referrers(REPOSITORY, image.digest)
    assert found is not None
    assert {each.digest for each in found} == {untagged.digest, listed.digest}
    assert await store.list_referrers(REPOSITORY, untagged.digest) == ()


# ---- hostile layouts


async def test_damaged_bytes_are_noticed(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    await store.put_manifest(REPOSITORY, "1.0", image)
    layer = Descriptor(LAYER_TYPE, Digest.of(b"layer"), 5)
    blob_file(tmp_path, layer.digest).write_bytes(b"LAYER")
    blob_file(tmp_path, image.digest).write_bytes(image.content.replace(b"2", b"3", 1))

    with pytest.raises(ContentMismatchError):
        await read(store, layer)
    with pytest.raises(ContentMismatchError):
        await store.get_manifest(REPOSITORY, "1.0")
    assert not await store.has_manifest(REPOSITORY, image.digest)

    await store.put_manifest(REPOSITORY, image.digest, image)
    assert await store.get_manifest(REPOSITORY, "1.0") == image, "writing again has not repaired it"


@pytest.mark.parametrize("content", [b"shor", b"longer than said"])
async def test_a_blob_of_another_size_is_noticed(tmp_path: Path, content: bytes) -> None:
    store = LayoutStore(tmp_path)
    blob = await hold_blob(store, b"short")
    blob_file(tmp_path, blob.digest).write_bytes(content)

    with pytest.raises(ContentMismatchError):
        await read(store, blob)


async def test_a_wrong_size_in_the_index_is_noticed(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    await store.put_manifest(REPOSITORY, "1.0", await an_image(store))
    document = json.loads(index_file(tmp_path).read_bytes())
    document["manifests"][0]["size"] += 1
    index_file(tmp_path).write_text(json.dumps(document))

    with pytest.raises(ContentMismatchError):
        await store.get_manifest(REPOSITORY, "1.0")


async def test_a_tag_at_two_manifests_is_refused_and_named(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    for tag in ("1.0", "2.0"):
        await store.put_manifest(REPOSITORY, tag, await an_image(store, tag))
    index_file(tmp_path).write_text(index_file(tmp_path).read_text().replace('"2.0"', '"1.0"'))

    with pytest.raises(ProtocolViolationError) as caught:
        await store.resolve(REPOSITORY, "1.0")

    assert caught.value.subject.tag == "1.0"


def _link_to_a_file(path: Path, outside: Path) -> None:
    secret = outside / "secret"
    secret.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(secret)


def _link_to_a_folder(path: Path, outside: Path) -> None:
    elsewhere = outside / "folder"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)


def _link_to_itself(path: Path, _outside: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _pipe(path: Path, _outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path, _outside: Path) -> None:
    path.unlink()
    path.mkdir()


TRAPS = pytest.mark.parametrize(
    "trap", [_link_to_a_file, _link_to_a_folder, _link_to_itself, _pipe, _folder]
)
Trap = Callable[[Path, Path], None]


@TRAPS
@pytest.mark.parametrize("name", ["oci-layout", "index.json", "manifest", "layer"])
async def test_what_is_no_plain_file_is_refused_and_never_followed(
    tmp_path: Path, trap: Trap, name: str
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    image = await an_image(LayoutStore(root))
    await LayoutStore(root).put_manifest(REPOSITORY, "1.0", image)
    layer = Descriptor(LAYER_TYPE, Digest.of(b"layer"), 5)
    trapped = {"manifest": blob_file(root, image.digest), "layer": blob_file(root, layer.digest)}
    trap(trapped.get(name, root / REPOSITORY / name), outside)

    store = LayoutStore(root)

    async def read_all() -> None:
        await store.get_manifest(REPOSITORY, "1.0")
        await read(store, layer)

    with pytest.raises(ProtocolViolationError) as caught:
        await read_all()

    assert caught.value.subject.repository == REPOSITORY


async def test_nothing_is_written_over_a_link(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / "dev").mkdir(parents=True)
    (root / REPOSITORY).symlink_to(outside)

    with pytest.raises(ProtocolViolationError):
        await hold_blob(LayoutStore(root), b"out")

    assert not any_file(outside)


async def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    image = await an_image(LayoutStore(root))
    lock = root / REPOSITORY / ".index.lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "made-by-us")

    with pytest.raises(ProtocolViolationError):
        await LayoutStore(root).put_manifest(REPOSITORY, "1.0", image)

    assert not (tmp_path / "made-by-us").exists()


async def test_the_root_itself_may_be_reached_over_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mounted").symlink_to(tmp_path / "disk")

    await hold_blob(LayoutStore(tmp_path / "mounted"), b"in")

    assert blob_file(tmp_path / "disk", Digest.of(b"in")).read_bytes() == b"in"


async def test_repositories_behind_links_are_not_listed(tmp_path: Path) -> None:
    await an_image(LayoutStore(tmp_path / "outside"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "dev").symlink_to(tmp_path / "outside" / "dev")

    assert [name async for name in LayoutStore(tmp_path / "root").list_repositories()] == []


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("oci-layout", b"", ProtocolViolationError),
        ("oci-layout", b'{"imageLayoutVersion": "2.0.0"}', ProtocolViolationError),
        ("oci-layout", b"[" * 900, ProtocolViolationError),
        ("oci-layout", b" " * 5000, UnsupportedContentError),
        ("index.json", b"", ProtocolViolationError),
        ("index.json", b"[" * 100_000, ProtocolViolationError),
        ("index.json", b'{"schemaVersion": 2}', ProtocolViolationError),
        ("index.json", b'{"schemaVersion": 2, "manifests": [{}]}', ProtocolViolationError),
        ("index.json", b" " * (MAX_INDEX_BYTES + 1), UnsupportedContentError),
    ],
)
async def test_a_broken_layout_is_refused_and_named(
    tmp_path: Path, name: str, content: bytes, kind: type[PromotionError]
) -> None:
    image = await an_image(LayoutStore(tmp_path))
    await LayoutStore(tmp_path).put_manifest(REPOSITORY, "1.0", image)
    (tmp_path / REPOSITORY / name).write_bytes(content)
    store = LayoutStore(tmp_path)

    with pytest.raises(kind) as reading:
        await store.resolve(REPOSITORY, "1.0")
    with pytest.raises(kind):
        await store.put_manifest(REPOSITORY, "2.0", image)

    assert reading.value.subject.registry == str(tmp_path)
    assert (tmp_path / REPOSITORY / name).read_bytes() == content, "it was repaired by guessing"


async def test_a_layout_without_an_index_is_refused(tmp_path: Path) -> None:
    await an_image(LayoutStore(tmp_path))
    index_file(tmp_path).unlink()

    with pytest.raises(ProtocolViolationError):
        await tags_of(LayoutStore(tmp_path))


async def test_an_index_that_would_grow_over_the_limit_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayoutStore(tmp_path)
    image = await an_image(store)
    monkeypatch.setattr("image_promotion.registry.layout_index.MAX_INDEX_BYTES", 700)
    await store.put_manifest(REPOSITORY, "1.0", image)

    await store.put_manifest(REPOSITORY, "1.1", image)
    with pytest.raises(UnsupportedContentError):
        await store.put_manifest(REPOSITORY, "1.2", image)

    assert await tags_of(LayoutStore(tmp_path)) == ["1.0", "1.1"]


async def test_bytes_are_on_the_disk_before_their_name_and_the_name_before_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayoutStore(tmp_path)
    await an_image(store)
    happened: list[str] = []
    sync, rename = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "bytes")
        sync(descriptor)

    def replace(path: Path, target: Path) -> Path:
        happened.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    await hold_blob(store, b"another")
    await store.put_manifest(REPOSITORY, "1.0", await an_image(store))

    # The layer, the manifest's blobs written again, the manifest, the index: each in this order.
    assert happened == ["bytes", "name", "folder"] * 5
