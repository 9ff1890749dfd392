"""Images with all that people attach to them, pushed to a real registry; no signature is real."""

from __future__ import annotations

from collections.abc import Sequence

from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import OCI_MANIFEST, ImagePusher
from sandbox.registry_process import RegistryProcess
from tests.support.attachments import (
    BUNDLE_TYPE,
    ENVELOPE_TYPE,
    SBOM_TYPE,
    Built,
    artifact,
    cosign_manifest,
    list_of,
)


def push(pusher: ImagePusher, repository: str, built: Built, tag: str | None = None) -> Descriptor:
    for blob in built.blobs:
        pusher.push_blob(repository, blob)
    manifest = built.manifest
    pusher.push_manifest_bytes(repository, tag, manifest.content, manifest.media_type)
    return manifest.descriptor


def attach(pusher: ImagePusher, repository: str, built: Sequence[Built]) -> None:
    """Push referrers of one subject, and the list of them."""
    subject = built[0].manifest.subject
    assert subject is not None
    for each in built:
        push(pusher, repository, each)
    push(
        pusher,
        repository,
        Built(list_of(*(each.manifest for each in built)), ()),
        fallback_tag(subject.digest),
    )


def push_signed_index(
    registry: RegistryProcess, repository: str, tag: str = "1.0"
) -> tuple[Descriptor, int]:
    """Push an index of two images with everything attached that people attach.

    The registry has no referrers API, so that lists of them stand under the fallback tags.

    Returns:
        The index, and how many manifests are attached to it, to its images and to each other.
    """
    with ImagePusher(registry.url) as pusher:
        pushed = pusher.push_index(
            repository,
            tag,
            images={
                "linux/amd64": [noise_layer(3000, "amd64")],
                "linux/arm64": [noise_layer(3000, "arm64")],
            },
        )
        index = Descriptor(pushed.media_type, Digest.parse(pushed.digest), len(pushed.manifest))
        first = pushed.children[0]
        child = Descriptor(OCI_MANIFEST, Digest.parse(first.digest), len(first.manifest))
        sbom = artifact(index, SBOM_TYPE, b'{"spdxVersion": "SPDX-2.3"}')
        attach(pusher, repository, [artifact(index, BUNDLE_TYPE, b"bundle"), sbom])
        attach(pusher, repository, [artifact(child, SBOM_TYPE, b"sbom of the child")])
        attach(
            pusher, repository, [artifact(sbom.manifest.descriptor, BUNDLE_TYPE, b"signed sbom")]
        )
        sig, att, _ = cosign_tags(index.digest)
        push(pusher, repository, cosign_manifest(index.digest, ["first", "second"]), sig)
        push(pusher, repository, cosign_manifest(index.digest, ["third"], ENVELOPE_TYPE), att)
        push(
            pusher,
            repository,
            cosign_manifest(child.digest, ["fourth"]),
            cosign_tags(child.digest)[0],
        )
    return index, 7
