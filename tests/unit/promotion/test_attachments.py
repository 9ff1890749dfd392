"""What is attached to an image goes with it, through all stages, and is looked at in the end."""

from __future__ import annotations

from itertools import count

import pytest

from image_promotion.errors import NotFoundError, UnreachableError, VerificationError
from image_promotion.ledger.records import Outcome, State
from image_promotion.promotion.batches import Stage
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex, Manifest
from image_promotion.registry.referrer_tags import cosign_tags, fallback_tag
from tests.support.attachments import (
    BUNDLE_TYPE,
    SBOM_TYPE,
    SIGNING_TYPE,
    Built,
    ListingStore,
    artifact,
    cosign_manifest,
    hold,
    hold_tagged,
    list_of,
)
from tests.support.memory_store import Event, Hook, MemoryStore, do_nothing
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

TAG = "1.4-stable"
KINDS = pytest.mark.parametrize(
    ("source", "target"),
    [(MemoryStore, MemoryStore), (MemoryStore, ListingStore), (ListingStore, MemoryStore)],
    ids=["no lists", "the target lists", "the source lists"],
)


def attach(world: World, image: Digest, *referrers: Built) -> list[Manifest]:
    """Attach to an image of the source; where it lists nothing by itself, under the tag."""
    held = [hold(world.source, SOURCE, each) for each in referrers]
    if not isinstance(world.source, ListingStore):
        hold_tagged(world.source, SOURCE, list_of(*held), fallback_tag(image))
    return held


def sign(world: World, image: Digest) -> list[Manifest]:
    """Attach an SBOM and a bundle as referrers, and a signature under cosign's tag."""
    descriptor = world.source.manifests[SOURCE][image].descriptor
    held = attach(
        world,
        image,
        artifact(descriptor, SBOM_TYPE, b"sbom"),
        artifact(descriptor, BUNDLE_TYPE, b"bundle"),
    )
    signature = cosign_manifest(image, ["signature"])
    return [*held, hold(world.source, SOURCE, signature, cosign_tags(image)[0])]


@KINDS
async def test_what_is_attached_arrives_with_the_image(
    world: World, source: type[MemoryStore], target: type[MemoryStore]
) -> None:
    world.source, world.target = source("dev", "dev"), target("qa", "qa")
    image = world.push(TAG, "a")
    attached = sign(world, image)

    report = await world.promote(policy_of())

    assert [each.state for each in report.promotions] == [State.VERIFIED]
    assert {each.digest for each in attached} <= world.target.manifests[TARGET].keys()
    lists = set() if isinstance(world.target, ListingStore) else {fallback_tag(image)}
    assert set(world.target.tags[TARGET]) == {TAG, cosign_tags(image)[0]} | lists
    steps = {each.to_state: each.detail for each in world.ledger.transitions(report.verified[0].id)}
    assert steps[State.COPIED].startswith("3 attachments, 3 copied; ")
    assert steps[State.VERIFIED].endswith("; 3 attachments there")


async def test_what_was_moved_counts_the_attachments(world: World) -> None:
    world.push(TAG, "a")
    bare = (await world.promote(policy_of())).verified[0].bytes_copied
    image = world.push("1.5-stable", "b")
    sign(world, image)

    signed = (await world.promote(policy_of())).verified[0].bytes_copied

    assert bare is not None
    assert signed is not None
    assert signed > bare + len(b"sbom") + len(b"bundle")


@pytest.mark.parametrize(
    ("referrers", "types"),
    [
        ({"carry": "none"}, set()),
        ({"artifact_types": ["application/spdx*"]}, {SBOM_TYPE}),
        ({"artifact_types": [SIGNING_TYPE, BUNDLE_TYPE]}, {SIGNING_TYPE, BUNDLE_TYPE}),
    ],
)
async def test_a_policy_says_which_types_go_along(
    world: World, referrers: dict[str, object], types: set[str]
) -> None:
    image = world.push(TAG, "a")
    sbom, bundle, signature = sign(world, image)
    of_type = {SBOM_TYPE: sbom, BUNDLE_TYPE: bundle, SIGNING_TYPE: signature}

    report = await world.promote(policy_of(referrers=referrers))

    assert len(report.verified) == 1
    assert world.target.manifests[TARGET].keys() & {each.digest for each in of_type.values()} == {
        of_type[each].digest for each in types
    }


async def test_the_version_that_decided_says_what_goes_along(world: World) -> None:
    image = world.push(TAG, "a")
    sbom, *_ = sign(world, image)
    run, evaluation = await world.decide(policy_of(referrers={"carry": "none"}))
    number = evaluation.promotions[0].id

    world.begin(policy_of())  # the file has changed meanwhile, and another run has begun
    for stage in Stage:
        await world.carry_out(stage, run, number)

    assert world.ledger.promotion(number).state is State.VERIFIED
    assert sbom.digest not in world.target.manifests[TARGET]


class KilledError(BaseException):
    """What no code of the product catches."""


def dying_after(number: int) -> Hook:
    """Give what lets so many things happen, and nothing after them."""
    events = count()

    async def die(_event: Event) -> None:
        if next(events) >= number:
            raise KilledError

    return die


