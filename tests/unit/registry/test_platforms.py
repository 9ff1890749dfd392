from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.errors import (
    ContentMismatchError,
    NotFoundError,
    ProtocolViolationError,
    UnsupportedContentError,
)
from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import (
    DOCKER_MANIFEST_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageIndex,
    parse_manifest,
)
from image_promotion.registry.platforms import (
    ABOUT,
    MAX_CONFIG_BYTES,
    Selection,
    choose_platforms,
    keep_platforms,
    parse_platform,
    with_manifest,
)
from image_promotion.registry.referrers import HoldsReferrers
from image_promotion.registry.transfer import copy_image
from tests.support.attachments import ListingStore
from tests.support.memory_store import CONFIG_TYPE, MemoryStore, image_of, index_of

Entry = dict[str, object]


def entry(name: str, platform: str | Mapping[str, str] | None = None, **more: object) -> Entry:
    described: Entry = {
        "mediaType": OCI_MANIFEST,
        "digest": str(Digest.of(name.encode())),
        "size": 100,
    }
    if isinstance(platform, str):
        names = ("os", "architecture", "variant")
        described["platform"] = dict(zip(names, platform.split("/"), strict=False))
    elif platform is not None:
        described["platform"] = dict(platform)
    return {**described, **more}


def attestation(about: Entry, name: str = "attestation") -> Entry:
    annotations = {ABOUT: about["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    return entry(name, "unknown/unknown", annotations=annotations)


def index(entries: Sequence[Entry], media_type: str = OCI_INDEX, **more: object) -> ImageIndex:
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries, **more}
    read = parse_manifest(json.dumps(document, indent=3).encode(), media_type)
    assert isinstance(read, ImageIndex)
    return read


def keep(read: ImageIndex, *wanted: str) -> Selection:
    return keep_platforms(read, [parse_platform(text) for text in wanted])


def document_of(selection: Selection) -> Mapping[str, object]:
    document = json.loads(selection.image.content)
    assert isinstance(document, dict)
    return document


AMD64 = entry("amd64", "linux/amd64")
ARM64 = entry("arm64", "linux/arm64/v8", annotations={"built.on": "a machine"}, later="unknown")
ARMV6 = entry("armv6", "linux/arm/v6")
ARMV7 = entry("armv7", "linux/arm/v7")
WINDOWS = [
    entry(
        build,
        platform={"os": "windows", "architecture": "amd64", "os.version": f"10.0.{build}"},
    )
    for build in ("17763", "20348")
]


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("wasip1/wasm", Platform("wasip1", "wasm")),
    ],
)
def test_a_platform_is_read_as_people_write_it(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform
    assert str(platform) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/a b", "a//b"]
)
def test_what_is_no_platform_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as linux/amd64"):
        parse_platform(text)


def test_a_new_index_holds_only_what_is_wanted_as_it_was_written() -> None:
    whole = index([AMD64, ARM64, ARMV7], annotations={"made.by": "somebody"}, extra=[1.5, None])
    selection = keep(whole, "linux/arm64/v8")
    assert document_of(selection) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [ARM64],
        "annotations": {"made.by": "somebody"},
        "extra": [1.5, None],
    }
    assert selection.image.media_type == OCI_INDEX
    assert selection.image.digest == Digest.of(selection.image.content)
    assert selection.original == whole.digest
    assert selection.is_new
    assert selection.platforms == (Platform("linux", "arm64", "v8"),)
    assert [str(each.digest) for each in selection.left_out] == [AMD64["digest"], ARMV7["digest"]]


def test_the_order_is_that_of_the_index_and_not_that_of_the_wishes() -> None:
    selection = keep(index([AMD64, ARM64, ARMV7]), "linux/arm/v7", "linux/amd64")
    assert document_of(selection)["manifests"] == [AMD64, ARMV7]


def test_what_leaves_nothing_out_leaves_the_index_as_it_is() -> None:
    whole = index([AMD64, ARM64, attestation(ARM64)])
    selection = keep(whole, "linux/arm64", "linux/amd64")
    assert selection.image is whole
    assert not selection.is_new
    assert not selection.left_out


