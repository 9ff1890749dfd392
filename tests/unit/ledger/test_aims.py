"""Another digest for the target of the same stay: a new stay, once."""

from __future__ import annotations

import pytest

from image_promotion.ledger.records import Aim, Observation, Promotion, Run, State
from tests.support.ledger_story import Story

KEY = "qa_registry/qa/website"


def promoted(story: Story, state: State) -> tuple[Observation, Promotion]:
    promotion = story.promotion_in(state, tag="stable")
    run = story.run(key="look")
    return story.scan(run, stable="sha256:a")["stable"], promotion


def aim(story: Story, run: Run, observation: int, target_digest: str) -> int:
    (found,) = story.ledger.aim(run, [Aim(observation, KEY, target_digest)], story.now())
    return found


@pytest.mark.parametrize("state", [State.PLANNED, State.FAILED, State.VERIFIED])
def test_the_digest_that_is_promoted_already_begins_nothing(story: Story, state: State) -> None:
    observation, promotion = promoted(story, state)
    run = story.run()

    assert aim(story, run, observation.id, "sha256:a") == observation.id
    assert story.ledger.promotion(promotion.id).state is state


def test_what_was_never_promoted_begins_nothing(story: Story) -> None:
    run = story.run()
    observation = story.scan(run, stable="sha256:a")["stable"]

    assert aim(story, run, observation.id, "sha256:other") == observation.id


@pytest.mark.parametrize("state", State)
def test_another_digest_begins_a_new_stay_and_supersedes_what_was_under_way(
    story: Story, state: State
) -> None:
    promotion = story.promotion_in(state, tag="stable")
    run = story.run()

    new = aim(story, run, promotion.observation_id, "sha256:other")

    assert new != promotion.observation_id
    left = story.ledger.promotion(promotion.id).state
    is_visible = state in {State.TAGGED, State.VERIFIED}
    assert left is (state if is_visible else State.SUPERSEDED)
    assert story.ledger.tag_claims("qa_registry", "qa/website", ["stable"]) == {}


def test_a_new_stay_is_decided_and_promoted_like_any_other(story: Story) -> None:
    observation, old = promoted(story, State.VERIFIED)
    run = story.run()
    story.scan(run, stable="sha256:a")
    new = aim(story, run, observation.id, "sha256:other")

    (candidate,) = story.ledger.candidates(run)
    planned = story.plan(run, candidate.observation, target_key=KEY, target_digest="sha256:other")

    assert candidate.observation.id == new
    assert (candidate.observation.ordinal, candidate.last) == (observation.ordinal + 1, None)
    assert (planned.digest, planned.target_digest) == ("sha256:a", "sha256:other")
    assert planned.id != old.id
    story.advance_to_verified(planned)
    later = story.run()
    assert story.scan(later, stable="sha256:a")["stable"].id == new
    assert story.candidate_tags(later) == []


def test_two_runs_begin_the_same_stay(story: Story) -> None:
    observation, _ = promoted(story, State.VERIFIED)
    first, second = story.run(), story.run()

    found = {aim(story, run, observation.id, "sha256:other") for run in (first, second)}

    assert len(found) == 1
    assert observation.id not in found


def test_a_tag_that_moved_on_meanwhile_begins_nothing(story: Story) -> None:
    observation, _ = promoted(story, State.VERIFIED)
    run = story.run()
    story.scan(story.run(), stable="sha256:b")

    assert aim(story, run, observation.id, "sha256:other") == observation.id


def test_aims_are_answered_in_their_order(story: Story) -> None:
    run = story.run()
    seen = story.scan(run, one="sha256:a", two="sha256:b", three="sha256:c")
    story.plan(run, seen["two"], target_digest="sha256:b")
    aims = [Aim(seen[tag].id, KEY, "sha256:other") for tag in ("three", "two", "one")]

    found = story.ledger.aim(run, aims, story.now())

    assert (found[0], found[2]) == (seen["three"].id, seen["one"].id)
    assert found[1] not in {each.id for each in seen.values()}
