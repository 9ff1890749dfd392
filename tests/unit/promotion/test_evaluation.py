from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageDecision
from image_promotion.registry.digest import Digest
from tests.unit.promotion.conftest import SOURCE, START, TARGET, World, policy_of

TIMED = {"connection": "qa_registry", "repository": TARGET, "tag": "%n-%H%M"}


def target_with(**changes: object) -> dict[str, object]:
    return {"connection": "qa_registry", "repository": TARGET, **changes}


def hold_at_target(world: World, tag: str, content: str) -> Digest:
    image = world.target.hold_image(TARGET, content.encode())
    world.target.tags.setdefault(TARGET, {})[tag] = image.digest
    return image.digest


def only(decisions: tuple[ImageDecision, ...]) -> ImageDecision:
    (decision,) = decisions
    return decision


async def test_a_rule_without_evidence_waits_and_says_for_what(world: World) -> None:
    policy = policy_of(triggers=[{"vulnerabilities": {"critical": "= 0"}}])
    world.push("1.4-stable", "a")
    _, evaluation = await world.decide(policy)
    decision = only(evaluation.decisions)
    assert decision.outcome is Outcome.WAIT
    assert decision.reasons[0].verdict == "unknown"
    assert evaluation.promotions == ()


async def test_what_waits_is_asked_again_at_the_next_run(world: World) -> None:
    policy = policy_of(triggers=[{"component": {"starts_with": "b"}}])
    world.push("1.4-stable", "a")
    await world.decide(policy)
    _, evaluation = await world.decide(policy)
    assert only(evaluation.decisions).outcome is Outcome.WAIT


async def test_an_image_that_is_too_young_waits_until_it_is_old_enough(world: World) -> None:
    policy = policy_of(triggers=[{"updated": {"older_than": "2h"}}])
    config = json.dumps({"created": START.isoformat()}).encode()
    image = world.source.hold_image(SOURCE, b"a", config=config)
    world.source.tags[SOURCE] = {"1.4": image.digest}
    _, young = await world.decide(policy)
    assert only(young.decisions).outcome is Outcome.WAIT
    assert only(young.decisions).wait_until == START + timedelta(hours=2)
    world.now = START + timedelta(hours=3)
    _, old = await world.decide(policy)
    assert only(old.decisions).outcome is Outcome.PROMOTE


async def test_two_candidates_for_one_target_tag_are_conflicts_before_any_copy(
    world: World,
) -> None:
    policy = policy_of(target=target_with(tag="newest"))
    world.push("1.4-stable", "a")
    world.push("1.5-stable", "b")
    run, evaluation = await world.decide(policy)
    assert [each.outcome for each in evaluation.decisions] == [Outcome.CONFLICT] * 2
    assert evaluation.promotions == ()
    assert world.target.asked("put_blob") == []
    assert len(world.report(run).problems) == 2


async def test_two_tags_of_one_image_may_share_a_target_tag(world: World) -> None:
    policy = policy_of(target=target_with(tag="newest"))
    world.push("1.4-stable", "a")
    world.push("1.5-stable", "a")
    report = await world.promote(policy)
    assert len(report.verified) == 2


@pytest.mark.parametrize(
    ("existing_tag", "outcome"),
    [("fail", Outcome.CONFLICT), ("skip", Outcome.REJECT), ("overwrite", Outcome.PROMOTE)],
)
async def test_a_target_tag_that_holds_another_image_is_treated_as_the_policy_says(
    world: World, existing_tag: str, outcome: Outcome
) -> None:
    policy = policy_of(target=target_with(existing_tag=existing_tag))
    world.push("1.4-stable", "a")
    hold_at_target(world, "1.4-stable", "somebody else's")
    _, evaluation = await world.decide(policy)
    assert only(evaluation.decisions).outcome is outcome


async def test_a_target_tag_that_holds_the_very_image_is_no_conflict(world: World) -> None:
    world.push("1.4-stable", "a")
    image = world.target.hold_image(TARGET, b"a", config=b'{"c":1}')
    world.target.tags[TARGET] = {"1.4-stable": image.digest}
    report = await world.promote(policy_of())
    assert len(report.verified) == 1


