from __future__ import annotations

from dataclasses import replace

import pytest

from image_promotion.errors import LedgerError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, State, Step, TransferFigures
from tests.support.ledger_story import Story, new_promotion

P, C, T, V, F, S = State
REFUSED = None
"""In the table below: a LedgerError."""

# What becomes of a promotion in the state on the left when it is told what stands above.
TOLD = ("copied", "tagged", "verified", "fail", "resume", "supersede", "plan")
BECOMES: dict[State, tuple[State | None, ...]] = {
    P: (C, REFUSED, REFUSED, F, P, S, P),
    C: (C, T, REFUSED, F, C, S, C),
    T: (T, T, V, F, T, REFUSED, T),
    V: (V, V, V, V, V, REFUSED, V),
    F: (REFUSED, REFUSED, REFUSED, F, P, S, P),
    S: (REFUSED, REFUSED, REFUSED, S, S, S, S),
}
PAIRS = [
    (state, told, becomes)
    for state, row in BECOMES.items()
    for told, becomes in zip(TOLD, row, strict=True)
]


def tell(story: Story, promotion: Promotion, told: str) -> Promotion:
    ledger, at = story.ledger, story.now()
    match told:
        case "fail":
            return ledger.fail(promotion.id, error="broken", at=at, run_key="k")
        case "resume":
            return ledger.resume(promotion.id, at=at, run_key="k")
        case "supersede":
            return ledger.supersede(promotion.id, reason="it moved", at=at, run_key="k")
        case "plan":
            return replan(story, promotion)
        case _:
            return ledger.advance(promotion.id, State(told), at=at, run_key="k")


def replan(story: Story, promotion: Promotion, **changes: str) -> Promotion:
    """Let a new run of the same policy plan the same observation."""
    run = story.run()
    seen = story.ledger.history()[-1].observation
    assert seen.id == promotion.observation_id
    return story.plan(run, seen, **changes)


@pytest.mark.parametrize(("state", "told", "becomes"), PAIRS)
def test_every_state_takes_every_command_as_the_table_says(
    story: Story, state: State, told: str, becomes: State | None
) -> None:
    promotion = story.promotion_in(state)
    steps = story.ledger.transitions(promotion.id)

    if becomes is REFUSED:
        with pytest.raises(LedgerError) as refused:
            tell(story, promotion, told)
        assert refused.value.advice
        assert not refused.value.retryable
    else:
        assert tell(story, promotion, told).state is becomes

    now = story.ledger.promotion(promotion.id)
    new_steps = story.ledger.transitions(promotion.id)[len(steps) :]
    if becomes in {REFUSED, state}:
        assert now == promotion
        assert new_steps == ()
    else:
        assert [(step.from_state, step.to_state) for step in new_steps] == [(state, becomes)]


@pytest.mark.parametrize("state", [P, C, T])
def test_a_failed_promotion_resumes_in_the_state_it_failed_in(story: Story, state: State) -> None:
    promotion = story.promotion_in(state)

    failed = story.fail(promotion, "the registry is down")
    assert (failed.failed_in, failed.error) == (state, "the registry is down")
    assert failed.ended_at is not None

    resumed = story.ledger.resume(promotion.id, at=story.now(), run_key="k")
    assert resumed == promotion


@pytest.mark.parametrize("goal", [P, F, S])
def test_a_promotion_advances_only_to_copied_tagged_and_verified(story: Story, goal: State) -> None:
    promotion = story.promotion_in(C)

    if goal is P:  # it has been there
        assert story.advance(promotion, goal) == promotion
    else:
        with pytest.raises(LedgerError):
            story.advance(promotion, goal)


