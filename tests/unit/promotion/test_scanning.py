from __future__ import annotations

import pytest

from image_promotion.errors import NotFoundError
from image_promotion.ledger.records import Outcome
from tests.unit.promotion.conftest import World, policy_of


async def test_tags_that_the_policy_rejects_by_name_are_not_asked_about(world: World) -> None:
    world.push("1.4-stable", "a")
    world.push("1.5-rc1", "b")
    policy = policy_of()
    seen = await world.scan(policy, world.begin(policy))
    assert [each.tag for each in seen.sightings] == ["1.4-stable"]
    assert [each.tag for each in seen.rejected] == ["1.5-rc1"]
    assert seen.tags_seen == 2


async def test_a_tag_that_moved_to_a_new_digest_is_a_new_candidate(world: World) -> None:
    policy = policy_of()
    world.push("1.4-stable", "a")
    await world.promote(policy)
    moved = world.push("1.4-stable", "b")
    _, evaluation = await world.decide(policy)
    assert [each.image.digest for each in evaluation.decisions] == [str(moved)]


async def test_a_second_run_over_the_same_images_has_nothing_to_decide(world: World) -> None:
    policy = policy_of()
    world.push("1.4-stable", "a")
    await world.promote(policy)
    _, evaluation = await world.decide(policy)
    assert evaluation.decisions == ()
    assert evaluation.promotions == ()


async def test_a_run_for_a_tag_that_does_not_exist_is_refused_by_name(world: World) -> None:
    policy = policy_of()
    world.push("1.4-stable", "a")
    with pytest.raises(NotFoundError, match=r"1\.4-stabel"):
        await world.scan(policy, world.begin(policy), "1.4-stabel", "1.4-stable")


async def test_a_run_for_some_tags_leaves_the_others_alone(world: World) -> None:
    policy = policy_of()
    world.push("1.4-stable", "a")
    world.push("1.5-stable", "b")
    _, evaluation = await world.decide(policy, "1.5-stable")
    assert [each.image.tag for each in evaluation.decisions] == ["1.5-stable"]


async def test_existing_images_are_ignored_when_the_policy_says_so(world: World) -> None:
    policy = policy_of(existing_images="ignore")
    world.push("1.4-stable", "a")
    _, first = await world.decide(policy)
    world.push("1.5-stable", "b")
    _, second = await world.decide(policy)
    assert first.promotions == ()
    assert [each.image.tag for each in second.decisions] == ["1.5-stable"]


async def test_a_first_run_for_one_tag_does_not_make_the_others_new(world: World) -> None:
    policy = policy_of(existing_images="ignore")
    world.push("1.4-stable", "a")
    world.push("1.5-stable", "b")
    _, first = await world.decide(policy, "1.5-stable")
    _, second = await world.decide(policy)
    assert [each.image.tag for each in first.decisions] == ["1.5-stable"]
    assert "1.4-stable" not in [each.image.tag for each in second.decisions]


async def test_a_policy_that_is_new_considers_existing_images(world: World) -> None:
    world.push("1.4-stable", "a")
    _, evaluation = await world.decide(policy_of())
    assert [each.outcome for each in evaluation.decisions] == [Outcome.PROMOTE]


async def test_a_pattern_finds_every_repository_it_matches(world: World) -> None:
    policy = policy_of(
        source={"connection": "dev_registry", "repository": "dev/*"},
        target={"connection": "qa_registry", "repository": "qa/{name}"},
    )
    world.push("1-stable", "a", "dev/one")
    world.push("1-stable", "b", "dev/two")
    world.push("1-stable", "c", "other/three")
    _, evaluation = await world.decide(policy)
    assert {str(each.target) for each in evaluation.decisions} == {
        "qa/one:1-stable",
        "qa/two:1-stable",
    }