async def test_a_target_tag_that_another_policy_is_about_to_set_is_a_conflict(
    world: World,
) -> None:
    first = policy_of(target=target_with(tag="newest"))
    second = policy_of(
        name="other", target=target_with(tag="newest"), triggers=[{"tag": {"equals": "1.5"}}]
    )
    world.push("1.4-stable", "a")
    world.push("1.5", "b")
    await world.decide(first)
    _, evaluation = await world.decide(second)
    assert only(evaluation.decisions).outcome is Outcome.CONFLICT
    assert "website-stable-to-qa" in only(evaluation.decisions).reasons[-1].found


async def test_a_retried_promotion_keeps_the_tag_that_was_rendered_first(world: World) -> None:
    policy = policy_of(target=TIMED)
    world.push("1.4-stable", "a")
    _, first = await world.decide(policy)
    world.now += timedelta(hours=3)
    _, second = await world.decide(policy)
    assert first.promotions[0].target_tag == "1.4-stable-1205"
    assert [each.id for each in second.promotions] == [first.promotions[0].id]
    assert second.promotions[0].target_tag == "1.4-stable-1205"


async def test_a_changed_policy_decides_again_what_was_rejected(world: World) -> None:
    world.push("1.5-rc1", "a")
    strict = policy_of(triggers=[{"tag": {"starts_with": "1"}}, {"tag": {"equals": "1.5"}}])
    await world.decide(strict)
    _, evaluation = await world.decide(policy_of(triggers=[{"tag": {"starts_with": "1"}}]))
    assert only(evaluation.decisions).outcome is Outcome.PROMOTE


async def test_a_changed_policy_does_not_promote_again_what_has_arrived(world: World) -> None:
    world.push("1.4-stable", "a")
    await world.promote(policy_of())
    changed = policy_of(triggers=[{"tag": {"contains": "stable"}}])
    _, evaluation = await world.decide(changed)
    assert evaluation.promotions == ()


async def test_what_is_over_the_cap_waits_for_the_next_run_and_is_reported(world: World) -> None:
    policy = policy_of(limits={"images_per_run": 2})
    for number in range(5):
        world.push(f"{number}-stable", str(number))
    runs = [await world.decide(policy) for _ in range(1)]
    assert len(runs[0][1].promotions) == 2
    assert runs[0][1].deferred == 3
    for _ in range(3):
        await world.promote(policy)
    assert len(world.target.tags[TARGET]) == 5


async def test_an_image_whose_rendered_tag_is_illegal_is_rejected_alone(world: World) -> None:
    policy = policy_of(target=target_with(tag="%n-" + "x" * 120))
    world.push("1-stable", "a")
    world.push("a-much-longer-name-of-a-tag-stable", "b")
    _, evaluation = await world.decide(policy)
    assert {each.outcome for each in evaluation.decisions} == {Outcome.REJECT}
    assert "128" in evaluation.decisions[0].reasons[-1].found


async def test_two_evaluations_at_once_plan_one_promotion(world: World) -> None:
    policy = policy_of()
    world.push("1.4-stable", "a")
    first, second = world.begin(policy), world.begin(policy)
    await world.scan(policy, first)
    await world.scan(policy, second)
    both = await asyncio.gather(world.evaluate(policy, first), world.evaluate(policy, second))
    assert len({promotion.id for each in both for promotion in each.promotions}) == 1


async def test_a_tag_that_leaves_an_image_and_comes_back_is_promoted_again(world: World) -> None:
    policy = policy_of(target=target_with(existing_tag="overwrite"))
    for content in ("a", "b", "a"):
        digest = world.push("1.4-stable", content)
        report = await world.promote(policy)
        assert [each.state for each in report.promotions] == [State.VERIFIED]
        assert world.target.tags[TARGET]["1.4-stable"] == digest


async def test_a_changed_limit_counts_from_the_next_run_on(world: World) -> None:
    for number in range(3):
        world.push(f"1.{number}-stable", str(number))
    await world.decide(policy_of(limits={"images_per_run": 1}))
    run = world.begin(policy_of(limits={"images_per_run": 2}))
    await world.scan(Policy.from_document(run.document), run)
    evaluation = await world.evaluate(Policy.from_document(run.document), run)
    assert Policy.from_document(run.document).limits.images_per_run == 2
    assert len(evaluation.promotions) == 2