def test_a_promotion_bears_what_happened_to_it(story: Story) -> None:
    promotion = story.promotion_in(P)
    moments = [story.now() for _ in range(3)]
    figures = TransferFigures(bytes_copied=2**40, bytes_skipped=20, bytes_mounted=3, seconds=1.25)

    for to, at in zip((C, T, V), moments, strict=True):
        story.ledger.advance(
            promotion.id,
            to,
            at=at,
            run_key="monday",
            detail=f"to {to}",
            transfer=figures if to is C else None,
        )

    ended = story.ledger.promotion(promotion.id)
    assert [ended.copied_at, ended.tagged_at, ended.verified_at] == moments
    assert ended.ended_at == moments[-1]
    assert (ended.bytes_copied, ended.bytes_skipped, ended.bytes_mounted, ended.seconds) == (
        2**40,
        20,
        3,
        1.25,
    )
    steps = story.ledger.transitions(promotion.id)
    assert [(step.from_state, step.to_state, step.detail) for step in steps] == [
        (None, P, ""),
        (P, C, "to copied"),
        (C, T, "to tagged"),
        (T, V, "to verified"),
    ]
    assert [step.at for step in steps[1:]] == moments
    assert {step.run_key for step in steps[1:]} == {"monday"}


def test_a_plan_is_read_back_with_all_its_fields(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]
    decision = story.decide(run, observation)
    new = new_promotion(decision, "stable-1200")
    at = story.now()

    (promotion,) = story.ledger.plan(run, [new], at)

    for field in new.__slots__:
        assert getattr(promotion, field) == getattr(new, field)
    assert (promotion.policy, promotion.policy_hash) == (run.policy, run.policy_hash)
    assert promotion.source_repository == observation.repository
    assert (promotion.source_tag, promotion.digest) == ("stable", "sha256:a")
    assert (promotion.state, promotion.planned_at, promotion.run_key) == (P, at, run.key)
    assert promotion.ended_at is None
    assert promotion.error == ""
    assert story.ledger.promotion(promotion.id) == promotion


@pytest.mark.parametrize("state", [P, C, T, V, F, S])
def test_planning_again_keeps_the_rendered_tag(story: Story, state: State) -> None:
    promotion = story.promotion_in(state)

    again = replan(story, promotion, target_tag="rendered-later")

    assert again.id == promotion.id
    assert again.target_tag == promotion.target_tag
    assert len(story.ledger.history()) == 1


def test_a_retried_plan_is_the_same_plan(story: Story) -> None:
    run = story.run()
    seen = story.scan(run, one="sha256:a", two="sha256:b")
    decisions = [story.decide(run, observation) for observation in seen.values()]
    new = [new_promotion(decision, f"tag{decision.id}") for decision in decisions]

    first = story.ledger.plan(run, new, story.now())
    again = story.ledger.plan(run, new, story.now())

    assert again == first
    assert story.ledger.run_promotions(run) == first
    assert [len(story.ledger.transitions(one.id)) for one in first] == [1, 1]


def test_a_failed_promotion_is_planned_anew_as_the_present_policy_has_it(story: Story) -> None:
    run = story.run("1")
    observation = story.scan(run, stable="sha256:a")["stable"]
    failed = story.fail(story.plan(run, observation))

    run = story.run("2")
    anew = story.plan(run, observation, existing_tag="overwrite")

    assert (anew.id, anew.state, anew.failed_in, anew.error) == (failed.id, P, None, "")
    assert (anew.policy_hash, anew.existing_tag) == ("sha256:2", "overwrite")
    assert (anew.run_key, anew.ended_at) == (run.key, None)


def test_a_verified_promotion_stays_one_when_the_policy_changes(story: Story) -> None:
    verified = story.promotion_in(V, tag="stable")
    run = story.run("2")
    observation = story.scan(run, stable="sha256:a")["stable"]
    assert story.candidate_tags(run) == ["stable"]

    again = story.plan(run, observation)

    assert again == verified
    assert story.candidate_tags(run) == []
    assert story.candidate_tags(run, decide_again=True) == []
    assert [entry.promotion for entry in story.ledger.history()] == [verified, verified]


def test_another_target_is_another_promotion(story: Story) -> None:
    verified = story.promotion_in(V, tag="stable")
    run = story.run("2")
    observation = story.scan(run, stable="sha256:a")["stable"]

    other = story.plan(run, observation, target_key="production/website")

    assert other.id != verified.id
    assert other.state is P


