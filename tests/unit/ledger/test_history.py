from __future__ import annotations

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, State
from tests.support.ledger_story import Story


def test_history_is_newest_first_and_ends_at_the_limit(story: Story) -> None:
    run = story.run()
    tags = {f"t{number}": "sha256:a" for number in range(5)}
    for observation in story.scan_tags(run, tags).values():
        story.decide(run, observation, Outcome.REJECT)

    entries = story.ledger.history(limit=3)

    assert [entry.observation.tag for entry in entries] == ["t4", "t3", "t2"]
    assert all(entry.promotion is None for entry in entries)


def test_history_shows_each_decision_with_its_promotion_as_it_stands(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED, tag="stable")

    (entry,) = story.ledger.history()

    assert entry.promotion == promotion
    assert entry.decision.promotion_ids == (promotion.id,)
    assert entry.observation.id == promotion.observation_id


def test_history_can_be_of_one_policy(ledger: Ledger) -> None:
    Story(ledger, "one").promotion_in(State.PLANNED)
    Story(ledger, "two").promotion_in(State.PLANNED)

    assert [entry.observation.policy for entry in ledger.history(policy="one")] == ["one"]
    assert [entry.observation.policy for entry in ledger.history()] == ["two", "one"]
    assert ledger.history(policy="three") == ()


def test_standings_are_the_last_decisions_about_the_tags_that_are_there_now(story: Story) -> None:
    run = story.run()
    seen = story.scan(
        run, stays="sha256:a", moves="sha256:b", goes="sha256:c", undecided="sha256:d"
    )
    for tag in ("stays", "moves", "goes"):
        story.decide(run, seen[tag], Outcome.WAIT)
    story.decide(run, seen["stays"], Outcome.REJECT)
    story.scan(story.run(), stays="sha256:a", moves="sha256:e", undecided="sha256:d")

    standing = story.ledger.standings(story.policy)

    assert [(entry.observation.tag, entry.decision.outcome) for entry in standing] == [
        ("stays", Outcome.REJECT)
    ]
    assert story.ledger.standings("another-policy") == ()


def test_standings_show_each_promotion_as_it_stands(story: Story) -> None:
    promotion = story.promotion_in(State.FAILED)

    (entry,) = story.ledger.standings(story.policy)

    assert entry.promotion == promotion
