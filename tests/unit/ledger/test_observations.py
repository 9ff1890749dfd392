from __future__ import annotations

from datetime import timedelta

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Sighting, State
from tests.support.ledger_story import REPOSITORY, Story


def test_a_tag_that_stays_where_it_is_remains_one_observation(story: Story) -> None:
    first = story.scan(story.run(), stable="sha256:a")["stable"]
    again = story.scan(story.run(), stable="sha256:a")["stable"]

    assert again.id == first.id
    assert again.ordinal == 1
    assert again.first_seen_at == first.first_seen_at
    assert again.last_seen_at > first.last_seen_at


def test_a_tag_that_moves_away_and_back_has_three_ordinals(story: Story) -> None:
    stays = [
        story.scan(story.run(), stable=digest)["stable"]
        for digest in ("sha256:a", "sha256:b", "sha256:a")
    ]

    assert [stay.ordinal for stay in stays] == [1, 2, 3]
    assert len({stay.id for stay in stays}) == 3


def test_a_tag_that_moved_is_a_new_candidate(story: Story) -> None:
    run = story.run()
    story.advance_to_verified(story.plan(run, story.scan(run, stable="sha256:a")["stable"]))
    run = story.run()

    story.scan(run, stable="sha256:b")

    (candidate,) = story.ledger.candidates(run)
    assert candidate.observation.digest == "sha256:b"
    assert candidate.last is None


@pytest.mark.parametrize("state", [State.PLANNED, State.COPIED, State.FAILED])
def test_unfinished_promotions_of_a_tag_that_moved_are_superseded(
    story: Story, state: State
) -> None:
    promotion = story.promotion_in(state, tag="stable")

    story.scan(story.run(), stable="sha256:b")

    assert story.ledger.promotion(promotion.id).state is State.SUPERSEDED
    assert story.ledger.transitions(promotion.id)[-1].detail == "the source tag moved on"


@pytest.mark.parametrize("state", [State.PLANNED, State.COPIED, State.FAILED])
def test_unfinished_promotions_of_a_tag_that_is_gone_are_superseded(
    story: Story, state: State
) -> None:
    promotion = story.promotion_in(state, tag="stable")

    run = story.run()
    story.scan(run, other="sha256:a")

    assert story.ledger.promotion(promotion.id).state is State.SUPERSEDED
    assert story.ledger.transitions(promotion.id)[-1].detail == "the source tag is gone"
    assert story.candidate_tags(run) == ["other"]


@pytest.mark.parametrize("state", [State.TAGGED, State.VERIFIED])
def test_promotions_whose_tag_is_set_are_never_superseded_by_a_scan(
    story: Story, state: State
) -> None:
    promotion = story.promotion_in(state, tag="stable")

    story.scan(story.run(), stable="sha256:b")
    story.scan(story.run())

    assert story.ledger.promotion(promotion.id).state is state


def test_tags_of_a_repository_that_was_not_listed_completely_are_not_gone(story: Story) -> None:
    promotion = story.promotion_in(State.PLANNED, tag="stable")

    story.scan(story.run(), complete=False, other="sha256:b")

    assert story.ledger.promotion(promotion.id).state is State.PLANNED


def test_a_verified_tag_that_was_gone_for_a_while_is_not_promoted_again(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED, tag="stable")
    story.scan(story.run())

    run = story.run()
    back = story.scan(run, stable="sha256:a")["stable"]

    assert back.id == promotion.observation_id
    assert story.candidate_tags(run) == []


@pytest.mark.parametrize("was_gone", [True, False])
def test_a_tag_that_comes_back_to_a_superseded_digest_is_a_new_candidate(
    story: Story, *, was_gone: bool
) -> None:
    promotion = story.promotion_in(State.PLANNED, tag="stable")
    if was_gone:
        story.scan(story.run())
    else:
        story.ledger.supersede(promotion.id, reason="moved", at=story.now(), run_key="retag")

    run = story.run()
    back = story.scan(run, stable="sha256:a")["stable"]

    assert back.ordinal == 2
    assert story.candidate_tags(run) == ["stable"]


def test_a_scan_that_began_earlier_does_not_move_a_tag_back(story: Story) -> None:
    slow, quick = story.run(), story.run()
    slow_began, quick_began = story.now(), story.now()
    story.scan(quick, quick_began, stable="sha256:new", added="sha256:c")

    seen = story.scan(slow, slow_began, stable="sha256:old")

    assert seen["stable"].digest == "sha256:new"
    assert seen["stable"].ordinal == 1
    assert sorted(story.candidate_tags(quick)) == ["added", "stable"]


def test_an_old_run_that_scans_again_today_moves_tags(story: Story) -> None:
    old = story.run()
    story.scan(story.run(), stable="sha256:a")

    assert story.scan(old, stable="sha256:b")["stable"].ordinal == 2


def test_a_clock_that_was_set_back_does_not_hide_a_move(story: Story) -> None:
    at = story.now()
    story.scan(story.run(), at, stable="sha256:a")
    run = story.run()

    assert story.scan(run, at - timedelta(days=1), stable="sha256:b")["stable"].ordinal == 2
    assert story.candidate_tags(run) == ["stable"]


def test_policies_see_the_same_tag_each_for_itself(ledger: Ledger) -> None:
    one, two = Story(ledger, "one"), Story(ledger, "two")
    promotion = one.promotion_in(State.PLANNED, tag="stable")

    seen = two.scan(two.run(), stable="sha256:b")["stable"]

    assert seen.ordinal == 1
    assert ledger.promotion(promotion.id).state is State.PLANNED


def test_observations_come_in_the_order_of_the_sightings_and_once_a_tag(story: Story) -> None:
    sightings = [Sighting(repository, tag, "sha256:a") for repository in "ba" for tag in "21"]

    seen = story.ledger.observe(
        story.run(),
        [*sightings, sightings[0]],
        complete_repositories=[REPOSITORY],
        tags_seen=4,
        tags_rejected_by_name=0,
        at=story.now(),
    )

    assert [Sighting(one.repository, one.tag, one.digest) for one in seen] == sightings


def test_more_tags_than_one_statement_holds_are_observed(story: Story) -> None:
    digests = {f"t{number}": f"sha256:{number}" for number in range(2500)}

    for _ in range(2):
        run = story.run()
        seen = story.scan_tags(run, digests)
        assert {tag: one.digest for tag, one in seen.items()} == digests
    assert len(story.ledger.candidates(run)) == 2500

    story.scan(story.run())
    assert story.ledger.candidates(run) == ()