def test_a_run_lists_its_promotions_also_those_another_run_had_planned(story: Story) -> None:
    promotion = story.promotion_in(C, tag="stable")
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]
    story.plan(run, observation)

    assert story.ledger.run_promotions(run) == (promotion,)
    assert story.ledger.run_promotions(story.run()) == ()


@pytest.mark.parametrize("state", State)
def test_unfinished_promotions_claim_their_target_tag(story: Story, state: State) -> None:
    promotion = story.promotion_in(state, tag="stable")

    for target in ("qa_registry", "qa.example:5000"):
        claims = story.ledger.tag_claims(target, "qa/website", ["stable", "other"])
        assert claims == ({} if state in {V, S} else {"stable": (promotion,)})
    assert story.ledger.tag_claims("elsewhere", "qa/website", ["stable"]) == {}
    assert story.ledger.tag_claims("qa_registry", "qa/other", ["stable"]) == {}


def test_several_claims_are_told_eldest_first_whatever_their_policies(ledger: Ledger) -> None:
    eldest = Story(ledger, "one").promotion_in(P, tag="stable")
    other = Story(ledger, "two").promotion_in(P, tag="stable")

    claims = ledger.tag_claims("qa_registry", "qa/website", ["stable"])
    assert claims == {"stable": (eldest, other)}


def test_a_tagged_promotion_of_a_tag_that_moved_on_claims_nothing(story: Story) -> None:
    story.promotion_in(T, tag="stable")
    story.scan(story.run(), stable="sha256:b")

    assert story.ledger.tag_claims("qa_registry", "qa/website", ["stable"]) == {}


def test_a_promotion_that_does_not_exist_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no promotion 7"):
        ledger.promotion(7)
    assert ledger.transitions(7) == ()


def test_a_plan_for_what_was_never_observed_is_refused(story: Story) -> None:
    run = story.run()
    decision = story.decide(run, story.scan(run, stable="sha256:a")["stable"])
    new = replace(new_promotion(decision, "stable"), observation_id=99)

    with pytest.raises(LedgerError):
        story.ledger.plan(run, [new], story.now())
    assert story.ledger.run_promotions(run) == ()


def test_errors_are_kept_whatever_characters_they_hold(story: Story) -> None:
    failed = story.fail(story.promotion_in(P), "the body was \0\ud800 \N{SNOWMAN}")

    assert failed.error == "the body was \N{REPLACEMENT CHARACTER}? \N{SNOWMAN}"


def test_a_conflict_decided_after_a_plan_keeps_the_promotion_apart(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]
    promotion = story.plan(run, observation)

    story.decide(run, observation, Outcome.CONFLICT)

    conflict, promote = story.ledger.history()
    assert conflict.promotion is None
    assert promote.promotion == promotion


def test_of_many_steps_those_that_cannot_be_taken_hold_no_other_up(story: Story) -> None:
    copied = story.promotion_in(State.COPIED, tag="a")
    planned = story.promotion_in(State.PLANNED, tag="b")
    verified = story.promotion_in(State.VERIFIED, tag="c")

    refused = story.ledger.advance_all(
        [
            Step(promotion.id, State.TAGGED, story.now(), "advancing", "set")
            for promotion in (copied, planned, verified)
        ]
    )

    assert set(refused) == {planned.id}
    states = [each.state for each in story.ledger.promotions([verified.id, planned.id, copied.id])]
    assert states == [State.VERIFIED, State.PLANNED, State.TAGGED]
    assert story.ledger.transitions(copied.id)[-1].detail == "set"


def test_of_many_promotions_one_that_is_not_known_is_an_error(story: Story) -> None:
    known = story.promotion_in(State.COPIED)

    with pytest.raises(LedgerError, match=f"no promotion {known.id + 1}"):
        story.ledger.promotions([known.id, known.id + 1])
