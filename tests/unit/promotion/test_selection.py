"""What of an image is promoted: its platforms, and its foreign layers."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.errors import (
    ContentMismatchError,
    NotFoundError,
    UnreachableError,
)
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import OCI_INDEX, ImageIndex, parse_manifest
from image_promotion.registry.platforms import keep_platforms, parse_platform
from tests.support.memory_store import CONFIG_TYPE, Event, MemoryStore, entry, image_of
from tests.support.policies import policy_with
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"
TAG = "1.4-stable"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def hold_index(store: MemoryStore, repository: str, *platforms: str) -> ImageIndex:
    """Fill a store with an index of one image for each platform."""
    listed = []
    for platform in platforms:
        image = store.hold_image(repository, platform.encode(), config=b'{"c":1}')
        os, architecture = platform.split("/")
        listed.append(entry(image) | {"platform": {"os": os, "architecture": architecture}})
    written = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})
    index = parse_manifest(written.encode(), OCI_INDEX)
    assert isinstance(index, ImageIndex)
    store.hold_manifest(repository, index)
    return index


def push(world: World, *platforms: str, tag: str = TAG) -> ImageIndex:
    index = hold_index(world.source, SOURCE, *platforms)
    world.source.tags.setdefault(SOURCE, {})[tag] = index.digest
    return index


def selected(index: ImageIndex, *platforms: str) -> str:
    return str(keep_platforms(index, [parse_platform(each) for each in platforms]).image.digest)


def choosing(*platforms: str, existing_tag: str = "fail", **more: object) -> Policy:
    target = {"connection": "qa_registry", "repository": TARGET, "existing_tag": existing_tag}
    return policy_of(platforms=list(platforms), **{"target": target, **more})


async def test_an_image_that_cannot_be_read_waits_and_is_asked_again(world: World) -> None:
    index = push(world, AMD, ARM)

    async def lose(event: Event) -> None:
        if event.action == "get_manifest":
            raise NotFoundError("there is no such manifest")

    world.source.hook, usual = lose, world.source.hook
    _, evaluation = await world.decide(choosing(AMD))
    (decision,) = evaluation.decisions
    assert (decision.outcome, decision.target) == (Outcome.WAIT, None)
    assert decision.reasons[-1].verdict == "unknown"
    assert "there is no such manifest" in decision.reasons[-1].found
    world.source.hook = usual
    report = await world.promote(choosing(AMD))
    assert [each.target_digest for each in report.verified] == [selected(index, AMD)]


async def test_a_source_that_does_not_answer_ends_the_evaluation(world: World) -> None:
    push(world, AMD, ARM)

    async def break_off(_event: Event) -> None:
        raise UnreachableError("the connection broke")

    world.source.hook = break_off
    with pytest.raises(UnreachableError):
        await world.decide(choosing(AMD))


async def test_a_rejection_names_every_platform_that_is_missing(world: World) -> None:
    push(world, AMD)
    _, evaluation = await world.decide(choosing(ARM, AMD, S390X))
    (decision,) = evaluation.decisions
    assert (decision.outcome, decision.target_digest) == (Outcome.REJECT, None)
    assert decision.reasons[-1].trigger == "platforms linux/arm64, linux/amd64, linux/s390x"
    assert decision.reasons[-1].found == (
        "there is no image for linux/arm64, linux/s390x. There is linux/amd64."
    )
    assert evaluation.promotions == ()


async def test_what_the_triggers_reject_is_not_read(world: World) -> None:
    push(world, AMD)
    policy = choosing(AMD, triggers=[{"tag": {"starts_with": "never"}}])
    _, evaluation = await world.decide(policy)
    assert evaluation.count(Outcome.PROMOTE) == 0
    assert world.source.asked("get_manifest") == []


async def test_a_decision_says_that_signatures_of_the_index_stay_behind(world: World) -> None:
    index = push(world, AMD, ARM, S390X)
    _, evaluation = await world.decide(choosing(AMD, ARM))
    assert evaluation.decisions[0].reasons[-1].found == (
        f"a new index {selected(index, AMD, ARM)} of linux/amd64, linux/arm64, 1 entry left out; "
        f"signatures and referrers of the index {index.digest} do not apply to it and stay behind"
    )


async def test_a_choice_of_all_there_is_leaves_the_image_as_it_is(world: World) -> None:
    index = push(world, AMD, ARM)
    report = await world.promote(choosing(AMD, ARM))
    (promotion,) = report.verified
    assert (promotion.is_selection, promotion.digests) == (False, str(index.digest))


async def test_both_digests_are_told_where_they_differ(world: World) -> None:
    index = push(world, AMD, ARM)
    report = await world.promote(choosing(AMD))
    (promotion,) = report.verified
    assert promotion.digests == f"{index.digest} as {selected(index, AMD)}"


async def test_every_stage_may_be_repeated_with_a_selection(world: World) -> None:
    index = push(world, AMD, ARM)
    run, evaluation = await world.decide(choosing(AMD))
    number = evaluation.promotions[0].id
    for stage in (Stage.COPY, Stage.COPY, Stage.RETAG, Stage.COPY, Stage.RETAG, *Stage, *Stage):
        await world.carry_out(stage, run, number)
    assert world.ledger.promotion(number).state is State.VERIFIED
    assert {str(each) for each in world.target.tags[TARGET].values()} == {selected(index, AMD)}
    assert len(world.ledger.transitions(number)) == 4
    assert index.digest not in world.target.manifests[TARGET]


async def test_a_source_tag_that_moved_supersedes_a_selection(world: World) -> None:
    push(world, AMD, ARM)
    run, evaluation = await world.decide(choosing(AMD))
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    push(world, AMD, S390X)
    await world.carry_out(Stage.RETAG, run, number)
    assert world.ledger.promotion(number).state is State.SUPERSEDED
    assert world.target.tags == {}


async def test_a_selection_is_verified_though_the_source_deleted_the_image(world: World) -> None:
    push(world, AMD, ARM)
    run, evaluation = await world.decide(choosing(AMD))
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)
    world.source.manifests[SOURCE].clear()
    await world.carry_out(Stage.VERIFY, run, number)
    assert world.ledger.promotion(number).state is State.VERIFIED


async def test_a_child_that_the_target_lost_is_found_by_verification(world: World) -> None:
    index = push(world, AMD, ARM)
    run, evaluation = await world.decide(choosing(AMD))
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)
    del world.target.manifests[TARGET][index.manifests[0].digest]
    with pytest.raises(Exception, match="does not hold what was promoted"):
        await world.carry_out(Stage.VERIFY, run, number)


async def test_an_index_that_lacks_images_that_are_not_chosen_can_be_promoted(
    world: World,
) -> None:
    index = push(world, AMD, ARM)
    del world.source.manifests[SOURCE][index.manifests[1].digest]
    report = await world.promote(choosing(AMD))
    assert [each.target_digest for each in report.verified] == [selected(index, AMD)]


async def test_a_ledger_that_names_another_selection_is_not_believed(world: World) -> None:
    push(world, AMD, ARM)
    run, evaluation = await world.decide(choosing(AMD))
    number = evaluation.promotions[0].id
    with world.ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE ledger_promotions SET target_digest = 'sha256:0'")
    with pytest.raises(ContentMismatchError, match="another index than was decided"):
        await world.carry_out(Stage.COPY, run, number)
    assert world.target.manifests == {}


async def test_two_evaluations_at_once_plan_a_changed_selection_once(world: World) -> None:
    push(world, AMD, ARM, S390X)
    await world.promote(choosing(AMD))
    policy = choosing(AMD, ARM, existing_tag="overwrite")
    first, second = world.begin(policy), world.begin(policy)
    await world.scan(policy, first)
    await world.scan(policy, second)
    both = await asyncio.gather(world.evaluate(policy, first), world.evaluate(policy, second))
    assert len({promotion.id for each in both for promotion in each.promotions}) == 1


@pytest.mark.parametrize("stage", [None, Stage.COPY])
async def test_what_was_under_way_for_other_platforms_is_superseded_and_its_tag_is_free(
    world: World, stage: Stage | None
) -> None:
    index = push(world, AMD, ARM, S390X)
    run, evaluation = await world.decide(choosing(AMD))
    old = evaluation.promotions[0].id
    if stage:
        await world.carry_out(stage, run, old)
    planned = (await world.plan(choosing(AMD, ARM)))[TAG]
    report = await world.promote(choosing(AMD, ARM))
    await world.carry_out(Stage.RETAG, run, old)  # the old run comes late
    assert (planned.outcome, planned.is_new) == (Outcome.PROMOTE, True)
    assert [each.target_digest for each in report.verified] == [selected(index, AMD, ARM)]
    assert world.ledger.promotion(old).state is State.SUPERSEDED
    assert "other platforms" in world.ledger.transitions(old)[-1].detail
    assert [str(each) for each in world.target.tags[TARGET].values()] == [selected(index, AMD, ARM)]
    again = await world.promote(choosing(AMD, ARM))
    assert again.promotions == ()


async def test_a_tag_with_a_time_is_kept_for_the_same_selection_alone(world: World) -> None:
    push(world, AMD, ARM, S390X)
    target = {"connection": "qa_registry", "repository": TARGET, "tag": "%n-%H%M"}
    tags = []
    for platforms in ((AMD,), (AMD,), (AMD, ARM), (AMD, ARM)):
        _, evaluation = await world.decide(choosing(*platforms, target=target))
        tags.append(evaluation.promotions[0].target_tag)
    assert tags == ["1.4-stable-1205", "1.4-stable-1205", "1.4-stable-1215", "1.4-stable-1215"]


async def test_a_plan_of_another_selection_is_new_where_the_first_one_is_verified(
    world: World,
) -> None:
    push(world, AMD, ARM)
    await world.promote(choosing(AMD))
    assert not (await world.plan(choosing(AMD)))[TAG].is_new
    assert (await world.plan(choosing(ARM, existing_tag="overwrite")))[TAG].is_new


def push_foreign(world: World, *, content: bytes | None = None) -> Descriptor:
    """Push an image with a layer that must not be pushed; the source need not hold it."""
    foreign = Descriptor(FOREIGN, Digest.of(b"windows"), 7, urls=("https://example.com/windows",))
    config = world.source.hold_blob(SOURCE, b"{}", CONFIG_TYPE)
    image = world.source.hold_manifest(SOURCE, image_of(config, foreign))
    if content is not None:
        world.source.hold_blob(SOURCE, content)
    world.source.tags.setdefault(SOURCE, {})[TAG] = image.digest
    return foreign


async def test_foreign_layers_are_skipped_unless_the_policy_says_otherwise(world: World) -> None:
    foreign = push_foreign(world, content=b"windows")
    report = await world.promote(policy_of())
    (promotion,) = report.verified
    assert foreign.digest not in world.target.blobs[TARGET]
    details = [each.detail for each in world.ledger.transitions(promotion.id)]
    assert "1 foreign layer left where the URLs lead" in details[1]
    assert "1 foreign layer not asked for" in details[3]


async def test_foreign_layers_are_copied_and_verified_where_the_policy_says_so(
    world: World,
) -> None:
    policy = policy_of(foreign_layers="copy")
    foreign = push_foreign(world, content=b"windows")
    run, evaluation = await world.decide(policy)
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    assert foreign.digest in world.target.blobs[TARGET]
    await world.carry_out(Stage.RETAG, run, number)
    del world.target.blobs[TARGET][foreign.digest]
    with pytest.raises(Exception, match=f"{foreign.digest} is missing"):
        await world.carry_out(Stage.VERIFY, run, number)
    assert [each.state for each in (await world.promote(policy)).promotions] == [State.VERIFIED]


async def test_a_foreign_layer_that_the_source_lacks_fails_before_a_byte_has_moved(
    world: World,
) -> None:
    foreign = push_foreign(world)
    with pytest.raises(NotFoundError, match=str(foreign.digest)) as refused:
        await world.promote(policy_of(foreign_layers="copy"))
    assert "never fetched" in refused.value.advice
    assert world.target.asked("put_blob") == []
    world.source.hold_blob(SOURCE, b"windows")
    assert len((await world.promote(policy_of(foreign_layers="copy"))).verified) == 1


async def test_an_image_with_foreign_layers_is_rejected_where_the_policy_refuses_them(
    world: World,
) -> None:
    foreign = push_foreign(world, content=b"windows")
    world.push("2-stable", "a")
    report = await world.promote(policy_of(foreign_layers="refuse"))
    assert [each.source_tag for each in report.verified] == ["2-stable"]
    row = (await world.plan(policy_of(foreign_layers="refuse")))[TAG]
    assert row.outcome is Outcome.REJECT
    assert row.why == f"foreign_layers: refuse: 1 fetched from elsewhere: {foreign.digest}"


async def test_foreign_layers_of_platforms_that_stay_behind_are_no_reason_to_refuse(
    world: World,
) -> None:
    push_foreign(world)
    foreign_image = world.source.tags[SOURCE].pop(TAG)
    index = push(world, AMD, ARM)
    document = json.loads(index.content)
    document["manifests"][1]["digest"] = str(foreign_image)
    document["manifests"][1]["size"] = len(world.source.manifests[SOURCE][foreign_image].content)
    mixed = parse_manifest(json.dumps(document).encode(), OCI_INDEX)
    assert isinstance(mixed, ImageIndex)
    world.source.hold_manifest(SOURCE, mixed)
    world.source.tags[SOURCE][TAG] = mixed.digest
    _, refused = await world.decide(choosing(AMD, ARM, foreign_layers="refuse"))
    _, taken = await world.decide(choosing(AMD, foreign_layers="refuse"))
    assert refused.decisions[0].outcome is Outcome.REJECT
    assert taken.promotions[0].target_digest == selected(mixed, AMD)


_words = st.text("abz09._-A/ ", max_size=6)


@given(st.lists(_words, min_size=1, max_size=4).map("/".join))
def test_a_policy_takes_exactly_the_platforms_that_the_registry_part_can_read(text: str) -> None:
    try:
        parse_platform(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"is no platform|must not be empty"):
            policy_with(platforms=[text])
    else:
        policy_with(platforms=[text])
