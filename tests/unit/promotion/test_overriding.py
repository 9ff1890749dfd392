from __future__ import annotations

import pytest

from image_promotion.errors import PromotionError
from image_promotion.ledger.records import Outcome, Run, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import require_approved, standing
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.overriding import Override, require_override
from tests.unit.promotion.conftest import SOURCE, World, policy_of

REASON = "the shop is down"


def allowing(**changes: object) -> Policy:
    return policy_of(overrides="allow", **changes)


def test_no_reason_is_no_override() -> None:
    assert require_override(policy_of(), ["1.0"], "  ", "alice") is None


def test_an_override_says_who_and_why() -> None:
    assert require_override(allowing(), ["1.0"], f" {REASON} ", "alice") == Override(
        "alice", REASON
    )


@pytest.mark.parametrize(
    ("policy", "tags", "reason", "who", "said"),
    [
        (policy_of(), ["1.0"], REASON, "alice", "the policy does not allow it"),
        (allowing(), [], REASON, "alice", "no tags are named"),
        (allowing(), ["1.0"], "ok", "alice", "'ok' is no reason"),
        (allowing(), ["1.0"], REASON, None, "it is not known who wants it"),
    ],
)
def test_an_override_that_may_not_be_is_refused(
    policy: Policy, tags: list[str], reason: str, who: str | None, said: str
) -> None:
    with pytest.raises(PromotionError, match=said) as refused:
        require_override(policy, tags, reason, who)

    assert refused.value.advice
    assert not refused.value.retryable


async def test_a_tag_that_its_name_rules_out_is_promoted_and_the_reasons_stay_true(
    world: World,
) -> None:
    digest = world.push("1-rc1", "one")
    world.push("2-rc1", "two")

    run, evaluation = await world.override(allowing(), "1-rc1")

    (promotion,) = evaluation.promotions
    assert (promotion.source_tag, promotion.target_digest) == ("1-rc1", str(digest))
    (decision,) = world.ledger.run_decisions(run)
    assert decision.outcome is Outcome.PROMOTE
    assert (decision.overridden_by, decision.override_reason) == ("alice", REASON)
    assert [each.verdict for each in decision.reasons] == ["not_held"]


async def test_missing_evidence_is_overridden_too_and_stays_missing_in_the_reasons(
    world: World,
) -> None:
    policy = allowing(triggers=[{"vulnerabilities": {"critical": "= 0"}}])
    world.push("1-stable", "one")

    run, evaluation = await world.override(policy, "1-stable")

    assert len(evaluation.promotions) == 1
    (decision,) = world.ledger.run_decisions(run)
    assert [each.verdict for each in decision.reasons] == ["unknown"]
    assert decision.overridden_by == "alice"
    assert decision.wait_until is None


async def test_what_the_triggers_want_anyway_is_no_override(world: World) -> None:
    world.push("1-stable", "one")

    run, _ = await world.override(allowing(), "1-stable")

    (decision,) = world.ledger.run_decisions(run)
    assert (decision.outcome, decision.overridden_by) == (Outcome.PROMOTE, None)


async def test_a_target_tag_of_somebody_else_is_never_overridden(world: World) -> None:
    world.push("1-rc1", "one")
    theirs = world.target.hold_image("qa/website", b"theirs", config=b"{}")
    world.target.tags["qa/website"] = {"1-rc1": theirs.digest}

    _, evaluation = await world.override(allowing(), "1-rc1")

    assert evaluation.promotions == ()
    assert [each.outcome for each in evaluation.decisions] == [Outcome.CONFLICT]


async def test_an_image_without_a_platform_the_policy_wants_is_not_overridden(
    world: World,
) -> None:
    world.push("1-rc1", "one")

    _, evaluation = await world.override(allowing(platforms=["linux/s390x"]), "1-rc1")

    assert evaluation.promotions == ()
    assert [each.outcome for each in evaluation.decisions] != [Outcome.PROMOTE]


async def test_an_override_awaits_approval_like_anything_else(world: World) -> None:
    policy = allowing(approval={})

    _, promotion_id = await _overridden(world, policy)

    found = standing(policy, world.ledger, [promotion_id])
    assert [each.id for each in found.undecided] == [promotion_id]
    with pytest.raises(PromotionError, match="is not approved"):
        require_approved(policy, world.ledger, world.ledger.promotion(promotion_id))


async def test_runs_that_come_in_between_do_not_take_an_override_back(world: World) -> None:
    policy = allowing()
    run, promotion_id = await _overridden(world, policy)

    later, evaluation = await world.decide(policy)

    assert [each.id for each in evaluation.promotions] == [promotion_id]
    (decision,) = world.ledger.run_decisions(later)
    assert decision.overridden_by == "alice"
    for stage in Stage:
        await world.carry_out(stage, run, promotion_id)
    assert world.ledger.promotion(promotion_id).state is State.VERIFIED
    _, evaluation = await world.decide(policy)
    assert evaluation.decisions == ()
    assert evaluation.promotions == ()


async def test_a_verified_override_is_not_decided_again_by_a_new_version(world: World) -> None:
    run, promotion_id = await _overridden(world, allowing())
    for stage in Stage:
        await world.carry_out(stage, run, promotion_id)
    changed = policy_of(target={"connection": "qa_registry", "repository": "qa/elsewhere"})

    _, evaluation = await world.decide(changed)

    assert evaluation.decisions == ()
    row = (await world.plan(changed))["1-rc1"]
    assert row.promotion
    assert row.promotion.state is State.VERIFIED


async def test_a_new_digest_of_an_overridden_tag_is_judged_by_the_triggers(world: World) -> None:
    policy = allowing()
    await _overridden(world, policy)
    world.push("1-rc1", "another")

    _, evaluation = await world.decide(policy)

    assert [each.outcome for each in evaluation.decisions] == [Outcome.REJECT]
    assert evaluation.promotions == ()


async def test_a_plan_shows_what_an_override_would_do(world: World) -> None:
    policy = allowing()
    world.push("1-rc1", "one")
    assert (await world.plan(policy, "1-rc1"))["1-rc1"].outcome is Outcome.REJECT

    row = (await world.plan(policy, "1-rc1", overrules=True))["1-rc1"]

    assert (row.outcome, row.is_new, row.is_overridden) == (Outcome.PROMOTE, True, True)
    assert row.why.startswith("override, although tag ")
    assert world.ledger.history() == ()


async def _overridden(world: World, policy: Policy) -> tuple[Run, int]:
    """Promote a tag of which the name does not end as the policy wants; return the promotion."""
    world.push("1-rc1", f"one of {SOURCE}")
    run, evaluation = await world.override(policy, "1-rc1")
    (promotion,) = evaluation.promotions
    return run, promotion.id
