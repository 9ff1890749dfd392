"""Single images: where a digest is, and what was decided about it; on both databases."""

from __future__ import annotations

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, State
from tests.support.ledger_story import HELD, REPOSITORY, Story

DIGEST, CHOSEN, OTHER = (f"sha256:{letter * 64}" for letter in "abc")


def test_an_image_is_followed_from_policy_to_policy(ledger: Ledger) -> None:
    to_qa, to_prod = Story(ledger, "to-qa"), Story(ledger, "to-prod")
    for story in (to_qa, to_prod):
        run = story.run()
        seen = story.scan_tags(run, {"1-stable": DIGEST, "2-stable": OTHER})
        promotion = story.plan(run, seen["1-stable"], target_digest=DIGEST)
        story.advance_to_verified(promotion)

    found = ledger.images.whereabouts(DIGEST, ["to-qa", "to-prod"])

    assert found is not None
    assert [each.observation.policy for each in found.sights] == ["to-qa", "to-prod"]
    assert all(each.observation.tag == "1-stable" for each in found.sights)
    (passage,) = found.sights[0].passages
    assert [step.to_state for step in passage.steps] == [
        State.PLANNED,
        State.COPIED,
        State.TAGGED,
        State.VERIFIED,
    ]
    assert found.sights[0].decision is not None
    assert found.sights[0].decision.reasons == HELD
    assert found.runs[found.sights[0].decided_by].kind == "scheduled"


def test_only_what_may_be_seen_is_told(ledger: Ledger) -> None:
    for policy in ("to-qa", "secret"):
        story = Story(ledger, policy)
        story.scan_tags(story.run(), {"1-stable": DIGEST})

    found = ledger.images.whereabouts(DIGEST, ["to-qa"])

    assert found is not None
    assert [each.observation.policy for each in found.sights] == ["to-qa"]
    assert ledger.images.whereabouts(DIGEST, []) is None
    assert ledger.images.whereabouts(OTHER, ["to-qa"]) is None


def test_an_image_of_chosen_platforms_is_found_by_either_digest(ledger: Ledger) -> None:
    story = Story(ledger)
    run = story.run()
    seen = story.scan_tags(run, {"1-stable": DIGEST})["1-stable"]
    story.plan(run, seen, target_digest=CHOSEN)

    for digest in (DIGEST, CHOSEN):
        found = ledger.images.whereabouts(digest, [story.policy])
        assert found is not None
        assert set(found.digests) == {DIGEST, CHOSEN}
        assert len(found.sights) == 1


def test_the_last_decision_is_told_and_that_the_tag_has_moved(ledger: Ledger) -> None:
    story = Story(ledger)
    run = story.run()
    seen = story.scan_tags(run, {"1-stable": DIGEST})["1-stable"]
    story.decide(run, seen, Outcome.WAIT)
    story.decide(run, seen, Outcome.REJECT)
    story.scan_tags(story.run(), {"1-stable": OTHER})

    found = ledger.images.whereabouts(DIGEST, [story.policy])

    assert found is not None
    (sight,) = found.sights
    assert not sight.is_present
    assert sight.decision is not None
    assert sight.decision.outcome is Outcome.REJECT


def test_evidence_is_told_for_the_ways_of_gathering_that_were_asked_for(ledger: Ledger) -> None:
    story = Story(ledger)
    for configuration in ("ours", "theirs"):
        content = {(REPOSITORY, DIGEST): configuration.encode()}
        ledger.keep_evidence("dev.example", configuration, content, story.now())

    (found,) = ledger.images.evidence([DIGEST, OTHER], ["ours"])

    assert (found.repository, found.content) == (REPOSITORY, b"ours")
    assert ledger.images.evidence([OTHER], ["ours"]) == ()
