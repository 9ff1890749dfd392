"""What a dry run says is what the run then does, between real registries; it touches nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from image_promotion.ledger.records import Promotion
from image_promotion.policy.model import Policy
from image_promotion.promotion.plan_document import document
from image_promotion.promotion.planning import plan
from image_promotion.promotion.previewing import Preview, preview
from sandbox.image_layers import Layer, noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.signed_images import push_signed_index

SOURCE, TARGET = "dev/website", "qa/website"


async def look(place: Workplace, policy: Policy) -> Preview:
    """Do what a dry run does."""
    async with place.stores() as stores:
        source = stores.of(policy.source.connection)
        rows = await plan(
            policy, source=source, target_of=stores.of, ledger=place.ledger, now=place.now
        )
        return await preview(policy, rows, source=source, target_of=stores.of)


def stored(*registries: RegistryProcess) -> dict[Path, str]:
    """Return every file that registries keep, with the digest of what is in it."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for registry in registries
        for path in registry.content.rglob("*")
        if path.is_file()
    }


def moved(promotions: tuple[Promotion, ...]) -> tuple[int, int, int]:
    """Return the bytes that promotions copied, mounted and skipped, all together."""
    return (
        sum(each.bytes_copied or 0 for each in promotions),
        sum(each.bytes_mounted or 0 for each in promotions),
        sum(each.bytes_skipped or 0 for each in promotions),
    )


def fill(dev: RegistryProcess) -> tuple[Layer, Layer]:
    """Push images that share layers, one that is there twice, and one with all that is attached."""
    base, late = noise_layer(40_000, "1"), noise_layer(9_000, "2")
    push_image(dev.url, SOURCE, "1.0-stable", layers=[base, noise_layer(5_000, "3")])
    push_image(dev.url, SOURCE, "1.1-stable", layers=[base, late])
    push_image(dev.url, SOURCE, "1.1-again-stable", layers=[base, late])
    push_image(dev.url, SOURCE, "1.2-rc1", layers=[noise_layer(7_000, "4")])
    push_signed_index(dev, SOURCE, "2.0-stable")
    return base, late


async def test_a_dry_run_says_to_the_byte_what_the_run_then_moves_and_touches_nothing(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    _, late = fill(dev)
    # One layer is in the target already, and one target tag holds another image.
    other = push_image(qa.url, TARGET, "1.1-stable", layers=[late])
    policy = Policy.model_validate(
        {
            "name": "website-stable-to-qa",
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {
                "connection": "qa_registry",
                "repository": TARGET,
                "existing_tag": "overwrite",
            },
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
    )
    before = stored(dev, qa)

    found = await look(place, policy)

    assert stored(dev, qa) == before
    assert place.ledger.history() == ()
    assert found.total
    held = {each.planned.tag: each.planned.held_digest for each in found.images}
    assert (held["1.0-stable"], held["1.1-stable"]) == (None, other.digest)
    report = await place.run(policy)
    assert report.problems == ()
    assert len(report.verified) == 4
    total = found.total
    assert (total.bytes_copied, total.bytes_mounted, total.bytes_skipped) == moved(report.verified)
    assert total.bytes_skipped > 40_000 + 9_000
    assert total.referrers > 0
    again = await look(place, policy)
    assert again.total
    assert again.total.blobs_copied == 0
    said = "\n".join(document(policy.name, found))
    assert f"tag taken from {other.digest}" in said


async def test_within_one_registry_a_dry_run_says_what_is_mounted(
    place: Workplace, dev: RegistryProcess
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("also_dev", dev.url)
    fill(dev)
    policy = policy_from(("dev_registry", SOURCE), ("also_dev", TARGET))
    before = stored(dev)

    found = await look(place, policy)

    assert stored(dev) == before
    report = await place.run(policy)
    assert report.problems == ()
    assert found.total
    assert found.total.bytes_copied == 0
    assert found.total.bytes_mounted > 40_000
    total = found.total
    assert (total.bytes_copied, total.bytes_mounted, total.bytes_skipped) == moved(report.verified)
