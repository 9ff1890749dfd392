"""What the ledger tells of tags that are taken away; PostgreSQL runs these too."""

from __future__ import annotations

from image_promotion.ledger.records import State
from tests.support.ledger_story import Story
from tests.unit.ledger.test_rollbacks import REGISTRY, TARGET, plan, promote

_A, _B, _C = "sha256:a", "sha256:b", "sha256:c"


def test_a_policy_s_tags_are_those_it_set_last_and_verified(story: Story) -> None:
    other = Story(story.ledger, "another")
    promote(story, _A, tag="theirs")
    promote(other, _B, tag="theirs", former=_A)
    kept = promote(story, _B, tag="ours")
    failed = promote(story, _C, tag="unsure")
    run = story.run()
    story.plan(run, story.scan_tags(run, {"1-stable": _A})["1-stable"], target_tag="planned")

    assert failed.state is State.VERIFIED
    assert story.ledger.removals.tags_of(story.policy) == (kept, failed)


def test_a_tag_that_was_set_back_is_that_of_the_rollback(story: Story) -> None:
    first = promote(story, _A)
    promote(story, _B, former=_A)
    back = story.advance_to_verified(plan(story, first, _B))

    assert story.ledger.removals.tags_of(story.policy) == (back,)
    histories = story.ledger.removals.histories(REGISTRY, TARGET, ["stable", "nowhere"])
    assert [each.target_digest for each in histories["stable"]] == [_A, _B, _A]
    assert "nowhere" not in histories


def test_a_removal_is_noted_before_and_after_and_may_be_repeated(story: Story) -> None:
    promotion = promote(story, _A)
    removals = story.ledger.removals

    for key in ("killed", "again"):
        removals.begin(promotion, at=story.now(), run_key=key, detail="superfluous")
        assert removals.removed([promotion.id]) == frozenset()
    for _ in range(2):
        removals.finish(promotion, at=story.now(), run_key="again")

    assert removals.removed([promotion.id, 4711]) == {promotion.id}
