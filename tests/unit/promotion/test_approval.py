from __future__ import annotations

import json
from datetime import timedelta

import pytest

from image_promotion.errors import PromotionError, UnreachableError
from image_promotion.ledger.records import NewDecision, Outcome, Promotion, Run, State, Verdict
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import (
    Answer,
    Count,
    ask,
    ask_further,
    count,
    give_up,
    questions,
    require_approved,
    standing,
)
from image_promotion.promotion.approval_form import form, read_answer
from image_promotion.promotion.batches import Stage
from tests.support.ledger_story import NOT_HELD
from tests.support.memory_store import MemoryStore
from tests.unit.promotion.conftest import SOURCE, START, World, policy_of

ONE = f"{SOURCE}:1-stable"
TWO = f"{SOURCE}:2-stable"


def approving(**approval: object) -> Policy:
    return policy_of(approval=approval)


def answer(
    world: World,
    who: str = "alice",
    *,
    verdict: Verdict = Verdict.APPROVED,
    rejected: tuple[str, ...] = (),
    left: tuple[str, ...] = (),
    comment: str = "",
) -> Answer:
    world.now += timedelta(minutes=1)
    return Answer(verdict, (who,) if who else (), rejected, left, comment, world.now)


async def asking(world: World, policy: Policy, *tags: str) -> Run:
    """Begin a run that asks people about all it has planned."""
    run, evaluation = await world.decide(policy, *tags)
    ask(policy, world.ledger, run, [each.id for each in evaluation.promotions], now=world.now)
    return run


def counted(world: World, policy: Policy, run: Run, said: Answer) -> Count:
    return count(policy, world.ledger, run, said)


def stands(world: World, policy: Policy, run: Run) -> dict[str, list[str]]:
    """Name the source tags that are approved, and those that are not."""
    found = standing(policy, world.ledger, [each.id for each in world.ledger.run_promotions(run)])
    return {
        "approved": [each.source_tag for each in found.approved],
        "undecided": [each.source_tag for each in found.undecided],
        "unearned": [each.source_tag for each in found.unearned],
    }


def promotion_of(world: World, run: Run, tag: str) -> Promotion:
    (found,) = [each for each in world.ledger.run_promotions(run) if each.source_tag == tag]
    return found


async def test_an_approved_image_may_go_on_and_a_rejected_one_may_not(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    world.push("2-stable", "two")
    run = await asking(world, policy)

    done = counted(world, policy, run, answer(world, rejected=(TWO,), comment="no"))

    assert (done.counts, done.lacking) == (True, ())
    assert stands(world, policy, run) == {"approved": ["1-stable"], "undecided": [], "unearned": []}
    rejected = promotion_of(world, run, "2-stable")
    assert rejected.state is State.SUPERSEDED
    assert world.ledger.transitions(rejected.id)[-1].detail == "rejected by alice: no"


async def test_a_rejection_of_all_leaves_nothing(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)

    counted(world, policy, run, answer(world, verdict=Verdict.REJECTED))

    assert stands(world, policy, run) == {"approved": [], "undecided": [], "unearned": []}


async def test_what_an_answer_leaves_alone_is_asked_about_by_the_next_run(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    world.push("2-stable", "two")
    run = await asking(world, policy)

    done = counted(world, policy, run, answer(world, left=(TWO,)))

    assert done.lacking == ()
    left = promotion_of(world, run, "2-stable")
    assert left.state is State.PLANNED
    later, evaluation = await world.decide(policy)
    found = ask(
        policy, world.ledger, later, [each.id for each in evaluation.promotions], now=world.now
    )
    assert [each.source_tag for each in found.undecided] == ["2-stable"]
    # What was approved and not copied is not asked about again.
    assert [each.source_tag for each in found.approved] == ["1-stable"]


async def test_two_approvals_are_those_of_two_people(world: World) -> None:
    policy = approving(approvals=2)
    world.push("1-stable", "one")
    run = await asking(world, policy)

    assert counted(world, policy, run, answer(world, "alice")).counts
    again = counted(world, policy, run, answer(world, "alice"))

    assert not again.counts
    assert [each.source_tag for each in again.lacking] == ["1-stable"]
    assert "somebody else has to" in " ".join(again.said)
    assert stands(world, policy, run)["approved"] == []

    counted(world, policy, run, answer(world, "bob"))

    assert stands(world, policy, run)["approved"] == ["1-stable"]


async def test_one_rejection_is_enough_whoever_has_approved(world: World) -> None:
    policy = approving(approvals=3)
    world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world, "alice"))

    counted(world, policy, run, answer(world, "bob", verdict=Verdict.REJECTED))

    assert promotion_of(world, run, "1-stable").state is State.SUPERSEDED


