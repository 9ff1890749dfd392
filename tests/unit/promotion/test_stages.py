"""Copying, retagging and verification, one after another and again and again."""

from __future__ import annotations

import pytest

from image_promotion.errors import (
    PromotionError,
    TagConflictError,
    UnreachableError,
    VerificationError,
)
from image_promotion.ledger.records import State
from image_promotion.promotion.batches import Stage
from tests.support.memory_store import Event
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of


async def planned(world: World, **changes: object) -> tuple[int, ...]:
    _, evaluation = await world.decide(policy_of(**changes))
    return tuple(each.id for each in evaluation.promotions)


async def test_an_image_arrives_copied_tagged_and_verified(world: World) -> None:
    digest = world.push("1.4-stable", "a")
    report = await world.promote(policy_of())
    assert [each.state for each in report.promotions] == [State.VERIFIED]
    assert report.problems == ()
    assert world.target.tags[TARGET] == {"1.4-stable": digest}


async def test_content_is_in_the_target_before_any_tag(world: World) -> None:
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    await world.carry_out(Stage.COPY, run, evaluation.promotions[0].id)
    assert world.target.tags == {}
    assert len(world.target.manifests[TARGET]) == 1


async def test_every_stage_may_be_repeated_at_any_time(world: World) -> None:
    digest = world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    for stage in (Stage.COPY, Stage.COPY, Stage.RETAG, Stage.COPY, Stage.RETAG, *Stage, *Stage):
        await world.carry_out(stage, run, number)
    assert world.ledger.promotion(number).state is State.VERIFIED
    assert world.target.tags[TARGET] == {"1.4-stable": digest}
    assert [each.to_state for each in world.ledger.transitions(number)] == [
        State.PLANNED,
        State.COPIED,
        State.TAGGED,
        State.VERIFIED,
    ]


async def test_a_source_tag_that_moved_supersedes_the_promotion(world: World) -> None:
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    newer = world.push("1.4-stable", "b")
    await world.carry_out(Stage.RETAG, run, number)
    assert world.ledger.promotion(number).state is State.SUPERSEDED
    assert world.target.tags == {}
    report = await world.promote(policy_of())
    assert [each.digest for each in report.verified] == [str(newer)]


async def test_a_retag_that_was_killed_after_its_put_is_found_done_although_the_source_moved(
    world: World,
) -> None:
    digest = world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    world.target.tags.setdefault(TARGET, {})["1.4-stable"] = digest
    world.push("1.4-stable", "b")
    await world.carry_out(Stage.RETAG, run, number)
    await world.carry_out(Stage.VERIFY, run, number)
    assert world.ledger.promotion(number).state is State.VERIFIED


async def test_a_source_tag_that_was_deleted_supersedes_the_promotion(world: World) -> None:
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    del world.source.tags[SOURCE]["1.4-stable"]
    await world.carry_out(Stage.RETAG, run, number)
    assert world.ledger.promotion(number).state is State.SUPERSEDED


async def test_a_target_tag_set_by_others_meanwhile_is_not_overwritten(world: World) -> None:
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    other = world.target.hold_image(TARGET, b"somebody else's")
    world.target.tags[TARGET] = {"1.4-stable": other.digest}
    with pytest.raises(TagConflictError):
        await world.carry_out(Stage.RETAG, run, number)
    assert world.target.tags[TARGET]["1.4-stable"] == other.digest
    assert world.ledger.promotion(number).state is State.FAILED


async def test_a_late_repetition_never_turns_a_tag_back(world: World) -> None:
    policy = policy_of(
        target={"connection": "qa_registry", "repository": TARGET, "existing_tag": "overwrite"}
    )
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy)
    for stage in Stage:
        await world.carry_out(stage, run, evaluation.promotions[0].id)
    newer = world.push("1.4-stable", "b")
    await world.promote(policy)
    await world.carry_out(Stage.RETAG, run, evaluation.promotions[0].id)
    assert world.target.tags[TARGET]["1.4-stable"] == newer


async def test_a_retag_before_the_copy_does_nothing(world: World) -> None:
    world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy_of())
    report = await world.carry_out(Stage.RETAG, run, evaluation.promotions[0].id)
    assert report.not_ready == 1
    assert world.target.tags == {}


async def test_one_failure_in_a_batch_carries_the_others_on_and_its_retry_does_the_rest(
    world: World,
) -> None:
    good = world.push("1-stable", "a")
    bad = world.push("2-stable", "b")

    async def fail_on_bad(event: Event) -> None:
        if event.action == "get_manifest" and event.digest == bad:
            raise UnreachableError("the connection broke")

    world.source.hook = fail_on_bad
    run, evaluation = await world.decide(policy_of())
    ids = [each.id for each in evaluation.promotions]
    with pytest.raises(UnreachableError):
        await world.carry_out(Stage.COPY, run, *ids)
    await world.carry_out(Stage.RETAG, run, *ids)
    await world.carry_out(Stage.VERIFY, run, *ids)
    assert world.target.tags[TARGET] == {"1-stable": good}
    assert [each.source_tag for each in world.report(run).in_state(State.FAILED)] == ["2-stable"]

    world.source.hook = MEMORY_HOOK
    before = len(world.target.asked("put_blob"))
    for stage in Stage:
        await world.carry_out(stage, run, *ids)
    assert world.target.tags[TARGET] == {"1-stable": good, "2-stable": bad}
    # The config is shared, so one layer is all that was left to send.
    assert len(world.target.asked("put_blob")) == before + 1
    assert world.report(run).problems == ()


async def MEMORY_HOOK(_event: Event) -> None:  # noqa: N802 - a value, not a verb
    """Let everything through."""


async def test_a_failed_promotion_is_taken_up_by_the_next_run(world: World) -> None:
    world.push("1-stable", "a")

    async def fail(event: Event) -> None:
        if event.action == "put_manifest":
            raise UnreachableError("the connection broke")

    world.target.hook = fail
    with pytest.raises(UnreachableError):
        await world.promote(policy_of())
    world.target.hook = MEMORY_HOOK
    report = await world.promote(policy_of())
    assert [each.state for each in report.promotions] == [State.VERIFIED]


async def test_a_missing_blob_is_found_by_verification(world: World) -> None:
    world.push("1-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)
    world.target.blobs[TARGET].popitem()
    with pytest.raises(VerificationError, match="missing"):
        await world.carry_out(Stage.VERIFY, run, number)
    assert world.ledger.promotion(number).state is State.FAILED
    report = await world.promote(policy_of())
    assert [each.state for each in report.promotions] == [State.VERIFIED]


async def test_a_tag_that_points_elsewhere_is_found_by_verification(world: World) -> None:
    world.push("1-stable", "a")
    run, evaluation = await world.decide(policy_of())
    number = evaluation.promotions[0].id
    await world.carry_out(Stage.COPY, run, number)
    await world.carry_out(Stage.RETAG, run, number)
    world.target.tags[TARGET]["1-stable"] = world.target.hold_image(TARGET, b"other").digest
    with pytest.raises(VerificationError, match="points at"):
        await world.carry_out(Stage.VERIFY, run, number)


async def test_an_error_says_which_image_it_is_about(world: World) -> None:
    digest = world.push("1-stable", "a")

    async def fail(event: Event) -> None:
        if event.action == "get_manifest":
            raise PromotionError("it broke")

    world.source.hook = fail
    run, evaluation = await world.decide(policy_of())
    with pytest.raises(PromotionError) as caught:
        await world.carry_out(Stage.COPY, run, evaluation.promotions[0].id)
    assert f"dev/{SOURCE}" in str(caught.value)
    assert str(digest) in str(caught.value)
