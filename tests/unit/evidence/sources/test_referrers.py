"""What is attached to an image, found in stores that hold what real tools write.

The shapes are cosign's, oras's and BuildKit's; the contents are opaque here, as to the source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from image_promotion.errors import (
    ContentMismatchError,
    EvidenceError,
    NotFoundError,
    UnreachableError,
)
from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.sources import source as bounds
from image_promotion.evidence.sources.referrers import ReferrersSource
from image_promotion.evidence.sources.source import Image, SourceAnswer
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import OCI_INDEX, OCI_MANIFEST, Manifest, parse_manifest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from tests.support.attachments import (
    BUNDLE_TYPE,
    EMPTY,
    EMPTY_TYPE,
    ENVELOPE_TYPE,
    SBOM_TYPE,
    Built,
    ListingStore,
    artifact,
    cosign_manifest,
    hold,
    hold_tagged,
    list_of,
)
from tests.support.memory_store import CONFIG_TYPE, Event, MemoryStore, entry

REPOSITORY = "dev/website"
IN_TOTO = "application/vnd.in-toto+json"


@pytest.fixture
def store() -> MemoryStore:
    return ListingStore()


def built(
    layers: Sequence[tuple[str, bytes, Mapping[str, str]]],
    *,
    config_type: str = EMPTY_TYPE,
    subject: Descriptor | None = None,
    artifact_type: str | None = None,
) -> Built:
    """Build an artifact of several layers."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _described(config_type, EMPTY),
        "layers": [
            {**_described(kind, content), "annotations": dict(annotations)}
            for kind, content, annotations in layers
        ],
    }
    if subject is not None:
        document["subject"] = entry(subject)
    if artifact_type is not None:
        document["artifactType"] = artifact_type
    manifest = parse_manifest(json.dumps(document).encode(), None)
    return Built(manifest, (EMPTY, *(content for _, content, _ in layers)))


