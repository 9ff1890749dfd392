"""Policies that choose platforms, between real registries."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Hold
from sandbox.image_layers import noise_layer, sha256
from sandbox.image_pusher import ImagePusher, PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image, push_index
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.support.onlooker import Onlooker
from tests.support.signed_images import push_signed_index

SOURCE, TARGET = "dev/website", "qa/website"
TAG = "1.0-stable"
AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"


def policy_of(*platforms: str, existing_tag: str = "fail") -> Policy:
    policy = policy_from(("dev_registry", SOURCE), ("qa_registry", TARGET))
    document = json.loads(policy.document())
    document["target"]["existing_tag"] = existing_tag
    return Policy.model_validate({**document, "platforms": platforms} if platforms else document)


def push_three(registry: RegistryProcess, tag: str = TAG) -> PushedImage:
    images = {each: [noise_layer(2_000, each)] for each in (AMD, ARM, S390X)}
    return push_index(registry.url, SOURCE, tag, images=images)


def without(index: bytes, *left_out: str) -> str:
    """Give the digest of an index that lacks some platforms, by the documented rule alone."""
    document = json.loads(index)
    document["manifests"] = [
        entry
        for entry in document["manifests"]
        if "/".join(entry["platform"].values()) not in left_out
    ]
    return sha256(json.dumps(document, separators=(",", ":")).encode())


@pytest.fixture
def joined(place: Workplace, dev: RegistryProcess, qa: RegistryProcess) -> Workplace:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    return place


async def test_the_chosen_platforms_arrive_once_in_an_index_of_their_own(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index = push_three(dev)
    expected = without(index.manifest, S390X)

    planned = (await joined.plan(policy_of(AMD, ARM)))[TAG]
    report = await joined.run(policy_of(AMD, ARM))
    after = (await joined.plan(policy_of(AMD, ARM)))[TAG]
    again = await joined.run(policy_of(ARM, AMD))

    assert (planned.is_new, planned.digest, planned.target_digest) == (True, index.digest, expected)
    (promotion,) = report.verified
    assert (promotion.digest, promotion.target_digest) == (index.digest, expected)
    assert (after.is_new, after.target_digest) == (False, expected)
    assert (again.promotions, again.problems) == ((), ())
    with Onlooker(qa.url) as target:
        assert target.visible(TARGET) == {TAG: expected}
        assert not target.has_blob(TARGET, index.children[2].blobs[1].digest)


async def test_what_is_attached_to_the_kept_images_goes_along_and_the_rest_is_counted(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index, number = push_signed_index(dev, SOURCE, TAG)

    report = await joined.run(policy_of(AMD))

    (promotion,) = report.verified
    steps = {each.to_state: each.detail for each in joined.ledger.transitions(promotion.id)}
    assert steps[State.COPIED].startswith(
        f"5 referrers of the index {index.digest} do not apply to the platform selection and stay "
        f"behind; {number - 5} attachments, {number - 5} copied; "
    )
    assert steps[State.VERIFIED].endswith("; 2 attachments there")
    with Onlooker(qa.url) as target, Onlooker(dev.url) as source:
        document = json.loads(source.manifest(SOURCE, TAG))
        child = document["manifests"][0]["digest"].replace(":", "-")
        assert target.visible(TARGET).keys() == {TAG, child, f"{child}.sig"}


async def test_a_run_killed_between_copy_and_retag_is_finished_with_the_same_index(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index = push_three(dev)
    expected = without(index.manifest, ARM, S390X)
    with FaultProxy(qa.url) as proxy:
        place.connect("dev_registry", dev.url)
        place.connect("qa_registry", proxy.url)
        hold = Hold()
        proxy.on("PUT", f"/manifests/{TAG}", hold)
        running = asyncio.create_task(place.run(policy_of(AMD), key="the run"))
        await asyncio.to_thread(hold.wait)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        hold.drop()
        proxy.heal()

        report = await place.run(policy_of(AMD), key="the run")

    assert report.problems == ()
    (promotion,) = report.verified
    assert promotion.target_digest == expected
    assert [each.to_state for each in place.ledger.transitions(promotion.id)] == [
        State.PLANNED,
        State.COPIED,
        State.TAGGED,
        State.VERIFIED,
    ]
    with Onlooker(qa.url) as target:
        assert target.visible(TARGET) == {TAG: expected}


@pytest.mark.parametrize("existing_tag", ["fail", "skip", "overwrite"])
async def test_a_target_tag_that_holds_the_selection_is_no_conflict(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess, existing_tag: str
) -> None:
    index = push_three(dev)
    await joined.run(policy_of(AMD))
    other = Policy.model_validate(
        {**json.loads(policy_of(AMD, existing_tag=existing_tag).document()), "name": "another"}
    )

    report = await joined.run(other)

    assert report.problems == ()
    (promotion,) = report.verified
    assert promotion.bytes_copied == 0
    with Onlooker(qa.url) as target:
        assert target.visible(TARGET) == {TAG: without(index.manifest, ARM, S390X)}


@pytest.mark.parametrize(
    ("existing_tag", "outcome"), [("fail", Outcome.CONFLICT), ("skip", Outcome.REJECT)]
)
async def test_a_target_tag_that_holds_the_whole_index_is_another_image(
    joined: Workplace, dev: RegistryProcess, existing_tag: str, outcome: Outcome
) -> None:
    index = push_three(dev)
    await joined.run(policy_of())

    row = (await joined.plan(policy_of(AMD, existing_tag=existing_tag)))[TAG]

    assert row.outcome is outcome
    assert f"holds {index.digest}" in row.why


async def test_other_platforms_are_promoted_anew_and_the_first_ones_again(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    index = push_three(dev)
    amd, both = without(index.manifest, ARM, S390X), without(index.manifest, S390X)
    choices = [(AMD,), (AMD, ARM), (AMD,), (), (AMD, ARM, S390X)]

    seen = []
    for platforms in choices:
        policy = policy_of(*platforms, existing_tag="overwrite")
        is_new = (await joined.plan(policy))[TAG].is_new
        report = await joined.run(policy)
        repeated = await joined.run(policy)
        assert (report.problems, repeated.promotions) == ((), ())
        with Onlooker(qa.url) as target:
            seen.append((is_new, report.verified[0].id, target.visible(TARGET)[TAG]))

    # The last choice is all of the image, which is there already: nothing is promoted for it.
    assert seen == [
        (True, 1, amd),
        (True, 2, both),
        (True, 3, amd),
        (True, 4, index.digest),
        (False, 4, index.digest),
    ]


async def test_an_image_that_lacks_a_platform_is_rejected_and_a_single_one_counts_by_its_own(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    images = {each: [noise_layer(2_000, each)] for each in (AMD, S390X)}
    push_index(dev.url, SOURCE, "1-stable", images=images)
    arm = push_image(dev.url, SOURCE, "2-stable", layers=[noise_layer(900)], platform=ARM)
    push_image(dev.url, SOURCE, "3-stable", layers=[noise_layer(900)], platform=S390X)

    report = await joined.run(policy_of(AMD, ARM))
    rows = await joined.plan(policy_of(AMD, ARM))

    assert [each.target_digest for each in report.verified] == [arm.digest]
    assert rows["1-stable"].outcome is Outcome.REJECT
    assert "there is no image for linux/arm64. There is linux/amd64, linux/s390x." in (
        rows["1-stable"].why
    )
    assert "no image for linux/amd64, linux/arm64. There is linux/s390x." in rows["3-stable"].why
    with Onlooker(qa.url) as target:
        assert target.visible(TARGET) == {"2-stable": arm.digest}


async def test_an_attestation_of_buildkit_goes_with_its_image(
    joined: Workplace, dev: RegistryProcess, qa: RegistryProcess
) -> None:
    with ImagePusher(dev.url) as pusher:
        index = push_three(dev)
        document = json.loads(index.manifest)
        for image in list(document["manifests"]):
            about = image["digest"]
            attestation = pusher.push_image(
                SOURCE,
                None,
                layers=[noise_layer(300, f"sbom of {about}")],
                platform="unknown/unknown",
            )
            document["manifests"].append(
                {
                    "mediaType": attestation.media_type,
                    "digest": attestation.digest,
                    "size": len(attestation.manifest),
                    "platform": {"os": "unknown", "architecture": "unknown"},
                    "annotations": {
                        "vnd.docker.reference.digest": about,
                        "vnd.docker.reference.type": "attestation-manifest",
                    },
                }
            )
        pusher.push_manifest_bytes(SOURCE, TAG, json.dumps(document).encode(), index.media_type)

    report = await joined.run(policy_of(ARM))

    assert report.problems == ()
    with Onlooker(qa.url) as target:
        kept = json.loads(target.manifest(TARGET, TAG))["manifests"]
        target.visible(TARGET)
    arm = document["manifests"][1]
    assert kept == [arm, document["manifests"][4]]
    assert kept[1]["annotations"]["vnd.docker.reference.digest"] == arm["digest"]
