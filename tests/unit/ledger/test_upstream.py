"""What other policies have brought to where a policy takes images from; and several targets."""

from __future__ import annotations

from datetime import datetime

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, Reason, State
from image_promotion.ledger.rollbacks import NewRollback
from image_promotion.ledger.upstream import Arrival, Image
from tests.support.ledger_story import REPOSITORY, Story, new_promotion

QA = "qa/website"


def verified(story: Story, tag: str, digest: str = "sha256:a", **changes: str) -> Promotion:
    """Bring a digest to a target tag of the same name."""
    run = story.run()
    seen = story.scan_tags(run, {tag: digest}, complete=False)[tag]
    changes = {"target_digest": digest, "target_key": f"qa:{tag}", **changes}
    return story.advance_to_verified(story.plan(run, seen, **changes))


def arrivals(
    ledger: Ledger, *policies: str, connection_id: str = "qa_registry", registry: str = "elsewhere"
) -> dict[tuple[str, Image], Arrival]:
    images = [(QA, "sha256:a"), (QA, "sha256:b")]
    return dict(
        ledger.upstream.arrivals(policies, images, connection_id=connection_id, registry=registry)
    )


def roll_back(story: Story, gone: Promotion, to: str) -> None:
    run = story.run()
    rollback = story.ledger.rollbacks.plan(
        run,
        NewRollback(
            source_repository=REPOSITORY,
            source_tag=gone.source_tag,
            digest=to,
            source_connection=gone.source_connection,
            source_registry=gone.source_registry,
            target_connection=gone.target_connection,
            target_registry=gone.target_registry,
            target_repository=gone.target_repository,
            target_tag=gone.target_tag,
            target_digest=to,
            former_digest=gone.target_digest,
            reason=Reason("rollback", "held", "", "it was bad", "somebody"),
        ),
        story.now(),
    )
    story.advance_to_verified(rollback)


def test_an_arrival_is_the_first_verified_promotion_of_the_digest(ledger: Ledger) -> None:
    first, second = Story(ledger, "first"), Story(ledger, "second")
    early = verified(first, "1-stable")
    verified(first, "1-also-stable")
    late = verified(second, "1-stable")
    verified(second, "2-stable", "sha256:c")

    found = arrivals(ledger, "first", "second", "third")

    assert found == {
        ("first", (QA, "sha256:a")): Arrival(early, is_undone=False),
        ("second", (QA, "sha256:a")): Arrival(late, is_undone=False),
    }
    assert found["first", (QA, "sha256:a")].since == early.verified_at


@pytest.mark.parametrize("state", [each for each in State if each is not State.VERIFIED])
def test_what_is_not_verified_has_not_arrived(story: Story, state: State) -> None:
    story.promotion_in(state)

    assert arrivals(story.ledger, story.policy) == {}


def test_a_place_is_known_by_its_connection_or_its_registry(story: Story) -> None:
    verified(story, "1-stable")
    ledger, policy = story.ledger, story.policy

    assert arrivals(ledger, policy)
    assert arrivals(ledger, policy, connection_id="other", registry="qa.example:5000")
    assert arrivals(ledger, policy, connection_id="other") == {}
    assert arrivals(ledger) == {}
    verified(story, "2-stable", "sha256:b", target_repository="uat/website")
    assert {image for _, image in arrivals(ledger, policy)} == {(QA, "sha256:a")}


def test_what_was_rolled_back_has_arrived_no_more_until_it_comes_again(story: Story) -> None:
    old = verified(story, "old-stable", "sha256:b", target_tag="now")
    new = verified(story, "new-stable", "sha256:a", target_tag="now")
    roll_back(story, new, to=old.target_digest)

    undone = arrivals(story.ledger, story.policy)[story.policy, (QA, "sha256:a")]
    kept = verified(story, "kept-stable", "sha256:a")
    again = arrivals(story.ledger, story.policy)[story.policy, (QA, "sha256:a")]

    assert undone == Arrival(new, is_undone=True)
    assert again == Arrival(kept, is_undone=False)


def test_a_digest_was_seen_first_at_its_first_stay_under_any_tag(story: Story) -> None:
    moments: list[datetime] = []
    for digests in ({"x": "sha256:a"}, {"x": "sha256:b"}, {"x": "sha256:a", "y": "sha256:b"}):
        moments.append(story.now())
        story.scan_tags(story.run(), digests, moments[-1])

    found = story.ledger.upstream.first_sights(
        story.policy, [(REPOSITORY, f"sha256:{each}") for each in "abc"]
    )

    assert found == {
        (REPOSITORY, "sha256:a"): moments[0],
        (REPOSITORY, "sha256:b"): moments[1],
    }
    assert story.ledger.upstream.first_sights("another", [(REPOSITORY, "sha256:a")]) == {}


@pytest.mark.parametrize(
    ("states", "is_open", "is_open_again"),
    [
        ((State.VERIFIED, State.VERIFIED), False, False),
        ((State.VERIFIED, State.SUPERSEDED), False, True),
        ((State.VERIFIED, State.FAILED), True, True),
        ((State.VERIFIED, State.PLANNED), True, True),
        ((State.SUPERSEDED, State.COPIED), True, True),
    ],
)
def test_a_decision_is_open_while_one_of_its_promotions_has_not_ended(
    story: Story, states: tuple[State, ...], *, is_open: bool, is_open_again: bool
) -> None:
    run = story.run()
    seen = story.scan(run, stable="sha256:a")["stable"]
    decision = story.decide(run, seen)
    planned = story.ledger.plan(
        run,
        [new_promotion(decision, "stable", target_key=str(n)) for n, _ in enumerate(states)],
        story.now(),
    )
    for promotion, state in zip(planned, states, strict=True):
        bring(story, promotion, state)

    assert story.candidate_tags(run) == (["stable"] if is_open else [])
    assert story.candidate_tags(run, decide_again=True) == (["stable"] if is_open_again else [])
    entries = story.ledger.history()
    assert [entry.promotion and entry.promotion.id for entry in entries] == [
        each.id for each in planned
    ]
    assert {entry.decision.promotion_ids for entry in entries} == {
        tuple(each.id for each in planned)
    }
    assert story.ledger.history(limit=1) == entries[:1]


def bring(story: Story, promotion: Promotion, to: State) -> None:
    if to is State.FAILED:
        story.fail(promotion)
    elif to is State.SUPERSEDED:
        story.ledger.supersede(promotion.id, reason="moved", at=story.now(), run_key="x")
    elif to is not State.PLANNED:
        for step in (State.COPIED, State.TAGGED, State.VERIFIED):
            if promotion.state is not to:
                promotion = story.advance(promotion, step)


def test_a_decision_without_a_promotion_is_open_and_a_new_one_takes_over_what_is_there(
    story: Story,
) -> None:
    run = story.run("1")
    seen = story.scan(run, stable="sha256:a")["stable"]
    done = story.advance_to_verified(story.plan(run, seen))
    run = story.run("2")
    story.scan(run, stable="sha256:a")
    decision = story.decide(run, seen)
    assert (decision.outcome, decision.promotion_ids) == (Outcome.PROMOTE, ())
    assert story.candidate_tags(run) == ["stable"]

    (again,) = story.ledger.plan(run, [new_promotion(decision, "stable")], story.now())

    assert again == done
    assert story.candidate_tags(run) == []
    assert story.ledger.promotions_to({(seen.id, done.target_key), (seen.id, "other")}) == {
        (seen.id, done.target_key): done
    }
