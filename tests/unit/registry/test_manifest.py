from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_promotion.errors import ProtocolViolationError, UnsupportedContentError
from image_promotion.registry.descriptor import Descriptor, Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageIndex,
    ImageManifest,
    Manifest,
    parse_manifest,
)

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

CONFIG: dict[str, object] = {
    "mediaType": CONFIG_TYPE,
    "digest": str(Digest.of(b"config")),
    "size": 6,
}
LAYER: dict[str, object] = {
    "mediaType": LAYER_TYPE,
    "digest": str(Digest.of(b"layer")),
    "size": 5,
}
IMAGE: dict[str, object] = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": CONFIG,
    "layers": [LAYER],
}
INDEX: dict[str, object] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [
        {
            "mediaType": OCI_MANIFEST,
            "digest": str(Digest.of(b"child")),
            "size": 5,
            "platform": {
                "os": "windows",
                "architecture": "arm64",
                "variant": "v8",
                "os.version": "10.0",
                "os.features": ["win32k"],
            },
            "annotations": {"a": "b"},
            "artifactType": "application/x",
        }
    ],
}


def written(document: Mapping[str, object], **changes: object) -> bytes:
    changed = {**document, **changes}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode()


def image(content: bytes, media_type: str | None = None) -> ImageManifest:
    manifest = parse_manifest(content, media_type)
    assert isinstance(manifest, ImageManifest)
    return manifest


def test_an_image_is_its_bytes_and_what_they_mean() -> None:
    content = written(
        IMAGE, subject=CONFIG, artifactType="application/x", annotations={"k": "v"}, extra=[1.5e3]
    )

    manifest = image(content, OCI_MANIFEST)

    assert manifest.content == content
    assert manifest.digest == Digest.of(content)
    assert manifest.descriptor == Descriptor(
        OCI_MANIFEST, Digest.of(content), len(content), artifact_type="application/x"
    )
    config = Descriptor(CONFIG_TYPE, Digest.of(b"config"), 6)
    assert (manifest.config, manifest.subject) == (config, config)
    assert manifest.layers == (Descriptor(LAYER_TYPE, Digest.of(b"layer"), 5),)
    assert manifest.annotations == {"k": "v"}


def test_an_index_tells_what_its_manifests_run_on() -> None:
    index = parse_manifest(written(INDEX, subject=LAYER), OCI_INDEX)

    assert isinstance(index, ImageIndex)
    assert index.manifests == (
        Descriptor(
            OCI_MANIFEST,
            Digest.of(b"child"),
            5,
            platform=Platform("windows", "arm64", "v8", "10.0"),
            annotations={"a": "b"},
            artifact_type="application/x",
        ),
    )
    assert index.subject is not None
    assert index.descriptor.media_type == OCI_INDEX


@pytest.mark.parametrize(
    ("document", "media_type"), [(IMAGE, DOCKER_MANIFEST), (INDEX, DOCKER_MANIFEST_LIST)]
)
def test_dockers_formats_mean_the_same(document: dict[str, object], media_type: str) -> None:
    manifest = parse_manifest(written(document, mediaType=media_type), media_type)

    assert manifest.media_type == media_type
    assert isinstance(manifest, ImageIndex if media_type == DOCKER_MANIFEST_LIST else ImageManifest)


def test_the_digest_is_of_the_algorithm_asked_for() -> None:
    content = written(IMAGE)

    assert parse_manifest(content, None, algorithm="sha512").digest == Digest.of(content, "sha512")


def test_a_blob_that_comes_often_is_one_blob() -> None:
    manifest = image(written(IMAGE, layers=[LAYER, CONFIG, LAYER]))

    assert len(manifest.layers) == 3
    assert [blob.digest for blob in manifest.blobs] == [Digest.of(b"config"), Digest.of(b"layer")]


@pytest.mark.parametrize(
    ("stated", "announced", "agreed"),
    [
        (OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST),
        (OCI_MANIFEST, OCI_MANIFEST.upper() + " ; charset=utf-8", OCI_MANIFEST),
        (OCI_MANIFEST, None, OCI_MANIFEST),
        (OCI_MANIFEST, "application/json; charset=utf-8", OCI_MANIFEST),
        (DOCKER_MANIFEST, "application/octet-stream", DOCKER_MANIFEST),
        (..., OCI_MANIFEST, OCI_MANIFEST),
        (..., DOCKER_MANIFEST, DOCKER_MANIFEST),
        (..., None, OCI_MANIFEST),
        (None, "", OCI_MANIFEST),
    ],
)
def test_the_type_is_what_header_and_document_agree_on(
    stated: object, announced: str | None, agreed: str
) -> None:
    assert parse_manifest(written(IMAGE, mediaType=stated), announced).media_type == agreed


