from __future__ import annotations

import pytest

from image_promotion.ledger.records import Outcome, Reason, State
from tests.support.ledger_story import HELD, NOT_HELD, Story

NESTED = (
    Reason(
        trigger="all",
        verdict="unknown",
        expected="all of 2",
        found="1 of 2",
        source="",
        parts=(
            Reason("license is not one of GPL-3.0-only", "held", "no GPL", "MIT", "sbom 1"),
            Reason("a", "not_held", "0", "12", "", (), count=12, items=("CVE-1", "\0 \ud800")),
            Reason(
                "any",
                "unknown",
                "any of 1",
                "none",
                "",
                (Reason("critical = 0", "unknown", "0", "no report\0\ud800 \N{SNOWMAN}", ""),),
            ),
        ),
    ),
    *HELD,
)


def test_nested_reasons_come_back_as_they_were_given(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]

    story.decide(run, observation, Outcome.WAIT, NESTED)

    (candidate,) = story.ledger.candidates(run)
    assert candidate.last is not None
    assert candidate.last.reasons == NESTED


def test_an_unchanged_wait_only_moves_on_when_it_was_asked(story: Story) -> None:
    first_run = story.run()
    observation = story.scan(first_run, stable="sha256:a")["stable"]
    first = story.decide(first_run, observation, Outcome.WAIT, NESTED)

    run = story.run()
    story.scan(run, stable="sha256:a")
    again = story.decide(run, observation, Outcome.WAIT, NESTED)

    assert again.id == first.id
    assert again.decided_at == first.decided_at
    assert again.asked_at > first.asked_at
    assert again.times_asked == 2
    assert len(story.ledger.history()) == 1


def test_a_retried_evaluation_counts_as_asked_once(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]

    decisions = [story.decide(run, observation, Outcome.WAIT) for _ in range(3)]

    assert {decision.id for decision in decisions} == {decisions[0].id}
    assert decisions[-1].times_asked == 1


@pytest.mark.parametrize("change", ["outcome", "reasons", "policy"])
def test_a_decision_that_differs_is_a_new_one(story: Story, change: str) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]
    first = story.decide(run, observation, Outcome.WAIT)

    second = story.decide(
        story.run("2") if change == "policy" else run,
        observation,
        Outcome.REJECT if change == "outcome" else Outcome.WAIT,
        NOT_HELD if change == "reasons" else HELD,
    )

    assert second.id != first.id
    assert second.times_asked == 1
    assert [entry.decision.id for entry in story.ledger.history()] == [second.id, first.id]


@pytest.mark.parametrize(
    ("outcome", "is_candidate"),
    [
        (Outcome.PROMOTE, True),  # and nothing is planned yet
        (Outcome.REJECT, False),
        (Outcome.WAIT, True),
        (Outcome.CONFLICT, True),
    ],
)
def test_what_was_decided_says_whether_it_is_asked_again(
    story: Story, outcome: Outcome, *, is_candidate: bool
) -> None:
    run = story.run()
    story.decide(run, story.scan(run, stable="sha256:a")["stable"], outcome)

    assert story.candidate_tags(run) == (["stable"] if is_candidate else [])
    assert story.candidate_tags(run, decide_again=True) == ["stable"]


@pytest.mark.parametrize("state", State)
def test_a_promotion_is_asked_again_until_it_ended_well(story: Story, state: State) -> None:
    story.promotion_in(state, tag="stable")
    run = story.ledger.run("website-to-qa/1")
    assert run is not None

    asked = state not in {State.VERIFIED, State.SUPERSEDED}
    assert story.candidate_tags(run) == (["stable"] if asked else [])
    asked = state is not State.VERIFIED
    assert story.candidate_tags(run, decide_again=True) == (["stable"] if asked else [])


def test_a_changed_policy_asks_again_about_what_was_rejected(story: Story) -> None:
    run = story.run("1")
    story.decide(run, story.scan(run, stable="sha256:a")["stable"], Outcome.REJECT, NOT_HELD)

    run = story.run("2")
    story.scan(run, stable="sha256:a")

    assert story.candidate_tags(run) == ["stable"]


def test_new_candidates_come_first_failed_ones_last_and_others_longest_ago_first(
    story: Story,
) -> None:
    run = story.run()
    tags = dict.fromkeys(("failed", "waits", "asked_before", "new"), "sha256:a")
    seen = story.scan_tags(run, tags)
    story.fail(story.plan(run, seen["failed"]))
    story.decide(run, seen["asked_before"], Outcome.WAIT)
    story.decide(run, seen["waits"], Outcome.CONFLICT)

    assert story.candidate_tags(run) == ["new", "asked_before", "waits", "failed"]


def test_a_tag_that_waits_and_was_gone_for_a_while_is_asked_again(story: Story) -> None:
    run = story.run()
    story.decide(run, story.scan(run, stable="sha256:a")["stable"], Outcome.WAIT)
    story.scan(story.run())

    run = story.run()
    assert story.scan(run, stable="sha256:a")["stable"].ordinal == 1
    assert story.candidate_tags(run) == ["stable"]


def test_candidates_can_be_limited_to_some_tags(story: Story) -> None:
    run = story.run()
    story.scan(run, one="sha256:a", two="sha256:b", three="sha256:c")

    found = story.ledger.candidates(run, tags={"two", "absent"})

    assert [candidate.observation.tag for candidate in found] == ["two"]


def test_a_run_has_only_the_candidates_that_were_seen_since_it_began(story: Story) -> None:
    story.scan(story.run(), early="sha256:a")
    run = story.run()
    story.scan(run, complete=False, late="sha256:b")

    assert story.candidate_tags(run) == ["late"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_run_that_another_overtakes_keeps_its_candidates(
    story: Story, order: tuple[int, int]
) -> None:
    slow, quick = runs = story.run(), story.run()
    for number in order:
        story.scan(runs[number], stable="sha256:a")

    assert story.candidate_tags(slow) == story.candidate_tags(quick) == ["stable"]


def test_a_run_lists_what_it_decided_also_when_it_was_decided_before(story: Story) -> None:
    first, second = story.run(), story.run()
    seen = story.scan(second, waits="sha256:a", rejected="sha256:b")
    rejected = story.decide(first, seen["rejected"], Outcome.REJECT)
    story.decide(first, seen["waits"], Outcome.WAIT)
    waits = story.decide(second, seen["waits"], Outcome.WAIT)

    assert story.ledger.run_decisions(first) == (rejected, waits)
    assert story.ledger.run_decisions(second) == (waits,)


def test_the_tag_of_a_decision_follows_the_clock_until_it_is_planned(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]
    story.decide(run, observation, target_tag="stable-1200")
    later = story.decide(run, observation, target_tag="stable-1205")
    story.plan(run, observation)
    planned = story.decide(run, observation, target_tag="stable-1210")

    assert later.target_tag == "stable-1205"
    assert planned.target_tag != "stable-1210"