def test_a_platform_without_a_variant_means_every_variant_and_every_build() -> None:
    whole = index([AMD64, ARMV6, ARMV7, *WINDOWS])
    assert document_of(keep(whole, "linux/arm"))["manifests"] == [ARMV6, ARMV7]
    assert document_of(keep(whole, "windows/amd64"))["manifests"] == WINDOWS
    assert document_of(keep(whole, "linux/arm/v6"))["manifests"] == [ARMV6]


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [("linux/arm64", "linux/arm64/v8"), ("linux/amd64", "linux/amd64/v1")],
)
def test_the_usual_variant_is_meant_where_none_is_written(listed: str, wanted: str) -> None:
    whole = index([entry("other", "plan9/386"), entry("it", listed)])
    assert keep(whole, wanted).platforms == (parse_platform(listed),)
    assert keep(index([ARMV7, entry("it", wanted)]), listed).platforms == (parse_platform(wanted),)


def test_another_variant_than_the_usual_is_not_meant() -> None:
    with pytest.raises(UnsupportedContentError):
        keep(index([entry("it", "linux/amd64")]), "linux/amd64/v3")


def test_an_attestation_stays_with_its_image_and_goes_with_it() -> None:
    of_amd64, of_arm64 = attestation(AMD64, "one"), attestation(ARM64, "two")
    whole = index([AMD64, ARM64, of_amd64, of_arm64])
    assert document_of(keep(whole, "linux/arm64"))["manifests"] == [ARM64, of_arm64]


def test_what_is_listed_without_a_platform_is_left_out() -> None:
    nameless = entry("an artifact")
    selection = keep(index([AMD64, nameless]), "linux/amd64")
    assert document_of(selection)["manifests"] == [AMD64]


def test_a_docker_manifest_list_stays_one() -> None:
    selection = keep(index([AMD64, ARM64], DOCKER_MANIFEST_LIST), "linux/amd64")
    assert selection.image.media_type == DOCKER_MANIFEST_LIST
    assert document_of(selection)["mediaType"] == DOCKER_MANIFEST_LIST


def test_a_digest_by_another_algorithm_stays_of_its_algorithm() -> None:
    content = index([AMD64, ARM64]).content
    whole = parse_manifest(content, OCI_INDEX, algorithm="sha512")
    assert isinstance(whole, ImageIndex)
    assert keep(whole, "linux/amd64").image.digest.algorithm == "sha512"


def test_a_missing_platform_is_refused_and_those_there_are_named() -> None:
    whole = index([AMD64, ARM64, attestation(AMD64)])
    with pytest.raises(UnsupportedContentError) as refused:
        keep(whole, "linux/amd64", "linux/s390x")
    assert str(refused.value) == (
        "there is no image for linux/s390x. There is linux/amd64, linux/arm64/v8."
    )
    with pytest.raises(UnsupportedContentError, match=r"for linux/s390x, windows/amd64\."):
        keep(whole, "linux/s390x", "linux/amd64", "windows/amd64", "linux/s390x")


def test_the_platform_of_an_attestation_is_none_of_the_image() -> None:
    with pytest.raises(UnsupportedContentError):
        keep(index([AMD64, attestation(AMD64)]), "unknown/unknown")


def test_a_strangers_platform_reaches_no_terminal_as_it_is() -> None:
    hostile = entry("it", platform={"os": "li\x1b[2Jnux", "architecture": "\u202eamd64"})
    with pytest.raises(UnsupportedContentError) as refused:
        keep(index([hostile]), "linux/amd64")
    assert str(refused.value).isascii()
    assert "\x1b" not in str(refused.value)


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    content = index([AMD64, ARM64], extra="here").content.replace(b'"here"', b"1e999")
    whole = parse_manifest(content, OCI_INDEX)
    assert isinstance(whole, ImageIndex)
    with pytest.raises(ProtocolViolationError, match="number"):
        keep(whole, "linux/amd64")


_PLATFORMS = ["linux/amd64", "linux/arm64/v8", "linux/arm/v6", "linux/arm/v7", "windows/amd64"]


@st.composite
def indexes(draw: st.DrawFn) -> tuple[list[Entry], list[str]]:
    """Draw the entries of an index and platforms that are in it."""
    platforms = draw(st.lists(st.sampled_from(_PLATFORMS), min_size=1, max_size=6))
    entries = [entry(f"image {n}", platform) for n, platform in enumerate(platforms)]
    about = draw(st.lists(st.sampled_from(entries), max_size=3))
    entries += [attestation(each, f"attestation {n}") for n, each in enumerate(about)]
    wanted = draw(st.lists(st.sampled_from(platforms), min_size=1, max_size=3))
    return draw(st.permutations(entries)), wanted