def test_an_index_without_any_type_is_known_by_its_shape() -> None:
    assert parse_manifest(written(INDEX, mediaType=...), None).media_type == OCI_INDEX


@pytest.mark.parametrize(
    ("document", "announced"),
    [
        (IMAGE, OCI_INDEX),
        (IMAGE, DOCKER_MANIFEST),
        (IMAGE, "text/html"),
        (INDEX, OCI_MANIFEST),
        (INDEX, DOCKER_MANIFEST_LIST),
    ],
)
def test_a_document_that_is_not_what_was_announced_is_refused(
    document: dict[str, object], announced: str
) -> None:
    with pytest.raises(ProtocolViolationError, match=r"mediaType is .* announced as"):
        parse_manifest(written(document), announced)


@pytest.mark.parametrize(
    ("content", "announced"),
    [
        (written(IMAGE, manifests=[]), None),
        (written(IMAGE, manifests=INDEX["manifests"], mediaType=...), OCI_MANIFEST),
        (written(IMAGE, manifests=INDEX["manifests"], mediaType=...), OCI_INDEX),
        (written(IMAGE, manifests=INDEX["manifests"], mediaType=...), None),
        (written(INDEX, layers=[]), None),
        (written(INDEX, config=CONFIG), None),
        (written(IMAGE, fsLayers=[]), None),
    ],
)
def test_a_document_that_is_image_and_index_at_once_is_refused(
    content: bytes, announced: str | None
) -> None:
    with pytest.raises(ProtocolViolationError, match="does not belong into a document of the type"):
        parse_manifest(content, announced)


