"""Layers that must not be pushed, between real registries that take manifests which name them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from image_promotion.ledger.records import Outcome, State
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import DOCKER_MANIFEST, OCI_MANIFEST, ImagePusher
from sandbox.registry_process import RegistryProcess
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.onlooker import Onlooker

SOURCE, TARGET = "dev/windows", "qa/windows"
TAG = "1.0-stable"
URL = "https://images.invalid/base.tar.gz"
FOREIGN = {
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    OCI_MANIFEST: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
}


@pytest.fixture
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    folder = tmp_path_factory.mktemp("dev")
    with RegistryProcess.start(folder, name="dev", allowed_urls=["^https://"]) as process:
        yield process


@pytest.fixture
def qa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    folder = tmp_path_factory.mktemp("qa")
    with RegistryProcess.start(folder, name="qa", allowed_urls=["^https://"]) as process:
        yield process


@pytest.fixture
def joined(place: Workplace, dev: RegistryProcess, qa: RegistryProcess) -> Workplace:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    return place


def push_windows(
    registry: RegistryProcess, kind: str = DOCKER_MANIFEST, *, with_content: bool = True
) -> str:
    """Push an image whose base layer is fetched from elsewhere; return that layer's digest."""
    base = noise_layer(4_000, "windows")
    with ImagePusher(registry.url) as pusher:
        image = pusher.push_image(
            SOURCE, None, layers=[noise_layer(900)], docker_schema2=kind == DOCKER_MANIFEST
        )
        if with_content:
            pusher.push_blob(SOURCE, base.content)
        document = json.loads(image.manifest)
        document["layers"].insert(
            0,
            {
                "mediaType": FOREIGN[kind],
                "digest": base.digest,
                "size": len(base.content),
                "urls": [URL],
            },
        )
        pusher.push_manifest_bytes(SOURCE, TAG, json.dumps(document).encode(), kind)
    return base.digest


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("choice", ["skip", "copy"])
async def test_foreign_layers_stay_where_their_urls_lead_unless_the_policy_wants_them(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess, kind: str, choice: str
) -> None:
    layer = push_windows(dev, kind)
    policy = policy_from(("dev_registry", SOURCE), ("qa_registry", TARGET), foreign_layers=choice)

    report = await joined.run(policy)

    assert report.problems == ()
    assert [each.state for each in report.promotions] == [State.VERIFIED]
    with Onlooker(qa.url) as target, Onlooker(dev.url) as source:
        assert target.manifest(TARGET, TAG) == source.manifest(SOURCE, TAG)
        assert target.has_blob(TARGET, layer) is (choice == "copy")


async def test_a_foreign_layer_that_the_source_lacks_is_said_and_never_fetched(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    layer = push_windows(dev, with_content=False)
    policy = policy_from(("dev_registry", SOURCE), ("qa_registry", TARGET), foreign_layers="copy")

    failed = await joined.run(policy)
    push_windows(dev)
    repaired = await joined.run(policy)

    (problem,) = failed.problems
    assert f"does not hold the foreign layer {layer}" in problem
    assert "URLs of an image are never fetched from here" in problem
    assert repaired.problems == ()
    with Onlooker(qa.url) as target:
        target.visible(TARGET)


async def test_an_image_with_foreign_layers_is_rejected_where_the_policy_refuses_them(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    layer = push_windows(dev)
    policy = policy_from(("dev_registry", SOURCE), ("qa_registry", TARGET), foreign_layers="refuse")

    row = (await joined.plan(policy))[TAG]
    report = await joined.run(policy)

    assert row.outcome is Outcome.REJECT
    assert row.why == f"foreign_layers: refuse: 1 fetched from elsewhere: {layer}"
    assert (report.promotions, report.problems) == ((), ())
    with Onlooker(qa.url) as target:
        assert target.visible(TARGET) == {}