@pytest.mark.parametrize("who", ["mallory", ""])
async def test_an_answer_of_somebody_else_does_not_count(world: World, who: str) -> None:
    policy = approving(users=["alice", "bob"])
    world.push("1-stable", "one")
    run = await asking(world, policy)

    for verdict in Verdict:
        done = counted(world, policy, run, answer(world, who, verdict=verdict))

        assert not done.counts
        assert "does not count" in done.said[0]
    assert stands(world, policy, run)["undecided"] == ["1-stable"]
    assert world.ledger.approvals.of_promotions([promotion_of(world, run, "1-stable").id]) == {}


async def test_an_answer_that_names_what_is_not_there_counts_for_nothing(world: World) -> None:
    """A misspelt name would approve what it was to reject."""
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)

    done = counted(world, policy, run, answer(world, rejected=(f"{SOURCE}:1-stabel",)))

    assert not done.counts
    assert "1-stabel" in done.said[0]
    assert stands(world, policy, run)["undecided"] == ["1-stable"]


async def test_a_run_that_comes_in_between_asks_about_new_images_alone(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    await asking(world, policy)
    world.push("2-stable", "two")

    run, evaluation = await world.decide(policy)
    found = ask(
        policy, world.ledger, run, [each.id for each in evaluation.promotions], now=world.now
    )

    assert [each.source_tag for each in found.undecided] == ["2-stable"]
    report = world.report(run)
    assert report.problems == ()
    assert "2 of them await approval" in str(report)


async def test_an_image_that_another_run_decides_otherwise_about_is_not_promoted(
    world: World,
) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)
    later = world.begin(policy)
    await world.scan(policy, later)
    (candidate,) = world.ledger.candidates(later)
    world.ledger.decide(
        later, [NewDecision(candidate.observation.id, Outcome.REJECT, NOT_HELD)], at=world.now
    )

    counted(world, policy, run, answer(world))

    assert stands(world, policy, run) == {"approved": [], "undecided": [], "unearned": ["1-stable"]}


async def test_a_rejected_image_is_not_asked_about_again_unless_its_tag_is_named(
    world: World,
) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world, verdict=Verdict.REJECTED, comment="too late"))

    _, evaluation = await world.decide(policy)
    assert evaluation.promotions == ()
    row = (await world.plan(policy))["1-stable"]
    assert (row.outcome, row.is_new) == (Outcome.REJECT, False)
    assert "rejected by alice: too late" in row.why

    assert (await world.plan(policy, "1-stable"))["1-stable"].is_new
    _, evaluation = await world.decide(policy, "1-stable")
    assert [each.state for each in evaluation.promotions] == [State.PLANNED]


async def test_a_new_version_of_the_policy_does_not_ask_again_about_what_was_rejected(
    world: World,
) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world, verdict=Verdict.REJECTED))

    _, evaluation = await world.decide(approving(approvals=2))

    assert evaluation.promotions == ()


async def test_nobody_in_time_means_the_next_run_asks_again(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)

    said = give_up(policy, world.ledger, run, world.now)

    assert "the next run asks again" in said[0]
    assert stands(world, policy, run)["undecided"] == ["1-stable"]
    later = await asking(world, policy)
    assert world.ledger.approvals.asked(later)[1]


async def test_nobody_in_time_means_rejected_where_the_policy_says_so(world: World) -> None:
    policy = approving(on_timeout="reject", approvals=2)
    world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world))

    give_up(policy, world.ledger, run, world.now)

    assert promotion_of(world, run, "1-stable").state is State.SUPERSEDED
    row = (await world.plan(policy))["1-stable"]
    assert "nobody decided in time" in row.why


async def test_the_second_person_is_asked_about_what_the_first_approved(world: World) -> None:
    policy = approving(approvals=2)
    world.push("1-stable", "one")
    world.push("2-stable", "two")
    world.push("3-stable", "three")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world, rejected=(TWO,), left=(f"{SOURCE}:3-stable",)))

    found = ask_further(policy, world.ledger, run, now=world.now)

    assert [each.source_tag for each in found.undecided] == ["1-stable"]
    (word,) = found.approvals[found.undecided[0].id]
    assert word.who == "alice"


async def test_nothing_is_copied_that_lacks_an_approval(world: World) -> None:
    policy = approving(approvals=2)
    world.push("1-stable", "one")
    run = await asking(world, policy)
    promotion = promotion_of(world, run, "1-stable")
    counted(world, policy, run, answer(world, "alice"))

    with pytest.raises(PromotionError, match="1 of 2 approvals"):
        require_approved(policy, world.ledger, promotion)

    counted(world, policy, run, answer(world, "bob"))
    require_approved(policy, world.ledger, promotion)


