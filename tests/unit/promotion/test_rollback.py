"""A target tag is set back to what it was, and what was taken from it does not come by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from image_promotion.errors import (
    DeniedError,
    RegistryError,
    RollbackError,
    TagConflictError,
    UnreachableError,
)
from image_promotion.ledger.records import Kind, Outcome, Promotion, State
from image_promotion.policy.foreign_layers import ForeignLayers
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.retagging import RetagOutcome, retag
from image_promotion.promotion.rollback import (
    ABSENT,
    RollbackRequest,
    find_rollback,
    plan_rollback,
    roll_back,
)
from image_promotion.promotion.stores import Stores
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import NO_PROGRESS
from tests.support.memory_store import Event, MemoryStore
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

TAG = "stable"
WAY = [State.PLANNED, State.COPIED, State.TAGGED, State.VERIFIED]


def one_tag(**changes: object) -> Policy:
    """A policy whose images all get the same target tag, one after another."""
    target = {
        "connection": "qa_registry",
        "repository": TARGET,
        "tag": TAG,
        "existing_tag": "overwrite",
    }
    return policy_of(target=target, triggers=[{"tag": {"ends_with": "-stable"}}], **changes)


def stores(world: World, **others: MemoryStore) -> Stores:
    by_connection = {"dev_registry": world.source, "qa_registry": world.target, **others}
    return Stores(
        lambda connection_id: RegistryEndpoint(connection_id, f"http://{connection_id}"),
        set(by_connection),
        open_store=lambda endpoint: by_connection[endpoint.connection_id],
    )


def request(**changes: str | None) -> RollbackRequest:
    wish = RollbackRequest(tag=TAG, reason="it crashes", who="ada")
    return replace(wish, **changes)  # type: ignore[arg-type]


async def set_back(world: World, policy: Policy | None = None, **changes: str | None) -> RunReport:
    world.runs += 1
    return await roll_back(
        policy or one_tag(),
        request(**changes),
        stores=stores(world),
        ledger=world.ledger,
        clock=world.clock,
        run_key=f"rollback-{world.runs}",
        progress_of=lambda _: NO_PROGRESS,
    )


async def promote_next(world: World, tag: str, policy: Policy | None = None) -> Digest:
    """Push an image, which takes the place of the one before, and promote it."""
    for earlier in list(world.source.tags.get(SOURCE, {})):
        del world.source.tags[SOURCE][earlier]
    digest = world.push(tag, f"image {tag}")
    report = await world.promote(policy or one_tag())
    assert report.problems == ()
    return digest


def held(world: World) -> str:
    return str(world.target.tags[TARGET][TAG])


async def refused(world: World, **changes: str | None) -> RollbackError:
    with pytest.raises(RollbackError) as caught:
        await find_rollback(
            one_tag(), request(**changes), stores=stores(world), ledger=world.ledger
        )
    return caught.value


async def test_an_overwritten_tag_s_former_digest_is_in_the_ledger(world: World) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")

    newest, eldest = [each.promotion for each in world.ledger.history() if each.promotion]
    assert (eldest.former_digest, newest.former_digest) == (None, str(first))


async def test_a_retry_after_the_tag_was_set_keeps_the_former_digest(world: World) -> None:
    first = await promote_next(world, "1-stable")
    del world.source.tags[SOURCE]["1-stable"]
    second = world.push("2-stable", "second")
    run, evaluation = await world.decide(one_tag())
    (planned,) = evaluation.promotions
    await world.carry_out(Stage.COPY, run, planned.id)
    journal = Journal(world.ledger, run.key, world.clock)
    copied = world.ledger.promotion(planned.id)

    # Killed when the tag is set: what was noted for `tagged` is never written.
    await retag(copied, source=world.source, target=world.target, journal=journal)
    assert world.ledger.promotion(planned.id).state is State.COPIED
    again = await retag(
        world.ledger.promotion(planned.id),
        source=world.source,
        target=world.target,
        journal=Journal(world.ledger, run.key, world.clock),
    )

    assert again is RetagOutcome.ALREADY_SET
    assert held(world) == str(second)
    assert world.ledger.promotion(planned.id).former_digest == str(first)


async def test_a_tag_is_set_back_to_what_it_held_before(world: World) -> None:
    first = await promote_next(world, "1-stable")
    second = await promote_next(world, "2-stable")

    report = await set_back(world)

    assert report.problems == ()
    assert held(world) == str(first)
    (promotion,) = report.verified
    assert promotion.kind is Kind.ROLLBACK
    assert (promotion.former_digest, promotion.target_digest) == (str(second), str(first))
    assert [each.to_state for each in world.ledger.transitions(promotion.id)] == WAY
    entry = world.ledger.history()[0]
    assert entry.promotion == promotion
    assert entry.decision.outcome is Outcome.PROMOTE
    (reason,) = entry.decision.reasons
    assert (reason.found, reason.source) == ("it crashes", f"ada, policy {one_tag().name}")
    run = world.ledger.run(promotion.run_key)
    assert run is not None
    assert (run.kind, run.started_by) == ("rollback", "ada")


async def test_the_next_rollback_goes_further_back_and_not_forth_again(world: World) -> None:
    first = await promote_next(world, "1-stable")
    second = await promote_next(world, "2-stable")
    await promote_next(world, "3-stable")

    await set_back(world)
    assert held(world) == str(second)
    await set_back(world)
    assert held(world) == str(first)
    assert "has held nothing before" in (await refused(world)).attempted


async def test_a_tag_can_be_set_back_to_any_image_it_has_held(world: World) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    await promote_next(world, "3-stable")

    await set_back(world, to=str(first))

    assert held(world) == str(first)


def decide_again(policy: Policy) -> tuple[Policy, bool]:
    return policy, True


def change_the_policy(policy: Policy) -> tuple[Policy, bool]:
    return policy.model_copy(update={"foreign_layers": ForeignLayers.COPY}), True


def change_the_template(policy: Policy) -> tuple[Policy, bool]:
    target = policy.target.model_copy(update={"tag": "%n-again"})
    return Policy.from_document(policy.model_copy(update={"target": target}).document()), False


def another_policy(policy: Policy) -> tuple[Policy, bool]:
    return policy.model_copy(update={"name": "another"}), False


@pytest.mark.parametrize(
    "change", [decide_again, change_the_policy, change_the_template, another_policy]
)
async def test_what_was_rolled_back_is_not_promoted_again_and_something_new_is(
    world: World, change: Callable[[Policy], tuple[Policy, bool]]
) -> None:
    first = await promote_next(world, "1-stable")
    bad = await promote_next(world, "2-stable")
    await set_back(world)
    policy, again = change(one_tag())

    run, evaluation = await world.decide(policy, decide_again=again)

    assert evaluation.promotions == ()
    assert world.report(run).problems == ()
    for decision in evaluation.decisions:
        assert decision.outcome is Outcome.REJECT
        assert "it crashes (ada, policy" in decision.reasons[-1].found
    assert held(world) == str(first)
    world.source.tags[SOURCE]["3-stable"] = bad  # under another tag, too
    _, evaluation = await world.decide(policy)
    assert evaluation.promotions == ()
    new = await promote_next(world, "4-stable", policy)
    assert new in world.target.tags[TARGET].values()


async def test_a_source_tag_that_comes_back_to_the_image_does_not_bring_it_again(
    world: World,
) -> None:
    await promote_next(world, "2-stable")
    bad = await promote_next(world, "3-stable")
    await set_back(world)
    world.push("3-stable", "in between")
    await world.promote(one_tag())
    between = held(world)
    world.source.tags[SOURCE]["3-stable"] = bad

    report = await world.promote(one_tag())

    assert report.promotions == ()
    assert held(world) == between


async def test_a_rollback_to_the_withdrawn_image_brings_it_back_for_good(world: World) -> None:
    await promote_next(world, "1-stable")
    second = await promote_next(world, "2-stable")
    promotion = world.ledger.history()[0].promotion
    assert promotion
    await set_back(world)
    rollbacks = world.ledger.rollbacks
    assert rollbacks.rolled_back([promotion.id]) == {promotion.id}

    await set_back(world, to=str(second))

    assert held(world) == str(second)
    assert rollbacks.rolled_back([promotion.id]) == frozenset()
    _, evaluation = await world.decide(another_policy(one_tag())[0])
    assert [each.outcome for each in evaluation.decisions] == [Outcome.PROMOTE]


async def test_a_scan_in_between_does_not_overtake_a_rollback(world: World) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    planned = await plan_rollback(
        one_tag(),
        request(),
        stores=stores(world),
        ledger=world.ledger,
        run_key="back",
        now=world.now,
    )

    run, evaluation = await world.decide(one_tag(), decide_again=True)
    assert evaluation.promotions == ()
    assert world.ledger.promotion(planned.id).state is State.PLANNED

    rollback_run = world.ledger.run("back")
    assert rollback_run
    for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
        await world.carry_out(stage, rollback_run, planned.id)
    assert held(world) == str(first)
    assert world.report(run).promotions == ()


async def test_planning_again_in_the_same_run_finds_what_was_planned(world: World) -> None:
    await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")

    async def plan() -> Promotion:
        return await plan_rollback(
            one_tag(),
            request(),
            stores=stores(world),
            ledger=world.ledger,
            run_key="back",
            now=world.now,
        )

    assert (await plan()).id == (await plan()).id


async def test_what_was_under_way_with_the_bad_image_is_superseded(world: World) -> None:
    await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    _, evaluation = await world.decide(another_policy(one_tag())[0])
    (planned,) = evaluation.promotions

    await set_back(world)

    assert world.ledger.promotion(planned.id).state is State.SUPERSEDED


async def test_a_promotion_of_the_bad_image_that_is_late_leaves_the_tag_alone(
    world: World,
) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    other = another_policy(one_tag())[0]
    run, evaluation = await world.decide(other)
    (planned,) = evaluation.promotions
    await world.carry_out(Stage.COPY, run, planned.id)
    late = world.ledger.promotion(planned.id)
    await set_back(world)

    outcome = await retag(
        late,
        source=world.source,
        target=world.target,
        journal=Journal(world.ledger, run.key, world.clock),
    )

    assert outcome is RetagOutcome.SUPERSEDED
    assert held(world) == str(first)


async def test_a_tag_that_this_policy_never_set_is_not_set_back(world: World) -> None:
    await promote_next(world, "1-stable")

    assert "has never set a target tag latest" in (await refused(world, tag="latest")).attempted


async def test_a_tag_that_was_free_before_has_nothing_to_go_back_to(world: World) -> None:
    await promote_next(world, "1-stable")

    assert "has held nothing before" in (await refused(world)).attempted


async def test_a_tag_is_not_set_to_what_it_never_held(world: World) -> None:
    first = await promote_next(world, "1-stable")
    second = await promote_next(world, "2-stable")

    error = await refused(world, to=str(Digest.of(b"never there")))

    assert "has never held" in error.attempted
    assert str(first) in error.advice
    assert "already" in (await refused(world, to=str(second))).attempted


async def test_a_tag_that_somebody_else_moved_is_left_alone_unless_that_is_said(
    world: World,
) -> None:
    await promote_next(world, "1-stable")
    second = await promote_next(world, "2-stable")
    theirs = world.target.hold_image(TARGET, b"theirs").digest
    world.target.tags[TARGET][TAG] = theirs

    error = await refused(world)
    assert f"the tag holds {theirs}, and the ledger has it at {second}" in error.attempted
    assert "--from" in error.advice

    await set_back(world, expected=str(theirs))
    assert held(world) == str(second)


async def test_a_tag_that_is_gone_can_be_set_again(world: World) -> None:
    second = await promote_next(world, "2-stable")
    del world.target.tags[TARGET][TAG]

    assert "holds nothing" in (await refused(world)).attempted

    await set_back(world, expected=ABSENT)
    assert held(world) == str(second)


async def test_what_somebody_else_had_set_is_gone_back_to(world: World) -> None:
    theirs = world.target.hold_image(TARGET, b"theirs").digest
    world.target.tags[TARGET] = {TAG: theirs}
    await promote_next(world, "1-stable")

    report = await set_back(world)

    assert report.problems == ()
    assert held(world) == str(theirs)
    (seen,) = [each.observation for each in world.ledger.history(limit=1)]
    assert (seen.repository, seen.tag, seen.digest) == (TARGET, TAG, str(theirs))
    assert seen.ordinal <= 0


async def test_a_tag_that_moves_after_the_plan_is_left_alone(world: World) -> None:
    await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    planned = await plan_rollback(
        one_tag(),
        request(),
        stores=stores(world),
        ledger=world.ledger,
        run_key="back",
        now=world.now,
    )
    run = world.ledger.run("back")
    assert run
    await world.carry_out(Stage.COPY, run, planned.id)
    theirs = world.target.hold_image(TARGET, b"theirs").digest
    world.target.tags[TARGET][TAG] = theirs

    with pytest.raises(TagConflictError) as caught:
        await world.carry_out(Stage.RETAG, run, planned.id)

    assert caught.value.held_digest == str(theirs)
    assert held(world) == str(theirs)


async def test_a_source_that_is_down_or_empty_does_not_keep_a_tag_from_being_set_back(
    world: World,
) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")

    async def refuse(_event: Event) -> None:
        raise UnreachableError("nobody is there")

    world.source.hook = refuse

    assert (await set_back(world)).problems == ()
    assert held(world) == str(first)


async def test_what_the_target_has_lost_comes_from_its_source_again(world: World) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    world.target.manifests[TARGET].pop(first)

    assert (await set_back(world)).problems == ()
    assert held(world) == str(first)


async def test_an_image_that_is_gone_is_said_to_be_where_it_still_is(world: World) -> None:
    first = await promote_next(world, "1-stable")
    target = {"connection": "prod_registry", "repository": "prod/website"}
    prod = MemoryStore("prod", "prod")
    to_prod = policy_of(name="to-prod", target=target)
    await promote_into(world, to_prod, prod)
    await promote_next(world, "2-stable")
    world.target.manifests[TARGET].pop(first)
    world.source.manifests[SOURCE].pop(first)

    with pytest.raises(RollbackError) as caught:
        await find_rollback(
            one_tag(), request(), stores=stores(world, prod_registry=prod), ledger=world.ledger
        )

    assert f"{first} is gone" in caught.value.attempted
    assert "still in prod/prod/website (connection prod_registry)" in caught.value.advice
    assert f"promotion copy conn://prod_registry/prod/website@{first} " in caught.value.advice


async def test_an_image_that_is_nowhere_is_said_to_be_nowhere(world: World) -> None:
    first = await promote_next(world, "1-stable")
    await promote_next(world, "2-stable")
    world.target.manifests[TARGET].pop(first)
    world.source.manifests[SOURCE].pop(first)

    assert "No place that the ledger knows of" in (await refused(world)).advice


async def promote_into(world: World, policy: Policy, target: MemoryStore) -> None:
    """Promote by another policy to a third registry."""
    qa, world.target = world.target, target
    await world.promote(policy)
    world.target = qa


@pytest.mark.parametrize("status", [400, 403, 405, 409, 412])
async def test_a_registry_that_does_not_let_a_tag_be_moved_is_a_conflict(
    world: World, status: int
) -> None:
    first = await promote_next(world, "1-stable")
    del world.source.tags[SOURCE]["1-stable"]
    second = world.push("2-stable", "second")
    run, evaluation = await world.decide(one_tag())
    (planned,) = evaluation.promotions
    await world.carry_out(Stage.COPY, run, planned.id)

    async def refuse(event: Event) -> None:
        if (event.action, event.digest) == ("put_manifest", second):
            kind = DeniedError if status == 403 else RegistryError
            raise kind("setting the tag failed", status=status)

    world.target.hook = refuse
    with pytest.raises(TagConflictError) as caught:
        await world.carry_out(Stage.RETAG, run, planned.id)

    assert caught.value.held_digest == str(first)
    assert "immutable" in caught.value.advice
    assert not caught.value.retryable
    assert held(world) == str(first)


async def test_a_free_tag_that_may_not_be_set_is_no_conflict(world: World) -> None:
    image = world.push("1-stable", "first")
    run, evaluation = await world.decide(one_tag())
    (planned,) = evaluation.promotions
    await world.carry_out(Stage.COPY, run, planned.id)

    async def refuse(event: Event) -> None:
        if (event.action, event.digest) == ("put_manifest", image):
            raise DeniedError("setting the tag failed", status=403)

    world.target.hook = refuse
    with pytest.raises(DeniedError):
        await world.carry_out(Stage.RETAG, run, planned.id)