@settings(max_examples=100, deadline=None)
@given(indexes())
def test_a_choice_keeps_order_and_bonds_and_is_the_same_when_repeated(
    drawn: tuple[list[Entry], list[str]],
) -> None:
    entries, wanted = drawn
    whole = index(entries)
    selection = keep(whole, *wanted)
    assert isinstance(selection.image, ImageIndex)
    kept = document_of(selection)["manifests"]
    assert isinstance(kept, list)
    assert kept == [each for each in entries if each in kept]
    left = {each.digest for each in selection.image.manifests}
    for each in whole.manifests:
        about = each.annotations.get(ABOUT)
        if about is None:
            assert (each.digest in left) == (str(each.platform) in wanted)
        else:
            assert (each.digest in left) == (Digest.parse(about) in left)
    assert keep(selection.image, *wanted).image is selection.image
    assert keep(whole, *reversed(wanted)).image.content == selection.image.content


def image_with(store: MemoryStore, config: bytes, config_type: str = CONFIG_TYPE) -> Descriptor:
    blob = store.hold_blob("dev/site", config, config_type)
    return store.hold_manifest("dev/site", image_of(blob))


async def choose(store: MemoryStore, image: Descriptor, *wanted: str) -> Selection:
    manifest = await store.get_manifest("dev/site", image.digest)
    platforms = [parse_platform(text) for text in wanted]
    return await choose_platforms(store, "dev/site", manifest, platforms)


async def test_a_single_image_is_what_its_configuration_says() -> None:
    store = MemoryStore()
    image = image_with(store, b'{"os": "linux", "architecture": "arm64", "variant": "v8"}')
    selection = await choose(store, image, "linux/arm64")
    assert (selection.image.digest, selection.is_new) == (image.digest, False)
    assert selection.platforms == (Platform("linux", "arm64", "v8"),)
    assert (await choose(store, image, "linux/amd64", "linux/arm64")).image.digest == image.digest
    with pytest.raises(UnsupportedContentError, match=r"There is linux/arm64/v8\."):
        await choose(store, image, "linux/s390x", "linux/amd64")


async def test_an_artifact_runs_on_no_platform() -> None:
    store = MemoryStore()
    artifact = image_with(store, b"{}", "application/vnd.oci.empty.v1+json")
    with pytest.raises(UnsupportedContentError, match="no platform"):
        await choose(store, artifact, "linux/amd64")


@pytest.mark.parametrize("config", [b"not JSON", b"{}", b'{"os": "linux", "architecture": 1}'])
async def test_a_broken_configuration_is_refused(config: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(ProtocolViolationError):
        await choose(store, image_with(store, config), "linux/amd64")


async def test_a_configuration_that_is_too_large_is_not_read() -> None:
    store = MemoryStore()
    blob = Descriptor(CONFIG_TYPE, Digest.of(b"large"), MAX_CONFIG_BYTES + 1)
    image = store.hold_manifest("dev/site", image_of(blob))
    with pytest.raises(UnsupportedContentError, match="larger than"):
        await choose(store, image, "linux/amd64")
    assert not store.asked("open_blob")


async def test_a_new_index_is_copied_as_if_it_lay_in_the_source() -> None:
    source, target = MemoryStore(name="source", identity="source"), MemoryStore()
    one, two = source.hold_image("dev/site", b"one"), source.hold_image("dev/site", b"two")
    narrowed = index_of(two)
    view = with_manifest(source, "dev/site", narrowed)
    await copy_image(view, "dev/site", narrowed.digest, target, "qa/site")
    assert set(target.manifests["qa/site"]) == {two.digest, narrowed.digest}
    assert narrowed.digest not in source.manifests["dev/site"]
    assert (await view.get_manifest("dev/site", one.digest)).digest == one.digest
    with pytest.raises(NotFoundError):
        await view.get_manifest("another/site", narrowed.digest)


@pytest.mark.parametrize(("store", "lists"), [(MemoryStore(), False), (ListingStore(), True)])
def test_a_view_lists_referrers_if_its_store_does(store: MemoryStore, lists: bool) -> None:
    view = with_manifest(store, "dev/site", index([entry("amd", "linux/amd64")]))
    # Python 3.12 and later ask the class alone.
    assert hasattr(type(view), "list_referrers") is lists
    assert isinstance(view, HoldsReferrers) is lists


async def test_a_false_size_in_an_index_is_found_before_anything_is_copied() -> None:
    source, target = MemoryStore(name="source", identity="source"), MemoryStore()
    image = source.hold_image("dev/site", b"one")
    false = Descriptor(image.media_type, image.digest, image.size_bytes + 1)
    narrowed = index_of(false)
    view = with_manifest(source, "dev/site", narrowed)
    with pytest.raises(ContentMismatchError):
        await copy_image(view, "dev/site", narrowed.digest, target, "qa/site")
    assert not target.blobs
    assert not target.manifests