async def test_the_form_shows_images_reasons_targets_and_who_approved(world: World) -> None:
    policy = approving(approvals=2, users=["alice", "bob"])
    digest = world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world, "alice", comment="fine by *me*"))
    theirs = world.target.hold_image("qa/website", b"theirs", config=b"{}")
    world.target.tags["qa/website"] = {"1-stable": theirs.digest}
    found = ask_further(policy, world.ledger, run, now=world.now)

    shown = form(policy, await questions(found, world.ledger, world.target_of), until=world.now)

    assert shown.choices == (ONE,)
    assert str(digest) in shown.body
    assert str(theirs.digest) in shown.body
    assert r"approved by alice (fine by \*me\*)" in shown.body
    assert "held" in shown.body
    assert "2 different people of alice, bob must approve each" in shown.body


async def test_each_target_of_an_image_is_approved_by_itself(world: World) -> None:
    document = json.loads(approving().document())
    document["targets"] = [
        document.pop("target"),
        {"connection": "prod_registry", "repository": "prod/website"},
    ]
    policy = Policy.model_validate(document)
    world.more_targets["prod_registry"] = MemoryStore("prod", "prod")
    world.push("1-stable", "one")
    run = await asking(world, policy)
    found = ask_further(policy, world.ledger, run, now=world.now)
    shown = form(policy, await questions(found, world.ledger, world.target_of), until=world.now)
    assert len(shown.choices) == 2
    assert shown.body.count(f"### {SOURCE}") == 1
    (prod,) = [each for each in shown.choices if "prod_registry" in each]

    counted(world, policy, run, answer(world, rejected=(prod,)))

    states = {each.target_connection: each.state for each in world.ledger.run_promotions(run)}
    assert states == {"qa_registry": State.PLANNED, "prod_registry": State.SUPERSEDED}


@pytest.mark.parametrize("chosen", [[], ["Reject"], ["Approve", "Reject"], ["approve"]])
def test_only_the_button_that_approves_approves(chosen: list[str]) -> None:
    read = read_answer(chosen, {}, user={"id": "1", "name": "alice"}, at=START)

    assert read.verdict is Verdict.REJECTED


def test_the_fields_of_the_form_are_read_as_lists_or_as_lines() -> None:
    read = read_answer(
        ["Approve"],
        {"reject_images": [ONE], "leave_images": f"{TWO}\n", "comment": " fine "},
        user={"id": "7", "name": "alice"},
        at=START,
    )

    assert (read.rejected, read.left, read.comment) == ((ONE,), (TWO,), "fine")
    assert read.names == ("alice", "7")


async def test_the_report_blames_nobody_for_what_another_run_has_approved(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    first = await asking(world, policy)
    second, _ = await world.decide(policy)

    counted(world, policy, first, answer(world))

    assert world.report(second).problems == ()
    assert "its next stage did not run" in world.report(first).problems[0]


async def test_a_tag_that_moves_while_people_think_is_asked_about_anew(world: World) -> None:
    policy = approving()
    world.push("1-stable", "old")
    first = await asking(world, policy)
    world.push("1-stable", "new")
    second = await asking(world, policy)

    done = counted(world, policy, first, answer(world))

    assert done.lacking == ()
    assert stands(world, policy, first)["approved"] == []
    assert stands(world, policy, second)["undecided"] == ["1-stable"]


async def test_what_was_approved_and_failed_to_copy_needs_no_new_approval(world: World) -> None:
    policy = approving()
    world.push("1-stable", "one")
    run = await asking(world, policy)
    counted(world, policy, run, answer(world))
    promotion = promotion_of(world, run, "1-stable")
    world.ledger.fail(promotion.id, error="down", at=world.now, run_key=run.key)

    later, evaluation = await world.decide(policy)
    found = ask(
        policy, world.ledger, later, [each.id for each in evaluation.promotions], now=world.now
    )

    assert [each.id for each in found.approved] == [promotion.id]
    await world.carry_out(Stage.COPY, later, promotion.id)
    assert world.ledger.promotion(promotion.id).state is State.COPIED


async def test_a_target_that_does_not_answer_is_said_so_and_asked_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = approving()
    for n in range(40):
        world.push(f"{n}-stable", f"{n}")
    run = await asking(world, policy)
    found = ask_further(policy, world.ledger, run, now=world.now)
    asked: list[str] = []

    async def silent(repository: str, tag: str) -> None:
        del repository
        asked.append(tag)
        raise UnreachableError("it does not answer")

    monkeypatch.setattr(world.target, "resolve", silent)

    shown = await questions(found, world.ledger, world.target_of)

    assert all("could not be asked: it does not answer" in each.held for each in shown)
    assert len(asked) < len(shown)