def _described(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


async def ask(store: MemoryStore, image: Digest, *parts: Digest) -> SourceAnswer:
    return await ReferrersSource(store).documents(Image(REPOSITORY, image, parts))


def contents(answer: SourceAnswer) -> list[tuple[bytes, Kind]]:
    return [(each.content, each.kind) for each in answer.documents]


async def test_an_image_without_anything_attached_has_neither_documents_nor_notes(
    store: MemoryStore,
) -> None:
    image = store.hold_image(REPOSITORY, b"layer")

    assert await ask(store, image.digest) == SourceAnswer()


async def test_a_document_says_what_it_is_and_where_it_was_found(store: MemoryStore) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    sbom = hold(
        store,
        REPOSITORY,
        artifact(
            image,
            SBOM_TYPE,
            b"sbom",
            annotations={"org.opencontainers.image.created": "2026-05-07T10:11:12Z"},
        ),
    )

    (document,) = (await ask(store, image.digest)).documents

    assert document == Document(
        content=b"sbom",
        kind=Kind.REPORT,
        media_type=SBOM_TYPE,
        source=SourceName.REFERRERS,
        location=f"referrer {sbom.digest} of {REPOSITORY}@{image.digest} ({SBOM_TYPE})",
        subject=str(image.digest),
        annotations={"org.opencontainers.image.created": "2026-05-07T10:11:12Z"},
        artifact_type=SBOM_TYPE,
        at=document.at,
    )
    assert document.at is not None
    assert document.at.isoformat() == "2026-05-07T10:11:12+00:00"


async def test_what_stands_under_the_fallback_tag_counts_where_the_store_lists_nothing() -> None:
    store = MemoryStore()
    image = store.hold_image(REPOSITORY, b"layer")
    bundle = hold(store, REPOSITORY, artifact(image, BUNDLE_TYPE, b"bundle"))
    hold_tagged(store, REPOSITORY, list_of(bundle), fallback_tag(image.digest))

    assert contents(await ask(store, image.digest)) == [(b"bundle", Kind.BUNDLE)]


async def test_each_layer_of_cosigns_tags_is_a_document_with_its_signature(
    store: MemoryStore,
) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    sig, att, sbom = cosign_tags(image.digest)
    hold(store, REPOSITORY, cosign_manifest(image.digest, ["first", "second"]), sig)
    two = [(ENVELOPE_TYPE, b"one", {"predicateType": "a"}), (ENVELOPE_TYPE, b"two", {})]
    hold(store, REPOSITORY, built(two, config_type=CONFIG_TYPE), att)
    hold(store, REPOSITORY, built([("text/spdx+json", b"sbom", {})], config_type=CONFIG_TYPE), sbom)

    answer = await ask(store, image.digest)

    assert [(each.kind, each.location) for each in answer.documents] == [
        (Kind.ENVELOPE, f"tag {att} of {REPOSITORY} ({ENVELOPE_TYPE}), layer 1 of 2"),
        (Kind.ENVELOPE, f"tag {att} of {REPOSITORY} ({ENVELOPE_TYPE}), layer 2 of 2"),
        (Kind.REPORT, f"tag {sbom} of {REPOSITORY} (text/spdx+json)"),
        (Kind.SIMPLE_SIGNING, answer.documents[3].location),
        (Kind.SIMPLE_SIGNING, answer.documents[4].location),
    ]
    assert [each.annotations for each in answer.documents[3:]] == [
        {"dev.cosignproject.cosign/signature": "first"},
        {"dev.cosignproject.cosign/signature": "second"},
    ]


async def test_attestations_that_buildkit_lists_in_the_index_are_about_their_image(
    store: MemoryStore,
) -> None:
    amd64 = store.hold_image(REPOSITORY, b"amd64")
    arm64 = store.hold_image(REPOSITORY, b"arm64")
    attestations = {
        image.digest: hold(
            store,
            REPOSITORY,
            built(
                [
                    (IN_TOTO, b"spdx of " + name, {"in-toto.io/predicate-type": "spdx"}),
                    (IN_TOTO, b"provenance of " + name, {}),
                ],
                config_type=CONFIG_TYPE,
            ),
        )
        for image, name in ((amd64, b"amd64"), (arm64, b"arm64"))
    }
    index = hold_index(store, [amd64, arm64], attestations)

    both = await ask(store, index.digest, amd64.digest, arm64.digest)
    one = await ask(store, index.digest, arm64.digest)

    assert [(each.subject, each.content) for each in both.documents] == [
        (str(amd64.digest), b"spdx of amd64"),
        (str(amd64.digest), b"provenance of amd64"),
        (str(arm64.digest), b"spdx of arm64"),
        (str(arm64.digest), b"provenance of arm64"),
    ]
    assert {each.kind for each in both.documents} == {Kind.STATEMENT}
    assert [each.content for each in one.documents] == [b"spdx of arm64", b"provenance of arm64"]
    assert both.notes == one.notes == ()


async def test_an_attestation_that_is_listed_in_the_index_and_refers_too_comes_once(
    store: MemoryStore,
) -> None:
    image = store.hold_image(REPOSITORY, b"amd64")
    attestation = hold(
        store,
        REPOSITORY,
        built(
            [(IN_TOTO, b"spdx", {})],
            subject=image,
            artifact_type="application/vnd.docker.attestation.manifest.v1+json",
        ),
    )
    index = hold_index(store, [image], {image.digest: attestation})

    assert contents(await ask(store, index.digest, image.digest)) == [(b"spdx", Kind.STATEMENT)]


async def test_only_what_is_about_a_promoted_platform_is_fetched(store: MemoryStore) -> None:
    amd64 = store.hold_image(REPOSITORY, b"amd64")
    arm64 = store.hold_image(REPOSITORY, b"arm64")
    index = hold_index(store, [amd64, arm64], {})
    hold(store, REPOSITORY, artifact(amd64, SBOM_TYPE, b"of amd64"))
    hold(store, REPOSITORY, artifact(arm64, SBOM_TYPE, b"of arm64"))
    hold(store, REPOSITORY, artifact(index, SBOM_TYPE, b"of the index"))

    answer = await ask(store, index.digest, amd64.digest)

    assert [each.content for each in answer.documents] == [b"of the index", b"of amd64"]
    assert Digest.of(b"of arm64") not in store.asked("open_blob")


async def test_what_is_no_evidence_is_named_and_not_fetched(store: MemoryStore) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    hold(store, REPOSITORY, artifact(image, chart, b"chart"))

    answer = await ask(store, image.digest)

    (note,) = answer.notes
    assert answer.documents == ()
    assert (note.state, note.error) == (None, None)
    assert chart in note.said
    assert Digest.of(b"chart") not in store.asked("open_blob")


async def test_what_is_about_an_attachment_is_not_taken_for_evidence_about_the_image(
    store: MemoryStore,
) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    sbom = hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"sbom"))
    hold(store, REPOSITORY, artifact(sbom.descriptor, BUNDLE_TYPE, b"signature of the sbom"))

    answer = await ask(store, image.digest)

    assert contents(answer) == [(b"sbom", Kind.REPORT)]
    assert [note.error for note in answer.notes] == [None]


