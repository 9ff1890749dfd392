from __future__ import annotations

from datetime import timedelta

from image_promotion.ledger.records import State
from tests.support.ledger_story import START, Story


def test_what_was_told_is_known_by_policy_event_and_subject(story: Story) -> None:
    story.run()
    notices = story.ledger.notices
    subjects = ["promotion/1", "x" * 5000, "\N{SNOWMAN}"]

    notices.note(story.policy, "promoted", subjects, at=story.now())

    assert notices.told(story.policy, "promoted", [*subjects, "promotion/2"]) == set(subjects)
    assert notices.told(story.policy, "failed", subjects) == frozenset()
    assert notices.told("another", "promoted", subjects) == frozenset()


def test_noting_something_twice_changes_nothing(story: Story) -> None:
    story.run()
    notices = story.ledger.notices

    notices.note(story.policy, "promoted", ["one"], at=story.now())
    notices.note(story.policy, "promoted", ["one", "two", "two"], at=story.now())
    notices.note(story.policy, "promoted", [], at=story.now())

    assert notices.told(story.policy, "promoted", ["one", "two"]) == {"one", "two"}


def test_promotions_are_no_rollbacks_to_be_told(story: Story) -> None:
    story.promotion_in(State.VERIFIED)

    assert story.ledger.notices.rollbacks(story.policy, since=START - timedelta(days=1)) == ()
