"""Target tags set back and taken away, in real registries that can do more and less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from image_promotion.ledger.records import Kind
from image_promotion.policy.model import Policy
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.retention import RetentionReport, retain
from image_promotion.promotion.rollback import RollbackRequest, roll_back
from image_promotion.registry.digest import Digest
from image_promotion.registry.transfer import NO_PROGRESS
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace
from tests.support.onlooker import Onlooker

SOURCE, TARGET = "dev/website", "qa/website"


@pytest.fixture
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("dev"), name="dev") as process:
        yield process


@pytest.fixture
def qa(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RegistryProcess]:
    """The target; parametrised indirectly by whether it deletes anything."""
    folder = tmp_path_factory.mktemp("qa")
    deletes = getattr(request, "param", True)
    with RegistryProcess.start(folder, name="qa", delete_enabled=deletes) as process:
        yield process


@pytest.fixture
def joined(place: Workplace, dev: RegistryProcess, qa: RegistryProcess) -> Workplace:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    return place


def policy(*, tag: str = "%n", existing_tag: str = "fail", keep: int | None = None) -> Policy:
    return Policy.model_validate(
        {
            "name": "website-to-qa",
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {
                "connection": "qa_registry",
                "repository": TARGET,
                "tag": tag,
                "existing_tag": existing_tag,
            },
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            **({"retention": {"keep_newest": keep, "mode": "remove"}} if keep else {}),
        }
    )


def push(dev: RegistryProcess, tag: str) -> PushedImage:
    return push_image(dev.url, SOURCE, tag, layers=[noise_layer(2_000, tag), noise_layer(500)])


def visible(qa: RegistryProcess) -> dict[str, str]:
    with Onlooker(qa.url) as registry:
        return registry.visible(TARGET)


async def apply(place: Workplace, wanted: Policy) -> RetentionReport:
    async with place.stores() as stores:
        return await retain(
            wanted,
            stores=stores,
            ledger=place.ledger,
            clock=lambda: place.now,
            run_key=next(place.keys),
        )


async def set_back(place: Workplace, wanted: Policy) -> RunReport:
    async with place.stores() as stores:
        return await roll_back(
            wanted,
            RollbackRequest(tag="stable", reason="it crashes", who="ada"),
            stores=stores,
            ledger=place.ledger,
            clock=lambda: place.now,
            run_key=next(place.keys),
            progress_of=lambda _: NO_PROGRESS,
        )


async def test_a_moving_tag_is_set_back_and_only_something_new_moves_it_again(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    wanted = policy(tag="stable", existing_tag="overwrite")
    first = push(dev, "1-stable")
    await joined.run(wanted)
    with Onlooker(dev.url) as source:
        source.delete_tag(SOURCE, "1-stable")
    push(dev, "2-stable")
    await joined.run(wanted)

    report = await set_back(joined, wanted)

    assert report.problems == ()
    assert [each.kind for each in report.verified] == [Kind.ROLLBACK]
    assert visible(qa) == {"stable": first.digest}
    assert (await joined.run(wanted)).problems == ()
    assert visible(qa) == {"stable": first.digest}
    with Onlooker(dev.url) as source:
        source.delete_tag(SOURCE, "2-stable")
    new = push(dev, "3-stable")
    assert (await joined.run(wanted)).problems == ()
    assert visible(qa) == {"stable": new.digest}


async def test_a_registry_that_deletes_by_digest_alone_loses_what_is_superfluous(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    images = []
    for number in range(1, 4):
        images.append(push(dev, f"{number}-stable"))
        await joined.run(policy())
    with Onlooker(qa.url) as registry:
        theirs = registry.manifest(TARGET, "1-stable")
    async with joined.stores() as stores:
        target = stores.of("qa_registry")
        manifest = await target.get_manifest(TARGET, Digest.of(theirs))
        await target.put_manifest(TARGET, "pinned", manifest)

    report = await apply(joined, policy(keep=1))

    assert report.problems == []
    assert [each.target_tag for each in report.removed] == ["2-stable"]
    assert "pinned holds the same image" in report.spared[0]
    assert visible(qa) == {
        "1-stable": images[0].digest,
        "pinned": images[0].digest,
        "3-stable": images[2].digest,
    }
    assert (await joined.run(policy())).problems == ()
    assert "2-stable" not in visible(qa)


@pytest.mark.parametrize("qa", [False], indirect=True)
async def test_a_registry_that_deletes_nothing_is_a_problem_with_advice(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    for number in range(1, 3):
        push(dev, f"{number}-stable")
        await joined.run(policy())

    report = await apply(joined, policy(keep=1))

    (problem,) = report.problems
    assert "405" in problem
    assert "REGISTRY_STORAGE_DELETE_ENABLED" in problem
    assert set(visible(qa)) == {"1-stable", "2-stable"}
    assert joined.ledger.removals.removed([each.id for each in report.superfluous]) == frozenset()


async def test_a_folder_of_layouts_loses_the_tag_and_keeps_the_image(
    place: Workplace, dev: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", str(tmp_path), registry_type="oci_layout")
    for number in range(1, 3):
        push(dev, f"{number}-stable")
        await place.run(policy())

    report = await apply(place, policy(keep=1))

    assert [each.target_tag for each in report.removed] == ["1-stable"]
    async with place.stores() as stores:
        target = stores.of("qa_registry")
        assert [tag async for tag in target.list_tags(TARGET)] == ["2-stable"]
        assert await target.has_manifest(TARGET, Digest.parse(report.removed[0].target_digest))