async def test_a_document_that_is_gone_is_not_the_same_as_none() -> None:
    store = ListingStore()
    image = store.hold_image(REPOSITORY, b"layer")
    lost = hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"lost"))
    hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"there"))
    del store.blobs[REPOSITORY][Digest.of(b"lost")]

    answer = await ask(store, image.digest)

    assert contents(answer) == [(b"there", Kind.REPORT)]
    (note,) = answer.notes
    assert isinstance(note.error, NotFoundError)
    assert str(lost.digest) in note.said


async def test_a_listed_referrer_that_is_gone_is_not_the_same_as_none() -> None:
    store = MemoryStore()
    image = store.hold_image(REPOSITORY, b"layer")
    gone = artifact(image, SBOM_TYPE, b"sbom").manifest
    hold_tagged(store, REPOSITORY, list_of(gone), fallback_tag(image.digest))

    answer = await ask(store, image.digest)

    assert [type(note.error) for note in answer.notes] == [NotFoundError]


async def test_damaged_bytes_are_refused_and_said() -> None:
    store = ListingStore()
    image = store.hold_image(REPOSITORY, b"layer")
    hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"right"))
    store.blobs[REPOSITORY][Digest.of(b"right")] = b"wrong"

    answer = await ask(store, image.digest)

    assert answer.documents == ()
    assert [type(note.error) for note in answer.notes] == [ContentMismatchError]


async def test_a_registry_that_does_not_answer_leaves_no_answer() -> None:
    async def fail(event: Event) -> None:
        if event.digest == Digest.of(b"sbom"):
            raise UnreachableError("no answer")

    store = ListingStore()
    image = store.hold_image(REPOSITORY, b"layer")
    hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"sbom"))
    store.hook = fail

    with pytest.raises(UnreachableError):
        await ask(store, image.digest)


async def test_a_document_over_the_limit_is_not_fetched_and_said(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_promotion.evidence.sources.artifact.MAX_SIZE_BYTES", 4)
    image = store.hold_image(REPOSITORY, b"layer")
    hold(store, REPOSITORY, artifact(image, SBOM_TYPE, b"12345"))

    answer = await ask(store, image.digest)

    assert answer.documents == ()
    assert [type(note.error) for note in answer.notes] == [EvidenceError]
    assert Digest.of(b"12345") not in store.asked("open_blob")


@pytest.mark.parametrize(("limit", "value"), [("MAX_DOCUMENTS", 2), ("MAX_TOTAL_BYTES", 5)])
async def test_more_than_can_be_read_is_refused_as_a_whole_before_anything_is_fetched(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(bounds, limit, value)
    image = store.hold_image(REPOSITORY, b"layer")
    for content in (b"aa", b"bb", b"cc"):
        hold(store, REPOSITORY, artifact(image, SBOM_TYPE, content))

    with pytest.raises(EvidenceError):
        await ask(store, image.digest)
    assert store.asked("open_blob") == []


async def test_a_strangers_type_does_not_break_the_line(store: MemoryStore) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    layer = ("application/octet-stream", b"sbom", {"a": "b"})
    hold(store, REPOSITORY, built([layer], subject=image, artifact_type="x/y\n\x1b[31m+json"))

    answer = await ask(store, image.digest)

    for said in [*(each.location for each in answer.documents), *(n.said for n in answer.notes)]:
        assert said.isprintable()
    assert len(answer.documents) + len(answer.notes) == 1


def hold_index(
    store: MemoryStore, images: Sequence[Descriptor], attestations: Mapping[Digest, Manifest]
) -> Descriptor:
    """Fill a store with an index as BuildKit writes it."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            *(
                {**entry(image), "platform": {"os": "linux", "architecture": "x"}}
                for image in images
            ),
            *(
                {
                    **entry(attestation.descriptor),
                    "platform": {"os": "unknown", "architecture": "unknown"},
                    "annotations": {
                        "vnd.docker.reference.digest": str(about),
                        "vnd.docker.reference.type": "attestation-manifest",
                    },
                }
                for about, attestation in attestations.items()
            ),
        ],
    }
    index = parse_manifest(json.dumps(document).encode(), None)
    return store.hold_manifest(REPOSITORY, index)