@KINDS
async def test_a_copy_killed_at_any_moment_and_repeated_brings_all(
    world: World, source: type[MemoryStore], target: type[MemoryStore]
) -> None:
    """Enumerates the moments: before each thing that is asked of the target."""
    world.source = source("dev", "dev")
    image = world.push(TAG, "a")
    attached = sign(world, image)
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id

    for moment in count(1):
        world.target = target("qa", "qa")
        world.target.hook = dying_after(moment)
        try:
            await world.carry_out(Stage.COPY, run, number)
        except KilledError:
            assert TAG not in world.target.tags.get(TARGET, {})
            assert_lists_hold(world, fallback_tag(image))
        else:
            break
        world.target.hook = do_nothing
        await world.carry_out(Stage.COPY, run, number)
        assert {each.digest for each in attached} <= world.target.manifests[TARGET].keys()
    assert moment > len(attached)
    world.target.hook = do_nothing
    await world.carry_out(Stage.RETAG, run, number)
    await world.carry_out(Stage.VERIFY, run, number)
    assert world.ledger.promotion(number).state is State.VERIFIED


def assert_lists_hold(world: World, tag: str) -> None:
    """Whatever is listed is there."""
    held = world.target.manifests.get(TARGET, {})
    listing = world.target.tags.get(TARGET, {}).get(tag)
    if listing is not None:
        index = held[listing]
        assert isinstance(index, ImageIndex)
        assert {each.digest for each in index.manifests} <= held.keys()


async def test_a_signature_made_a_moment_after_the_copy_is_brought_by_the_verification(
    world: World,
) -> None:
    image = world.push(TAG, "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    attached = sign(world, image)

    await world.carry_out(Stage.RETAG, run, number)
    await world.carry_out(Stage.VERIFY, run, number)

    assert {each.digest for each in attached} <= world.target.manifests[TARGET].keys()
    last = world.ledger.transitions(number)[-1]
    assert last.detail.endswith("; 3 attachments there, 3 of them brought just now")


async def test_an_attachment_that_does_not_stay_fails_the_verification(world: World) -> None:
    image = world.push(TAG, "a")
    sbom, *_ = sign(world, image)
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)

    async def lose(event: Event) -> None:
        if event == Event("get_manifest", sbom.digest):
            raise NotFoundError("there is no such manifest")

    world.target.hook = lose
    with pytest.raises(VerificationError) as refused:
        await world.carry_out(Stage.VERIFY, run, number)

    assert refused.value.problems == (f"{sbom.digest} is not there whole",)
    assert str(image) in str(refused.value)
    assert world.ledger.promotion(number).state is State.FAILED
    world.target.hook = do_nothing
    report = await world.promote(policy_of())
    assert [each.state for each in report.promotions] == [State.VERIFIED]


async def test_an_image_that_is_gone_from_the_source_can_still_be_verified(world: World) -> None:
    image = world.push(TAG, "a")
    sign(world, image)
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)
    del world.source.manifests[SOURCE][image]

    await world.carry_out(Stage.VERIFY, run, number)

    assert world.ledger.transitions(number)[-1].detail.endswith("; 3 attachments there")


async def test_an_image_deleted_while_it_was_copied_is_superseded_and_no_failure(
    world: World,
) -> None:
    image = world.push(TAG, "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id

    async def delete(event: Event) -> None:
        if event == Event("put_manifest", image):
            del world.source.manifests[SOURCE][image], world.source.tags[SOURCE][TAG]

    world.target.hook = delete
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)

    assert world.ledger.promotion(number).state is State.SUPERSEDED


async def test_an_attachment_whose_content_is_lost_at_the_source_fails_the_copy(
    world: World,
) -> None:
    image = world.push(TAG, "a")
    sign(world, image)
    del world.source.blobs[SOURCE][Digest.of(b"sbom")]
    run, evaluation = await world.decide(policy_of())

    with pytest.raises(NotFoundError):
        await world.carry_out(Stage.COPY, run, evaluation.promotions[0].id)


async def test_a_source_that_does_not_answer_does_not_pass_for_one_with_nothing_attached(
    world: World,
) -> None:
    world.push(TAG, "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)

    async def silence(_event: Event) -> None:
        raise UnreachableError("nobody answers")

    world.source.hook = silence
    with pytest.raises(UnreachableError):
        await world.carry_out(Stage.VERIFY, run, number)


async def test_tags_of_attachments_are_no_images(world: World) -> None:
    image = world.push(TAG, "a")
    sign(world, image)
    policy = policy_of(triggers=[{"tag": {"contains": "-"}}])  # as all of these tags do
    attachments = {fallback_tag(image), cosign_tags(image)[0]}

    seen = await world.scan(policy, world.begin(policy))
    rows = await world.plan(policy)
    named = await world.plan(policy, *attachments)

    assert [each.tag for each in seen.sightings] == [TAG]
    assert {each.tag for each in seen.rejected} == attachments
    assert str(seen) == "3 tags seen, 2 rejected by name (2 of attachments), 1 looked up"
    assert rows[TAG].is_new
    for tag in attachments:
        for row in (rows[tag], named[tag]):
            assert row.outcome is Outcome.REJECT
            assert "names what is attached to an image" in row.why
