"""Sources at a real registry, which has no referrers API, so that lists stand under tags."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from image_promotion.evidence.document import Kind
from image_promotion.evidence.sources.attaching import attach_report
from image_promotion.evidence.sources.referrers import ReferrersSource
from image_promotion.evidence.sources.scanners import SYFT, ScannerSource
from image_promotion.evidence.sources.source import Image
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.manifest import OCI_INDEX, OCI_MANIFEST, parse_manifest
from image_promotion.registry.referrer_transfer import carry_attachments
from image_promotion.registry.transfer import copy_image
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import ImagePusher
from sandbox.registry_process import RegistryProcess
from tests.integration.registry.raw_http import client_of
from tests.support.attachments import EMPTY, Built
from tests.support.memory_store import CONFIG_TYPE
from tests.support.scan_doubles import READS_A_LAYOUT, write_program
from tests.support.signed_images import push, push_signed_index

REPOSITORY = "dev/website"
STATEMENT = b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "predicate": {}}'


async def parts_of(client: LayoutStore, index: Digest) -> tuple[Digest, ...]:
    manifest = await client.get_manifest(REPOSITORY, index)
    return tuple(Digest.parse(each["digest"]) for each in json.loads(manifest.content)["manifests"])


async def test_all_that_people_attach_is_found_in_a_registry_and_on_a_disk(
    dev: RegistryProcess, tmp_path: Path
) -> None:
    index, _ = push_signed_index(dev, REPOSITORY)
    disk = LayoutStore(tmp_path)

    async with client_of(dev) as client:
        await copy_image(client, REPOSITORY, index.digest, disk, REPOSITORY)
        await carry_attachments(client, REPOSITORY, index.digest, disk, REPOSITORY)
        image = Image(REPOSITORY, index.digest, await parts_of(disk, index.digest))
        online = await ReferrersSource(client).documents(image)
        offline = await ReferrersSource(disk).documents(image)

    kinds = [(each.kind, each.subject == str(index.digest)) for each in online.documents]
    assert sorted(kinds) == sorted(
        [
            (Kind.BUNDLE, True),
            (Kind.REPORT, True),
            (Kind.SIMPLE_SIGNING, True),
            (Kind.SIMPLE_SIGNING, True),
            (Kind.ENVELOPE, True),
            (Kind.REPORT, False),
            (Kind.SIMPLE_SIGNING, False),
        ]
    )
    # What is about an attachment is named, and not taken for evidence about the image.
    assert [(note.state, note.error) for note in online.notes] == [(None, None)]
    assert set(offline.documents) == set(online.documents)
    assert offline.notes == online.notes


async def test_attestations_within_an_index_of_buildkit_are_found(dev: RegistryProcess) -> None:
    with ImagePusher(dev.url) as pusher:
        pushed = pusher.push_image(REPOSITORY, None, layers=[noise_layer(1000)])
        image = Descriptor(pushed.media_type, Digest.parse(pushed.digest), len(pushed.manifest))
        attestation = push(pusher, REPOSITORY, _attestation())
        index = push(pusher, REPOSITORY, _index(image, attestation), "1.0")

    async with client_of(dev) as client:
        answer = await ReferrersSource(client).documents(
            Image(REPOSITORY, index.digest, (image.digest,))
        )

    assert [(each.kind, each.subject, each.content) for each in answer.documents] == [
        (Kind.STATEMENT, str(image.digest), STATEMENT)
    ]
    assert answer.documents[0].annotations == {"in-toto.io/predicate-type": "x"}
    assert answer.notes == ()


async def test_an_sbom_is_made_attached_and_found_and_of_many_writers_none_loses_its_own(
    dev: RegistryProcess, tmp_path: Path
) -> None:
    write_program(tmp_path / "bin", "syft", READS_A_LAYOUT)
    with ImagePusher(dev.url) as pusher:
        pushed = pusher.push_image(REPOSITORY, "1.0", layers=[noise_layer(100_000)])
    subject = Descriptor(pushed.media_type, Digest.parse(pushed.digest), len(pushed.manifest))
    image = Image(REPOSITORY, subject.digest)

    # Distribution answers 500 while it writes a tag that is read, so that reads are retried.
    async with RegistryClient(RegistryEndpoint("dev", dev.url)) as client:
        source = ScannerSource(SYFT, client, path=str(tmp_path / "bin"))
        (sbom,) = (await source.documents(image)).documents
        await asyncio.gather(
            *(
                attach_report(
                    client,
                    REPOSITORY,
                    subject,
                    content,
                    media_type=sbom.media_type,
                    artifact_type=sbom.media_type,
                )
                for content in (sbom.content, b'{"another": 1}', b'{"another": 2}')
            )
        )
        found = (await ReferrersSource(client).documents(image)).documents

    assert json.loads(sbom.content)["scanned"] == pushed.digest
    assert {each.content for each in found} == {sbom.content, b'{"another": 1}', b'{"another": 2}'}
    assert {(each.subject, each.media_type) for each in found} == {
        (pushed.digest, "application/vnd.syft+json")
    }


def _attestation() -> Built:
    layer = {
        **_described("application/vnd.in-toto+json", STATEMENT),
        "annotations": {"in-toto.io/predicate-type": "x"},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _described(CONFIG_TYPE, EMPTY),
        "layers": [layer],
    }
    return Built(parse_manifest(json.dumps(document).encode(), None), (EMPTY, STATEMENT))


def _index(image: Descriptor, attestation: Descriptor) -> Built:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {**_entry(image), "platform": {"os": "linux", "architecture": "amd64"}},
            {
                **_entry(attestation),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {
                    "vnd.docker.reference.digest": str(image.digest),
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            },
        ],
    }
    return Built(parse_manifest(json.dumps(document).encode(), None), ())


def _entry(descriptor: Descriptor) -> Mapping[str, object]:
    return {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size_bytes,
    }


def _described(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
