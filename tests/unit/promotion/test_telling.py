"""What people are told after a run, and that they are told once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from image_promotion.ledger.rechecks import NewRecheck
from image_promotion.ledger.records import Outcome, Reason, Run
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.telling import SHOWN, Notice, notices
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

EVERYTHING = ["promoted", "failed", "rejected", "waiting", "recheck_failed", "rolled_back"]
RUN_URL = "http://airflow.example/dags/website-stable-to-qa/runs/1"
NOT_HELD = (
    Reason("tag ends with -stable", "held", "-stable", "1-stable", "tag"),
    Reason("vulnerabilities: critical = 0", "not_held", "= 0", "1: CVE-2099-0001", "a report"),
)


def telling(*on: str, **more: object) -> Policy:
    """Give a policy that tells of some events, or of all."""
    notify = {"on": list(on) or EVERYTHING, "arguments": {"connection": "chat"}}
    return policy_of(notify=notify, **more)


def tell(
    world: World, policy: Policy, run: Run | None, *, failed_tasks: Sequence[str] = ()
) -> list[Notice]:
    """Tell all there is, and note it."""
    told = []
    for each in policy.notify:
        found = notices(
            policy,
            each,
            ledger=world.ledger,
            run=run,
            now=world.now,
            run_url=RUN_URL,
            failed_tasks=failed_tasks,
        )
        for notice in found:
            world.ledger.notices.note(policy.name, notice.event, notice.subjects, at=world.now)
        told += found
    return told


async def promote(world: World, policy: Policy) -> Run:
    run, evaluation = await world.decide(policy)
    for stage in Stage:
        await world.carry_out(stage, run, *[each.id for each in evaluation.promotions])
    return run


async def test_what_was_promoted_is_told_once_with_all_that_one_wants_to_know(
    world: World,
) -> None:
    policy = telling()
    digest = world.push("1-stable", "one")
    run = await promote(world, policy)

    (notice,) = tell(world, policy, run)

    assert (notice.event, notice.title) == ("promoted", f"{policy.name}: 1 image promoted")
    assert notice.text == (
        f"{policy.name}: 1 image promoted\n"
        f"- {SOURCE}:1-stable@{str(digest)[:19]} -> {TARGET}:1-stable: verified in qa\n"
        f"Run: {RUN_URL}"
    )
    assert tell(world, policy, run) == []
    # A later run finds nothing new.
    assert tell(world, policy, await promote(world, policy)) == []


async def test_only_what_the_policy_names_is_told(world: World) -> None:
    policy = telling("failed", "waiting")
    world.push("1-stable", "one")

    assert tell(world, policy, await promote(world, policy)) == []


async def test_each_notifier_is_told(world: World) -> None:
    notify = [
        {"on": "promoted", "arguments": {"connection": "chat"}},
        {"on": "promoted", "arguments": {"connection": "another"}},
    ]
    policy = policy_of(notify=notify)
    world.push("1-stable", "one")
    run = await promote(world, policy)
    (first, second) = policy.notify
    (delivered,) = notices(policy, first, ledger=world.ledger, run=run, now=world.now)
    world.ledger.notices.note(policy.name, delivered.event, delivered.subjects, at=world.now)

    # The other one failed, and is told when the task runs again; the first is not.
    again = {
        each.arguments["connection"]: notices(
            policy, each, ledger=world.ledger, run=run, now=world.now
        )
        for each in (first, second)
    }

    assert {name: len(found) for name, found in again.items()} == {"chat": 0, "another": 1}


async def test_a_failed_image_is_told_again_only_when_something_else_is_wrong(
    world: World,
) -> None:
    policy = telling()
    world.push("1-stable", "one")

    async def fail(error: str) -> list[Notice]:
        run, evaluation = await world.decide(policy)
        (promotion,) = evaluation.promotions
        world.ledger.fail(promotion.id, error=error, at=world.now, run_key=run.key)
        return tell(world, policy, run)

    (notice,) = await fail("the registry answered 503 to upload 0fe3a1b2-77c1")
    assert "503" in notice.text
    assert "The next run tries the others again" in notice.text
    assert await fail("the registry answered 502 to upload 99e3a1b2-88d2") == []
    assert len(await fail("you may not push there")) == 1


async def test_a_conflict_is_told_as_a_failure_once_for_as_long_as_it_lasts(world: World) -> None:
    policy = telling()
    world.push("1-stable", "one")
    theirs = world.target.hold_image(TARGET, b"theirs", config=b"{}")
    world.target.tags.setdefault(TARGET, {})["1-stable"] = theirs.digest
    run, _ = await world.decide(policy)

    (notice,) = tell(world, policy, run)
    again, _ = await world.decide(policy)

    assert notice.event == "failed"
    assert str(theirs.digest) in notice.text
    assert tell(world, policy, again) == []


async def test_a_task_that_does_not_get_through_is_told_once_a_day(world: World) -> None:
    policy = telling()
    run = world.begin(policy)

    (notice,) = tell(world, policy, run, failed_tasks=["scan", "evaluate"])
    assert "tasks did not get through: scan, evaluate" in notice.text
    assert tell(world, policy, run, failed_tasks=["scan", "evaluate"]) == []
    world.now += timedelta(days=1)
    assert len(tell(world, policy, run, failed_tasks=["scan", "evaluate"])) == 1
    # Also where the ledger knows nothing of the run.
    assert len(tell(world, policy, None, failed_tasks=["scan"])) == 1


async def test_rejected_images_are_told_with_what_decided(world: World) -> None:
    policy = telling(
        triggers=[{"tag": {"ends_with": "-stable"}}, {"updated": {"before": "2001-01-01"}}]
    )
    config = b'{"created":"2026-11-01T00:00:00Z"}'
    image = world.source.hold_image(SOURCE, b"one", config=config)
    world.source.tags.setdefault(SOURCE, {})["1-stable"] = image.digest
    run, _ = await world.decide(policy)

    (notice,) = tell(world, policy, run)

    assert notice.event == "rejected"
    assert "updated" in notice.text
    assert "ends with" not in notice.text


async def test_what_existed_before_the_policy_is_not_told(world: World) -> None:
    policy = telling(existing_images="ignore")
    world.push("1-stable", "one")
    run, evaluation = await world.decide(policy)

    assert evaluation.count(Outcome.REJECT) + evaluation.count(Outcome.PROMOTE) == 0
    assert tell(world, policy, run) == []


async def test_an_image_that_waits_is_told_after_a_while_and_once(world: World) -> None:
    notify = {
        "on": "waiting",
        "waiting_longer_than": "2h",
        "arguments": {"connection": "chat"},
    }
    policy = policy_of(triggers=[{"vulnerabilities": {"critical": "= 0"}}], notify=notify)
    world.push("1-stable", "one")
    first, _ = await world.decide(policy)
    assert tell(world, policy, first) == []

    world.now += timedelta(hours=3)
    second, _ = await world.decide(policy)
    (notice,) = tell(world, policy, second)
    world.now += timedelta(hours=3)
    third, _ = await world.decide(policy)

    assert "since 2026-11-24 12:05Z" in notice.text
    assert tell(world, policy, third) == []


async def test_a_failed_recheck_is_told_once_until_the_image_has_passed_again(
    world: World,
) -> None:
    policy = telling("recheck_failed")
    world.push("1-stable", "one")
    run = await promote(world, policy)
    (promotion,) = world.ledger.run_promotions(run)

    def look(outcome: Outcome, *more: Reason) -> list[Notice]:
        again = world.begin(policy)
        found = NewRecheck(promotion.id, outcome, (*NOT_HELD, *more))
        world.ledger.rechecks.record(again, [found], world.now)
        return tell(world, policy, again)

    (notice,) = look(Outcome.REJECT)
    assert notice.title == f"{policy.name}: 1 image no longer passing"
    assert "vulnerabilities: critical = 0: 1: CVE-2099-0001" in notice.text
    assert f"promotion rollback {policy.name}" in notice.text
    assert look(Outcome.REJECT, NOT_HELD[1]) == []
    assert look(Outcome.PROMOTE) == []
    assert len(look(Outcome.REJECT)) == 1


async def test_a_long_list_is_cut_in_the_text_and_whole_for_machines(world: World) -> None:
    policy = telling()
    for number in range(SHOWN + 3):
        world.push(f"{number}-stable", f"content {number}")
    run = await promote(world, policy)

    (notice,) = tell(world, policy, run)

    assert notice.text.count("\n- ") == SHOWN + 1
    assert "- and 3 more" in notice.text
    assert len(notice.images) == SHOWN + 3
