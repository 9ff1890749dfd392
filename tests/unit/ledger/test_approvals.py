from __future__ import annotations

from datetime import timedelta

from image_promotion.ledger.records import Outcome, Promotion, Run, State, Verdict
from image_promotion.ledger.verdicts import NOBODY
from tests.support.ledger_story import NOT_HELD, Story, new_promotion

WEEK = timedelta(days=7)


def asked(story: Story, run: Run, *promotions: Promotion, insist: bool = False) -> set[int]:
    """Open requests of a run for a week; return the promotions it is to ask about."""
    now = story.now()
    ids = [each.id for each in promotions]
    return set(story.ledger.approvals.ask(run, ids, at=now, expires_at=now + WEEK, insist=insist))


def said(
    story: Story, run: Run, verdict: Verdict, who: str, *promotions: Promotion, comment: str = ""
) -> tuple[Promotion, ...]:
    return story.ledger.approvals.say(
        run,
        verdict,
        [each.id for each in promotions],
        who=who,
        comment=comment,
        at=story.now(),
    )


def standing(story: Story, run: Run, promotion: Promotion) -> list[str]:
    """Name those whose approval of a promotion counts for a run."""
    counted = story.ledger.approvals.standing(run.policy_hash, [promotion.id])
    return [word.who for word in counted[promotion.id]]


def planned(story: Story, run: Run, tag: str = "1.4-stable", digest: str = "sha256:a") -> Promotion:
    return story.plan(run, story.scan_tags(run, {tag: digest}, complete=False)[tag])


def test_who_said_what_and_when_is_kept(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)

    said(story, run, Verdict.APPROVED, "alice", promotion, comment="looks good")

    (word,) = story.ledger.approvals.of_promotions([promotion.id])[promotion.id]
    assert (word.verdict, word.who, word.comment) == (Verdict.APPROVED, "alice", "looks good")
    assert (word.run_key, word.policy_hash) == (run.key, run.policy_hash)
    assert word.at.utcoffset() == timedelta()


def test_nothing_is_said_of_what_nobody_spoke_about(story: Story) -> None:
    promotion = planned(story, story.run())

    assert story.ledger.approvals.of_promotions([promotion.id, 404]) == {}


def test_the_approvals_of_several_people_and_runs_add_up_and_one_persons_do_not(
    story: Story,
) -> None:
    first, second = story.run(), story.run()
    promotion = planned(story, first)

    said(story, first, Verdict.APPROVED, "alice", promotion)
    said(story, second, Verdict.APPROVED, "alice", promotion)
    assert standing(story, second, promotion) == ["alice"]
    said(story, second, Verdict.APPROVED, "bob", promotion)

    assert standing(story, second, promotion) == ["alice", "bob"]


def test_what_was_approved_under_another_version_of_the_policy_does_not_count(
    story: Story,
) -> None:
    old, new = story.run("1"), story.run("2")
    promotion = planned(story, old)

    said(story, old, Verdict.APPROVED, "alice", promotion)

    assert standing(story, old, promotion) == ["alice"]
    assert standing(story, new, promotion) == []


def test_a_rejected_promotion_is_superseded_and_says_by_whom_and_why(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)

    said(story, run, Verdict.REJECTED, "bob", promotion, comment="not on a Friday")

    assert story.ledger.promotion(promotion.id).state is State.SUPERSEDED
    last = story.ledger.transitions(promotion.id)[-1]
    assert last.detail == "rejected by bob: not on a Friday"
    assert set(story.ledger.approvals.rejections([promotion.id])) == {promotion.id}


def test_a_rejection_by_time_says_so(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)

    said(story, run, Verdict.REJECTED, NOBODY, promotion)

    last = story.ledger.transitions(promotion.id)[-1]
    assert last.detail == "rejected: nobody decided in time"


def test_nobody_decides_about_what_moved_on_or_is_visible_already(story: Story) -> None:
    run = story.run()
    moved = story.promotion_in(State.SUPERSEDED, tag="moved")
    tagged = story.promotion_in(State.TAGGED, tag="tagged")

    assert said(story, run, Verdict.REJECTED, "bob", moved, tagged) == ()

    assert story.ledger.approvals.of_promotions([moved.id, tagged.id]) == {}
    assert story.ledger.promotion(tagged.id).state is State.TAGGED


def test_a_person_who_rejects_after_all_takes_the_approval_back(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)
    said(story, run, Verdict.APPROVED, "alice", promotion)

    said(story, run, Verdict.REJECTED, "alice", promotion)

    assert standing(story, run, promotion) == []
    (word,) = story.ledger.approvals.of_promotions([promotion.id])[promotion.id]
    assert word.verdict is Verdict.REJECTED


def test_a_rejected_image_is_no_candidate_and_no_new_stay_at_the_next_scan(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)
    said(story, run, Verdict.REJECTED, "bob", promotion)

    later = story.run()
    seen = story.scan_tags(later, {"1.4-stable": "sha256:a"})

    assert seen["1.4-stable"].id == promotion.observation_id
    assert story.candidate_tags(later) == []


