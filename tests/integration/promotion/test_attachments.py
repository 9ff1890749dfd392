"""Signatures, attestations and SBOMs travel with their image by a policy, between real registries.

CNCF distribution 2.8 has no referrers API, so that they are listed under real fallback tags.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Hold
from sandbox.registry_process import RegistryProcess
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.attachments import BUNDLE_TYPE
from tests.support.onlooker import Onlooker
from tests.support.signed_images import push_signed_index

SOURCE, TARGET = "dev/website", "qa/website"
TAG = "1.0-stable"


def policy_of(**more: object) -> Policy:
    """Give a policy whose trigger every tag meets, those of attachments too."""
    triggers = [{"tag": {"contains": "-"}}]
    return policy_from(
        ("dev_registry", SOURCE), ("qa_registry", TARGET), **{"triggers": triggers, **more}
    )


async def test_all_that_is_attached_is_promoted_with_the_image_and_never_as_one(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    index, number = push_signed_index(dev, SOURCE, TAG)

    report = await place.run(policy_of())
    rows = await place.plan(policy_of())
    again = await place.run(policy_of())

    assert report.problems == ()
    (promotion,) = report.verified
    assert promotion.digest == str(index.digest)
    steps = {each.to_state: each.detail for each in place.ledger.transitions(promotion.id)}
    assert steps[State.COPIED].startswith(f"{number} attachments, {number} copied; ")
    assert steps[State.VERIFIED].endswith(f"; {number} attachments there")
    with Onlooker(dev.url) as source, Onlooker(qa.url) as target:
        pushed = source.visible(SOURCE)
        assert target.visible(TARGET).keys() == pushed.keys()
        cosigned = {tag: digest for tag, digest in pushed.items() if "." in tag}
        assert cosigned.items() <= target.visible(TARGET).items()
    assert len(pushed) == 7
    for tag in pushed.keys() - {TAG}:
        assert rows[tag].outcome is Outcome.REJECT
        assert "names what is attached to an image" in rows[tag].why
    assert again.promotions == ()


@pytest.mark.parametrize(
    ("referrers", "number"), [({"carry": "none"}, 0), ({"artifact_types": [BUNDLE_TYPE]}, 1)]
)
async def test_what_the_policy_does_not_want_stays_behind(
    place: Workplace,
    dev: RegistryProcess,
    qa: RegistryProcess,
    referrers: dict[str, object],
    number: int,
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    push_signed_index(dev, SOURCE, TAG)

    report = await place.run(policy_of(referrers=referrers))

    assert report.problems == ()
    with Onlooker(qa.url) as target:
        assert len(target.visible(TARGET)) == 1 + number


async def test_a_run_killed_while_it_lists_attachments_is_finished_by_the_same_run_again(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index, number = push_signed_index(dev, SOURCE, TAG)
    list_of_index = f"/manifests/sha256-{index.digest.encoded}"
    with FaultProxy(qa.url) as proxy:
        place.connect("dev_registry", dev.url)
        place.connect("qa_registry", proxy.url)
        hold = Hold()
        proxy.on("PUT", list_of_index, hold)
        running = asyncio.create_task(place.run(policy_of(), key="the run"))
        await asyncio.to_thread(hold.wait)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        hold.release()
        with Onlooker(qa.url) as target:
            assert TAG not in target.visible(TARGET)
        proxy.heal()

        report = await place.run(policy_of(), key="the run")

    assert report.problems == ()
    (promotion,) = report.verified
    detail = place.ledger.transitions(promotion.id)[-1].detail
    assert detail.endswith(f"; {number} attachments there")


async def test_attachments_cross_an_air_gap_with_their_image(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("disk", str(tmp_path), registry_type="oci_layout")
    place.connect("qa_registry", qa.url)
    _, number = push_signed_index(dev, SOURCE, TAG)

    await place.run(policy_from(("dev_registry", SOURCE), ("disk", SOURCE)))
    dev.stop()
    report = await place.run(policy_from(("disk", SOURCE), ("qa_registry", TARGET)))

    assert report.problems == ()
    detail = place.ledger.transitions(report.verified[0].id)[-1].detail
    assert detail.endswith(f"; {number} attachments there")
