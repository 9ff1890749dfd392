from __future__ import annotations

from datetime import timedelta

from image_promotion.ledger.records import Outcome, State
from image_promotion.promotion.batches import Stage
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of


async def test_a_plan_explains_every_tag_and_writes_nothing(world: World) -> None:
    world.push("1.4-stable", "a")
    world.push("1.5-rc1", "b")
    rows = await world.plan(policy_of())
    assert rows["1.4-stable"].outcome is Outcome.PROMOTE
    assert rows["1.4-stable"].is_new
    assert str(rows["1.4-stable"].target) == f"{TARGET}:1.4-stable"
    assert rows["1.5-rc1"].outcome is Outcome.REJECT
    assert "1.5-rc1" in rows["1.5-rc1"].why
    assert world.target.manifests == {}
    assert world.ledger.history() == ()


async def test_a_plan_after_a_run_shows_what_arrived_and_nothing_new(world: World) -> None:
    world.push("1.4-stable", "a")
    await world.promote(policy_of())
    row = (await world.plan(policy_of()))["1.4-stable"]
    assert not row.is_new
    assert row.outcome is Outcome.PROMOTE
    assert row.promotion
    assert row.promotion.state is State.VERIFIED


async def test_a_plan_shows_images_that_the_policy_ignores_as_existing(world: World) -> None:
    policy = policy_of(existing_images="ignore")
    world.push("1.4-stable", "a")
    before = (await world.plan(policy))["1.4-stable"]
    await world.decide(policy)
    after = (await world.plan(policy))["1.4-stable"]
    assert [before.outcome, after.outcome] == [Outcome.REJECT, Outcome.REJECT]
    assert (await world.plan(policy, "1.4-stable"))["1.4-stable"].is_new


async def test_a_plan_and_the_run_that_follows_agree(world: World) -> None:
    policy = policy_of(target={"connection": "q", "repository": TARGET, "tag": "newest"})
    world.push("1.4-stable", "a")
    world.push("1.5-stable", "b")
    rows = await world.plan(policy)
    _, evaluation = await world.decide(policy)
    assert {tag: row.outcome for tag, row in rows.items()} == {
        each.image.tag: each.outcome for each in evaluation.decisions
    }


async def test_a_plan_under_a_changed_policy_decides_anew_about_what_has_arrived(
    world: World,
) -> None:
    world.push("1.4-stable", "a")
    await world.promote(policy_of())
    stricter = policy_of(triggers=[{"tag": {"ends_with": "-stable"}}, {"tag": {"contains": "5"}}])
    wider = policy_of(triggers=[{"tag": {"contains": "stable"}}])
    assert (await world.plan(stricter))["1.4-stable"].outcome is Outcome.REJECT
    assert not (await world.plan(wider))["1.4-stable"].is_new


async def test_a_plan_for_a_tag_that_came_back_gives_it_a_new_tag_as_the_run_would(
    world: World,
) -> None:
    policy = policy_of(target={"connection": "q", "repository": TARGET, "tag": "%n-%H%M"})
    digest = world.push("1.4-stable", "a")
    run, evaluation = await world.decide(policy)
    await world.carry_out(Stage.COPY, run, evaluation.promotions[0].id)
    del world.source.tags[SOURCE]["1.4-stable"]
    await world.carry_out(Stage.RETAG, run, evaluation.promotions[0].id)
    world.source.tags[SOURCE]["1.4-stable"] = digest
    world.now += timedelta(hours=1)
    planned = (await world.plan(policy))["1.4-stable"]
    assert planned.is_new
    assert str(planned.target) == f"{TARGET}:1.4-stable-{world.now:%H%M}"
