"""Content of a kind or a size that registries hold and this product does not, or hardly, meet."""

from __future__ import annotations

import json

from image_promotion.errors import UnsupportedContentError
from image_promotion.registry.manifest import MAX_MANIFEST_BYTES
from sandbox.faults import Answer
from sandbox.image_layers import sha256
from tests.support.passage import Passage

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAGS = 50_000
PER_PAGE = 1000


def hold_manifest(passage: Passage, tag: str, content: bytes, media_type: str) -> str:
    """Let the source hold a manifest that CNCF distribution itself would not take."""
    digest = sha256(content)
    answer = Answer(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})
    for method in ("HEAD", "GET"):
        passage.source.on(method, f"/manifests/({tag}|{digest})$", answer, times=None)
    return digest


async def test_a_schema_1_image_is_told_and_the_others_go_over(passage: Passage) -> None:
    other = passage.push("1.5-stable")
    passage.push("0.1-stable")
    document = {"schemaVersion": 1, "name": "x", "tag": "0.1-stable", "fsLayers": []}
    digest = hold_manifest(passage, "0.1-stable", json.dumps(document).encode(), SCHEMA_1)

    report = await passage.run()

    (error,) = passage.errors
    assert isinstance(error, UnsupportedContentError)
    assert error.subject.registry == passage.source.host
    assert error.subject.repository == passage.source_repository
    assert error.subject.digest == digest
    assert "schema version 1" in str(error)
    assert error.advice
    assert not error.retryable
    assert len(report.problems) == 1
    assert passage.visible() == {"1.5-stable": other.digest}


async def test_a_manifest_over_4_mib_is_told_and_the_others_go_over(passage: Passage) -> None:
    other = passage.push("1.5-stable")
    passage.push("9.9-stable")
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "padding": "x" * MAX_MANIFEST_BYTES}
    digest = hold_manifest(passage, "9.9-stable", json.dumps(document).encode(), OCI_MANIFEST)

    report = await passage.run()

    (error,) = passage.errors
    assert isinstance(error, UnsupportedContentError)
    assert error.subject.registry == passage.source.host
    assert error.subject.digest == digest
    assert f"larger than {MAX_MANIFEST_BYTES} bytes" in str(error)
    assert error.advice
    assert len(report.problems) == 1
    assert passage.visible() == {"1.5-stable": other.digest}


async def test_of_50_000_tags_only_the_promising_ones_are_looked_up(passage: Passage) -> None:
    first, middle, last = (
        passage.push(f"build-{number:05}-stable") for number in (0, 24_999, 49_999)
    )
    promising = {first.tag, middle.tag, last.tag}
    names = [f"build-{number:05}" for number in range(TAGS)]
    tags = [f"{name}-stable" if f"{name}-stable" in promising else name for name in names]
    path = f"/v2/{passage.source_repository}/tags/list"
    for start in range(0, TAGS, PER_PAGE):
        page = tags[start : start + PER_PAGE]
        next_page = f'<{path}?n={PER_PAGE}&last={page[-1]}>; rel="next"'
        passage.source.on(
            "GET",
            rf"/tags/list\?.*last={tags[start - 1]}$" if start else r"/tags/list\?n=[0-9]+$",
            Answer(
                200,
                json.dumps({"name": passage.source_repository, "tags": page}).encode(),
                {"Content-Type": "application/json"}
                | ({"Link": next_page} if start + PER_PAGE < TAGS else {}),
            ),
        )

    report = await passage.run()

    assert report.problems == ()
    assert report.tags_seen == TAGS
    assert report.rejected_by_name == TAGS - 3
    assert passage.visible() == {each.tag: each.digest for each in (first, middle, last)}
    pages = [line for line in passage.source.lines() if "/tags/list" in line]
    # What is attached to the promoted ones is looked for under tags that begin with sha256.
    looked_up = {
        line
        for line in passage.source.lines()
        if line.startswith("HEAD ") and "/manifests/sha256-" not in line
    }
    assert len(pages) == TAGS / PER_PAGE
    assert len(looked_up) == 3