def test_a_rejected_image_whose_tag_gets_another_digest_is_considered_again(story: Story) -> None:
    run = story.run()
    said(story, run, Verdict.REJECTED, "bob", planned(story, run))

    later = story.run()
    story.scan_tags(later, {"1.4-stable": "sha256:b"})

    assert story.candidate_tags(later) == ["1.4-stable"]


def test_a_rejected_promotion_is_planned_anew_only_when_somebody_asks(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)
    said(story, run, Verdict.APPROVED, "alice", promotion)
    said(story, run, Verdict.REJECTED, "bob", promotion)
    later = story.run()
    (observation,) = story.scan_tags(later, {"1.4-stable": "sha256:a"}).values()
    assert story.candidate_tags(later, decide_again=True) == ["1.4-stable"]
    new = [new_promotion(story.decide(later, observation), "1.4-stable")]

    (left,) = story.ledger.plan(later, new, story.now())
    (asked_for,) = story.ledger.plan(later, new, story.now(), rejected_too=True)

    assert (left.id, left.state) == (promotion.id, State.SUPERSEDED)
    assert (asked_for.id, asked_for.state) == (promotion.id, State.PLANNED)
    # What was approved before the rejection was taken back by it.
    assert standing(story, later, promotion) == []
    said(story, later, Verdict.APPROVED, "alice", promotion)
    assert standing(story, later, promotion) == ["alice"]


def test_what_was_superseded_for_another_reason_is_never_planned_anew(story: Story) -> None:
    promotion = story.promotion_in(State.SUPERSEDED)
    run = story.run()
    (observation,) = (
        each.observation for each in story.ledger.history() if each.promotion == promotion
    )
    new = [new_promotion(story.decide(run, observation), "1.4-stable")]

    (left,) = story.ledger.plan(run, new, story.now(), rejected_too=True)

    assert left.state is State.SUPERSEDED


def test_a_run_does_not_ask_about_what_another_run_asks_already(story: Story) -> None:
    first, second = story.run(), story.run()
    one, two = planned(story, first, "1-stable"), planned(story, first, "2-stable")

    assert asked(story, first, one) == {one.id}

    assert asked(story, second, one, two) == {two.id}
    requests = story.ledger.approvals.open_requests([one.id, two.id], story.now())
    assert {number: [each.run_key for each in some] for number, some in requests.items()} == {
        one.id: [first.key],
        two.id: [second.key],
    }


def test_a_run_that_is_tried_again_asks_again(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)

    assert asked(story, run, promotion) == asked(story, run, promotion) == {promotion.id}

    requests = story.ledger.approvals.open_requests([promotion.id], story.now())
    assert len(requests[promotion.id]) == 1


def test_a_person_who_names_a_tag_is_asked_although_another_run_waits(story: Story) -> None:
    first, second = story.run(), story.run()
    promotion = planned(story, first)
    asked(story, first, promotion)

    assert asked(story, second, promotion, insist=True) == {promotion.id}


def test_the_request_of_a_run_that_died_holds_nobody_up_when_it_has_expired(story: Story) -> None:
    dead, later = story.run(), story.run()
    promotion = planned(story, dead)
    now = story.now()
    story.ledger.approvals.ask(dead, [promotion.id], at=now, expires_at=now)

    assert asked(story, later, promotion) == {promotion.id}


def test_a_closed_request_holds_nobody_up(story: Story) -> None:
    first, second = story.run(), story.run()
    promotion = planned(story, first)
    asked(story, first, promotion)
    only = frozenset({promotion.id})
    assert story.ledger.approvals.asked(first) == (only, only)

    story.ledger.approvals.close(first, [promotion.id], story.now())

    assert story.ledger.approvals.asked(first) == (only, frozenset())
    assert asked(story, second, promotion) == {promotion.id}


def test_a_promotion_is_wanted_until_a_later_decision_wants_it_no_more(story: Story) -> None:
    run = story.run()
    promotion = planned(story, run)
    assert story.ledger.approvals.last_decisions([promotion.id])[promotion.id].wants_it
    later = story.run()
    (observation,) = story.scan_tags(later, {"1.4-stable": "sha256:a"}).values()

    story.decide(later, observation, Outcome.REJECT, NOT_HELD)

    last = story.ledger.approvals.last_decisions([promotion.id])[promotion.id]
    assert (last.wants_it, last.reasons) == (False, NOT_HELD)


def test_a_verified_override_is_never_decided_again(story: Story) -> None:
    run = story.run("1")
    (observation,) = story.scan_tags(run, {"1.4-rc1": "sha256:a"}).values()
    decision = story.decide(
        run, observation, reasons=NOT_HELD, overridden_by="alice", override_reason="it is urgent"
    )
    assert (decision.overridden_by, decision.override_reason) == ("alice", "it is urgent")
    (promotion,) = story.ledger.plan(run, [new_promotion(decision, "1.4-rc1")], story.now())
    assert story.ledger.overridden_tags(run.policy) == {("dev/website", "1.4-rc1")}
    again = story.run("2")
    story.scan_tags(again, {"1.4-rc1": "sha256:a"})
    assert story.candidate_tags(again) == ["1.4-rc1"]

    story.advance_to_verified(promotion)

    assert story.candidate_tags(again) == []
    assert story.candidate_tags(again, decide_again=True) == []
