"""From a registry onto a disk by one policy, and from there into another one by a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_promotion.errors import ConnectionSettingsError
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.onlooker import Onlooker

OUT = policy_from(("dev_registry", "dev/website"), ("disk", "transfer/website"))
IN = policy_from(("disk", "transfer/website"), ("qa_registry", "qa/website"))


def push_images(registry: RegistryProcess, repository: str = "dev/website") -> dict[str, str]:
    """Push an image and an index that are promoted, and one that is not; give the digests."""
    base = noise_layer(5_000, "base")
    stable = push_image(registry.url, repository, "1.4-stable", layers=[base])
    index = push_index(
        registry.url,
        repository,
        "2.0-stable",
        images={"linux/amd64": [base], "linux/arm64": [base, noise_layer(900, "arm")]},
    )
    push_image(registry.url, repository, "2.1-rc1", layers=[base])
    return {"1.4-stable": stable.digest, "2.0-stable": index.digest}


def layouts_in(folder: Path) -> set[str]:
    """Find the layouts beneath a folder without the product."""
    return {str(each.parent.relative_to(folder)) for each in folder.rglob("oci-layout")}


def spoil(layout: Path, digest: str) -> None:
    """Let a blob on a disk rot; its size stays."""
    blob = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    blob.write_bytes(b"\0" * blob.stat().st_size)


async def test_two_policies_carry_images_over_an_air_gap(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("disk", str(tmp_path), registry_type="oci_layout")
    place.connect("qa_registry", qa.url)
    pushed = push_images(dev)

    out = await place.run(OUT)
    dev.stop()  # the other side of the gap
    into = await place.run(IN)

    assert (out.problems, into.problems) == ((), ())
    assert [each.state for each in (*out.promotions, *into.promotions)] == [State.VERIFIED] * 4
    assert {each.source_tag: each.digest for each in out.verified} == pushed
    with Onlooker(qa.url) as target:
        assert target.visible("qa/website") == pushed


async def test_a_second_run_onto_the_disk_promotes_nothing(
    place: Workplace, dev: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("disk", tmp_path.as_uri(), registry_type="oci_layout")
    push_images(dev)

    await place.run(OUT)
    again = await place.run(OUT)

    assert again.promotions == ()
    rows = await place.plan(OUT)
    assert not any(row.is_new for row in rows.values())
    assert rows["2.1-rc1"].outcome is Outcome.REJECT


async def test_a_pattern_finds_the_layouts_beneath_a_namespace(
    place: Workplace, dev: RegistryProcess, tmp_path: Path
) -> None:
    push_images(dev, "dev/website")
    push_images(dev, "dev/shop")
    place.connect("dev_registry", dev.url)
    place.connect("disk", str(tmp_path), registry_type="oci_layout", namespace="site-a")
    place.connect("copy", str(tmp_path), registry_type="oci_layout", namespace="site-b")

    await place.run(policy_from(("dev_registry", "dev/*"), ("disk", "qa/{name}")))
    copied = await place.run(policy_from(("disk", "qa/*"), ("copy", "qa/{name}")))

    assert copied.problems == ()
    assert {each.target_repository for each in copied.verified} == {"qa/website", "qa/shop"}
    assert layouts_in(tmp_path) == {
        f"{namespace}/qa/{name}"
        for namespace in ("site-a", "site-b")
        for name in ("website", "shop")
    }


async def test_a_blob_that_rots_on_the_disk_is_not_promoted(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("disk", str(tmp_path), registry_type="oci_layout")
    place.connect("qa_registry", qa.url)
    image = push_image(dev.url, "dev/website", "1.4-stable", layers=[noise_layer(9_000, "x")])
    await place.run(OUT)
    spoil(tmp_path / "transfer" / "website", image.blobs[1].digest)

    report = await place.run(IN)

    assert [each.state for each in report.promotions] == [State.FAILED]
    assert image.blobs[1].digest in report.promotions[0].error
    with Onlooker(qa.url) as target:
        assert target.visible("qa/website") == {}


@pytest.mark.parametrize("policy", [OUT, IN])
async def test_a_disk_that_is_not_mounted_is_told_before_anything_is_done(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path, policy: Policy
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("disk", str(tmp_path / "disk"), registry_type="oci_layout")
    place.connect("qa_registry", qa.url)
    push_images(dev)

    with pytest.raises(ConnectionSettingsError, match="there is no folder"):
        await place.run(policy)

    assert layouts_in(tmp_path) == set()
