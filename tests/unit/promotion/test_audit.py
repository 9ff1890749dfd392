"""A policy in audit mode decides and records on every run, and does nothing else."""

from __future__ import annotations

from image_promotion.ledger.records import Outcome
from tests.unit.promotion.conftest import World, policy_of


async def test_an_audit_decides_on_every_run_and_copies_nothing(world: World) -> None:
    audit = policy_of(mode="audit", limits={"images_per_run": 1})
    world.push("1-stable", "one")
    world.push("2-stable", "two")
    world.push("3-rc", "three")

    for _ in range(2):
        report = await world.promote(audit)

        # The cap is on what is copied.
        assert report.decided[Outcome.PROMOTE] == 2
        assert report.promotions == ()
        assert report.problems == ()
        assert "audit: would promote 2, and copies nothing" in str(report)
    assert world.target.tags == {}
    history = world.ledger.history(policy=audit.name)
    assert [(each.decision.outcome, each.decision.times_asked) for each in history] == [
        (Outcome.PROMOTE, 2),
        (Outcome.PROMOTE, 2),
    ]


async def test_what_stands_is_promoted_once_the_policy_is_no_audit_any_more(world: World) -> None:
    digest = world.push("1-stable", "one")
    await world.promote(policy_of(mode="audit"))

    report = await world.promote(policy_of(mode="promote"))

    assert [each.target_digest for each in report.verified] == [str(digest)]
    assert "audit" not in str(report)


async def test_an_audit_leaves_alone_what_was_planned_before_it(world: World) -> None:
    world.push("1-stable", "one")
    await world.decide(policy_of())

    _, evaluation = await world.decide(policy_of(mode="audit"))

    assert evaluation.promotions == ()


def test_the_mode_makes_another_version_of_the_policy_and_its_default_none() -> None:
    assert policy_of(mode="promote").hash == policy_of().hash
    assert policy_of(mode="audit").hash != policy_of().hash
