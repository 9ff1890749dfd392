from __future__ import annotations

from image_promotion.ledger.attestations import Attestation
from image_promotion.ledger.records import State, Verdict
from tests.support.ledger_story import HELD, NOT_HELD, Story, new_promotion


def attested(story: Story, promotion_id: int, digest: str = "sha256:statement") -> Attestation:
    note = Attestation(promotion_id, digest, "0123456789abcdef", story.now(), "attesting")
    story.ledger.attestations.note(note)
    return note


def missing(story: Story, *versions: str) -> list[str]:
    hashes = [f"sha256:{version}" for version in versions or "1"]
    return [each.source_tag for each in story.ledger.attestations.missing(story.policy, hashes)]


def test_which_promotions_have_their_statement_is_known(story: Story) -> None:
    with_it = story.promotion_in(State.VERIFIED, tag="1-stable")
    without = story.promotion_in(State.VERIFIED, tag="2-stable")
    note = attested(story, with_it.id)

    found = story.ledger.attestations.of_promotions([with_it.id, without.id])

    assert found == {with_it.id: note}
    assert missing(story) == ["2-stable"]


def test_what_is_noted_again_stays_as_it_was_noted_first(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    first = attested(story, promotion.id)
    attested(story, promotion.id)

    assert story.ledger.attestations.of_promotions([promotion.id]) == {promotion.id: first}


def test_a_statement_that_was_made_anew_takes_the_place_of_the_lost_one(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    attested(story, promotion.id)
    second = attested(story, promotion.id, "sha256:another")

    assert story.ledger.attestations.of_promotions([promotion.id]) == {promotion.id: second}


def test_only_what_is_verified_can_lack_its_statement(story: Story) -> None:
    for number, state in enumerate(State):
        story.promotion_in(state, tag=f"{number}-stable")
    verified = list(State).index(State.VERIFIED)

    assert missing(story) == [f"{verified}-stable"]


def test_what_another_version_of_the_policy_or_another_policy_decided_lacks_nothing(
    story: Story,
) -> None:
    old = story.run("1")
    promotion = story.plan(old, story.scan_tags(old, {"1-stable": "sha256:a"})["1-stable"])
    story.advance_to_verified(promotion)
    other = Story(story.ledger, "another")
    other.promotion_in(State.VERIFIED)

    assert missing(story, "2") == []
    assert missing(story, "2", "1") == ["1-stable"]
    versions = story.ledger.attestations.policy_versions(story.policy)
    assert [each.hash for each in versions] == ["sha256:1"]


def test_what_lies_behind_a_promotion_is_told_with_what_people_said(story: Story) -> None:
    run = story.run()
    observation = story.scan_tags(run, {"1-stable": "sha256:a"})["1-stable"]
    promotion = story.plan(run, observation)
    for who in ("ada", "mary"):
        story.ledger.approvals.say(
            run, Verdict.APPROVED, [promotion.id], who=who, comment="", at=story.now()
        )
    background = story.ledger.attestations.background(story.advance_to_verified(promotion))

    assert background.run == story.ledger.run(run.key)
    assert background.policy_hash == run.policy_hash
    assert background.first_seen_at == observation.first_seen_at
    assert background.reasons == HELD
    assert (background.overridden_by, background.override_reason) == (None, None)
    assert [word.who for word in background.words] == ["ada", "mary"]


def test_the_decision_that_counts_is_the_last_that_asked_for_it_before_it_was_copied(
    story: Story,
) -> None:
    first = story.run("1")
    observation = story.scan_tags(first, {"1-stable": "sha256:a"})["1-stable"]
    promotion = story.plan(first, observation)
    second = story.run("2")
    story.scan_tags(second, {"1-stable": "sha256:a"})
    overriding = story.decide(
        second,
        observation,
        reasons=NOT_HELD,
        overridden_by="grace",
        override_reason="the fix is out",
    )
    story.ledger.plan(second, [new_promotion(overriding, "1-stable")], story.now())
    verified = story.advance_to_verified(promotion)
    before = story.ledger.attestations.background(verified)
    third = story.run("3")
    story.scan_tags(third, {"1-stable": "sha256:a"})
    later = story.decide(third, observation)
    story.ledger.plan(third, [new_promotion(later, "1-stable")], story.now())

    background = story.ledger.attestations.background(verified)

    assert background == before
    assert (background.overridden_by, background.override_reason) == ("grace", "the fix is out")
    assert background.reasons == NOT_HELD
    assert background.policy_hash == "sha256:2"
    assert background.decided_at == overriding.decided_at
    assert background.run.key == first.key