@pytest.mark.parametrize(
    ("content", "announced"),
    [
        (written({"schemaVersion": 1, "fsLayers": []}), None),
        (written({"schemaVersion": 1}), "application/vnd.docker.distribution.manifest.v1+json"),
        (written(IMAGE), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_schema_1_is_told_to_be_retired(content: bytes, announced: str | None) -> None:
    with pytest.raises(UnsupportedContentError, match="schema version 1") as refused:
        parse_manifest(content, announced)

    assert refused.value.advice


def test_other_kinds_of_manifest_are_not_promoted() -> None:
    kind = "application/vnd.oci.artifact.manifest.v1+json"

    with pytest.raises(UnsupportedContentError, match=r"artifact\.manifest"):
        parse_manifest(written(IMAGE, mediaType=kind), kind)


def test_a_manifest_may_have_4_mib_and_not_a_byte_more() -> None:
    content = written(IMAGE).ljust(MAX_MANIFEST_BYTES)

    assert len(image(content).content) == MAX_MANIFEST_BYTES
    with pytest.raises(UnsupportedContentError, match="4194305 bytes"):
        parse_manifest(content + b" ", None)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"\xef\xbb\xbf" + written(IMAGE), "not JSON"),
        (written(IMAGE) + b"{}", "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b'"text"', 'it is "text", not an object'),
        (b"[]", "it is a list, not an object"),
        (b'{"schemaVersion": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', '"schemaVersion" stands twice'),
        (written(IMAGE)[:-1] + b', "layers": []}', '"layers" stands twice'),
        (b"[" * 100_000, "nested more than 64"),
        (b'{"a":' * 100_000, "nested more than 64"),
        (written(IMAGE, schemaVersion=...), "schemaVersion is missing"),
        (written(IMAGE, schemaVersion="2"), 'schemaVersion is "2", not a whole number'),
        (written(IMAGE, schemaVersion=True), "schemaVersion is true, not a whole number"),
        (written(IMAGE, schemaVersion=3), "schemaVersion is not 2"),
        (written(IMAGE, mediaType=7), "mediaType is 7, not a text"),
        (written(IMAGE, config=...), "config is missing"),
        (written(IMAGE, config=None), "config is missing"),
        (written(IMAGE, config=[]), "config is a list, not an object"),
        (written(IMAGE, layers=...), "layers is missing"),
        (written(IMAGE, layers={}), "layers is an object, not a list"),
        (written(IMAGE, layers=[LAYER, 1]), "layers[1] is 1, not an object"),
        (written(IMAGE, layers=[LAYER | {"size": -1}]), "layers[0].size is -1, not a number from"),
        (written(IMAGE, layers=[LAYER | {"size": 2**63}]), "layers[0].size is 9223372036854775808"),
        (written(IMAGE, layers=[LAYER | {"size": 5.0}]), "layers[0].size is 5.0, not a whole"),
        (written(IMAGE, layers=[LAYER | {"size": None}]), "layers[0].size is missing"),
        (written(IMAGE, layers=[LAYER | {"digest": "sha256:x"}]), "layers[0].digest is no digest"),
        (written(IMAGE, layers=[LAYER | {"mediaType": ""}]), "layers[0].mediaType is not a media"),
        (written(IMAGE, layers=[LAYER | {"mediaType": "a\n"}]), "layers[0].mediaType is not a"),
        (written(IMAGE, layers=[LAYER | {"urls": "x"}]), 'layers[0].urls is "x", not a list'),
        (written(IMAGE, layers=[LAYER | {"urls": [1]}]), "layers[0].urls[0] is 1, not a text"),
        (written(IMAGE, layers=[LAYER, LAYER | {"size": 6}]), "layers tells two different sizes"),
        (written(IMAGE, annotations={"k": 1}), "annotations.k is 1, not a text"),
        (written(IMAGE, annotations={"k": "\ud800"}), "annotations.k holds half a character"),
        (written(IMAGE, subject={}), "subject.mediaType is missing"),
        (written(IMAGE, Layers=[]), "Layers is not layers"),
        (written(IMAGE, layers=[LAYER | {"SIZE": 6}]), "layers[0].SIZE is not size"),
        (written(INDEX, manifests=...), "manifests is missing"),
        (
            written(INDEX, manifests=[LAYER | {"platform": {"os": "linux"}}]),
            "manifests[0].platform.architecture is missing",
        ),
    ],
)
def test_a_broken_manifest_is_refused_with_the_path_of_what_is_wrong(
    content: bytes, rule: str
) -> None:
    with pytest.raises(ProtocolViolationError) as refused:
        parse_manifest(content, None)

    assert rule in refused.value.attempted
    assert len(str(refused.value)) < 600
    assert str(refused.value).isascii()


def test_null_lists_are_empty_lists_since_programs_in_go_write_them() -> None:
    assert image(written(IMAGE, layers=None, annotations=None, subject=None)).layers == ()


def test_brackets_within_texts_are_not_nesting() -> None:
    manifest = image(written(IMAGE, annotations={"k": '\\"[' * 1000}))

    assert manifest.annotations["k"] == '\\"[' * 1000


@pytest.mark.parametrize("text", [b'"\\' * 500_000, b'"\\"' * 500_000, b"\\" * 1_000_000])
@pytest.mark.timeout(20)
def test_texts_made_to_be_slow_to_read_are_refused_at_once(text: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        parse_manifest(b'{"a": ' + text, None)


def test_a_manifest_does_not_show_its_bytes_in_logs() -> None:
    assert "schemaVersion" not in repr(image(written(IMAGE)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
known_values = (
    json_values
    | st.sampled_from([CONFIG, LAYER, [LAYER], INDEX["manifests"], 1, 2, OCI_MANIFEST, OCI_INDEX])
    | st.dictionaries(
        st.sampled_from(["mediaType", "digest", "size", "platform", "urls", "annotations"]),
        json_values | st.sampled_from([LAYER_TYPE, LAYER["digest"], 5, {"os": "linux"}]),
    )
)
almost_manifests = st.tuples(
    st.sampled_from([IMAGE, INDEX]),
    st.dictionaries(
        st.sampled_from([*IMAGE, *INDEX, "subject", "annotations", "artifactType", "fsLayers"]),
        known_values,
        max_size=3,
    ),
).map(lambda parts: json.dumps(parts[0] | parts[1]).encode())


@given(
    st.binary() | json_values.map(lambda value: json.dumps(value).encode()) | almost_manifests,
    st.none() | st.text() | st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST]),
)
@example(b'{"schemaVersion": 1e999}', None)
def test_any_bytes_are_a_manifest_or_a_typed_refusal(content: bytes, announced: str | None) -> None:
    manifest: Manifest
    try:
        manifest = parse_manifest(content, announced)
    except (ProtocolViolationError, UnsupportedContentError) as error:
        str(error).encode()
        return
    assert manifest.content == content
    assert manifest.digest == Digest.of(content)
