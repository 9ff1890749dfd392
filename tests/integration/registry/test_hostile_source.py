"""Sources that lie, break off or hold what is not promoted: a real target stays as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from image_promotion.errors import (
    ContentMismatchError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    UnreachableError,
    UnsupportedContentError,
)
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.manifest import (
    MAX_MANIFEST_BYTES,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA_1_MEDIA_TYPES,
)
from image_promotion.registry.retry import NO_RETRY, RetryRules
from image_promotion.registry.transfer import copy_image
from sandbox.registry_process import RegistryProcess
from tests.integration.registry.raw_http import client_of, files_of
from tests.support.scripted_server import Reply, ScriptedServer

CONFIG = b'{"os":"linux","architecture":"amd64"}'
LAYER = b"layer" * 40_000


def described(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def manifest(**more: object) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": described(CONFIG, "application/vnd.oci.image.config.v1+json"),
            "layers": [described(LAYER, "application/vnd.oci.image.layer.v1.tar")],
            **more,
        }
    ).encode()


MANIFEST = manifest()
OTHER_MANIFEST = manifest(annotations={"other": "yes"})
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [described(MANIFEST, OCI_MANIFEST)],
    }
).encode()
SCHEMA_1 = json.dumps({"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": []}).encode()
TOO_LARGE = manifest(annotations={"large": "x" * MAX_MANIFEST_BYTES})


@dataclass(frozen=True)
class Source:
    """A registry whose answers are written down here.

    Args:
        image: The bytes whose digest is copied.
        answers: What it answers to reading a digest, instead of the truth.
    """

    image: bytes
    answers: Mapping[bytes, Reply] = field(default_factory=dict)

    def plan(self, server: ScriptedServer) -> None:
        for kind, media_type, content in (
            ("manifests", OCI_INDEX, INDEX),
            ("manifests", OCI_MANIFEST, MANIFEST),
            ("blobs", "application/octet-stream", CONFIG),
            ("blobs", "application/octet-stream", LAYER),
            ("manifests", OCI_MANIFEST, self.image),
        ):
            truth = Reply(200, content, {"Content-Type": media_type})
            reply = self.answers.get(content, truth)
            server.on(f"GET /v2/a/{kind}/{Digest.of(content)}", reply)


def _as(media_type: str, content: bytes) -> Reply:
    return Reply(200, content, {"Content-Type": media_type})


PAGE = Reply(200, b"<!doctype html><title>Sign in", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("source", "error"),
    [
        pytest.param(
            Source(SCHEMA_1, {SCHEMA_1: _as(SCHEMA_1_MEDIA_TYPES[1], SCHEMA_1)}),
            UnsupportedContentError,
            id="schema-1",
        ),
        pytest.param(Source(TOO_LARGE), UnsupportedContentError, id="over-4-MiB"),
        pytest.param(Source(MANIFEST, {MANIFEST: PAGE}), ProtocolViolationError, id="html"),
        pytest.param(
            Source(MANIFEST, {MANIFEST: _as(OCI_MANIFEST, OTHER_MANIFEST)}),
            ContentMismatchError,
            id="another-manifest",
        ),
        pytest.param(
            Source(INDEX, {MANIFEST: _as(OCI_INDEX, INDEX)}),
            ContentMismatchError,
            id="index-that-claims-to-contain-itself",
        ),
        pytest.param(Source(INDEX, {MANIFEST: Reply(404)}), NotFoundError, id="missing-child"),
        pytest.param(
            Source(INDEX, {LAYER: Reply(200, LAYER[::-1])}),
            ContentMismatchError,
            id="another-layer",
        ),
        pytest.param(
            Source(INDEX, {LAYER: Reply(200, LAYER + b"!")}),
            ContentMismatchError,
            id="longer-layer",
        ),
        pytest.param(
            Source(INDEX, {LAYER: Reply(200, LAYER + b"!", {"Content-Length": ""})}),
            ContentMismatchError,
            id="endless-layer",
        ),
        pytest.param(Source(INDEX, {LAYER: PAGE}), ContentMismatchError, id="html-as-layer"),
        pytest.param(
            Source(INDEX, {LAYER: Reply(200, LAYER, cut_after_bytes=100_000)}),
            UnreachableError,
            id="connection-lost-in-a-layer",
        ),
        pytest.param(
            Source(INDEX, {LAYER: Reply(never=True)}), UnreachableError, id="no-answer-for-a-layer"
        ),
    ],
)
async def test_nothing_of_it_becomes_an_image_at_the_target(
    qa: RegistryProcess, source: Source, error: type[PromotionError]
) -> None:
    async with ScriptedServer() as server:
        source.plan(server)
        endpoint = RegistryEndpoint("source", server.url)
        async with RegistryClient(endpoint, retry=NO_RETRY) as client, client_of(qa) as target:
            with pytest.raises(error) as caught:
                await copy_image(
                    client, "a", Digest.of(source.image), target, "qa/a", retry=NO_RETRY
                )

        assert caught.value.subject.registry == server.host
        assert caught.value.subject.repository == "a"
    # An upload that broke off stays until the registry purges it; nothing can be seen of it.
    stored = {path.as_posix() for path in files_of(qa)}
    assert not any("/_manifests/" in path for path in stored)
    assert not any(Digest.of(LAYER).encoded in path for path in stored)


async def test_a_connection_lost_in_a_layer_is_made_again(qa: RegistryProcess) -> None:
    async with ScriptedServer() as server:
        layer = f"GET /v2/a/blobs/{Digest.of(LAYER)}"
        server.on(layer, Reply(200, LAYER, cut_after_bytes=100_000))
        Source(INDEX).plan(server)
        at_once = RetryRules(attempts=2, base_s=0)
        async with (
            RegistryClient(RegistryEndpoint("source", server.url)) as client,
            client_of(qa) as target,
        ):
            report = await copy_image(client, "a", Digest.of(INDEX), target, "qa/a", retry=at_once)
            assert await target.has_manifest("qa/a", Digest.of(INDEX))
        assert server.lines().count(layer) == 2
    assert report.blobs_copied == 2
