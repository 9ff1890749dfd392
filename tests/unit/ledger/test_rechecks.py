from __future__ import annotations

from datetime import timedelta

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.rechecks import NewRecheck, Recheck
from image_promotion.ledger.records import Outcome, Promotion, State
from tests.support.ledger_story import HELD, NOT_HELD, Story

REGISTRY, REPOSITORY = "qa.example:5000", "qa/website"
A_WHILE = timedelta(days=1000)


def due(story: Story, *, limit: int = 100, age: timedelta = timedelta()) -> list[int]:
    found = story.ledger.rechecks.due(story.policy, before=story.now() - age, limit=limit)
    return [each.id for each in found]


def look(
    story: Story, promotion: Promotion, outcome: Outcome, reasons: tuple[object, ...] = HELD
) -> Recheck:
    new = NewRecheck(promotion.id, outcome, reasons)  # type: ignore[arg-type]
    (recorded,) = story.ledger.rechecks.record(story.run(), [new], story.now())
    return recorded


def failed(story: Story, *digests: str) -> list[str]:
    return sorted(
        story.ledger.rechecks.failed_digests(REGISTRY, REPOSITORY, digests or ["sha256:a"])
    )


def test_a_verified_promotion_is_due_until_it_is_looked_at_and_again_after_a_while(
    story: Story,
) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    assert due(story) == [promotion.id]
    assert due(story, age=A_WHILE) == []

    look(story, promotion, Outcome.PROMOTE)

    assert due(story, age=timedelta(minutes=3)) == []
    assert due(story) == [promotion.id]


def test_those_looked_at_longest_ago_come_first_and_only_so_many(story: Story) -> None:
    first, second, third = (
        story.promotion_in(State.VERIFIED, tag=tag) for tag in ("1-stable", "2-stable", "3-stable")
    )
    look(story, first, Outcome.PROMOTE)

    assert due(story) == [second.id, third.id, first.id]
    assert due(story, limit=2) == [second.id, third.id]


def test_what_is_not_verified_is_not_due(story: Story) -> None:
    for number, state in enumerate((State.PLANNED, State.TAGGED, State.FAILED, State.SUPERSEDED)):
        story.promotion_in(state, tag=f"{number}-stable")

    assert due(story) == []


def test_of_a_target_tag_only_the_last_promotion_is_due(story: Story) -> None:
    run = story.run()
    old = story.plan(run, story.scan(run, latest="sha256:a")["latest"])
    story.advance_to_verified(old)
    later = story.run()
    new = story.plan(
        later, story.scan(later, latest="sha256:b")["latest"], target_digest="sha256:b"
    )

    assert due(story) == [old.id]
    story.advance(new, State.COPIED)
    story.advance(new, State.TAGGED)
    assert due(story) == []
    story.advance(new, State.VERIFIED)
    assert due(story) == [new.id]


def test_a_tag_that_another_policy_has_overwritten_is_no_longer_due(
    story: Story, ledger: Ledger
) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    other = Story(ledger, "another")
    for _ in range(30):
        other.now()
    other.promotion_in(State.VERIFIED)

    assert promotion.id not in due(story)
    assert len(due(other)) == 1


def test_a_look_that_finds_the_same_is_the_same_row(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)

    first = look(story, promotion, Outcome.REJECT, NOT_HELD)
    second = look(story, promotion, Outcome.REJECT, NOT_HELD)
    third = look(story, promotion, Outcome.PROMOTE)

    assert (second.id, second.first_at) == (first.id, first.first_at)
    assert second.last_at > first.last_at
    assert second.run_key != first.run_key
    assert third.id != first.id
    assert third.reasons == HELD


def test_a_run_lists_the_looks_it_had_last(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    first = look(story, promotion, Outcome.REJECT, NOT_HELD)
    assert story.ledger.rechecks.of_run(first.run_key) == (first,)

    second = look(story, promotion, Outcome.PROMOTE)

    assert story.ledger.rechecks.of_run(first.run_key) == ()
    assert story.ledger.rechecks.of_run(second.run_key) == (second,)


def test_a_digest_fails_from_the_look_that_says_no_until_one_says_yes(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    assert failed(story) == []

    said_no = look(story, promotion, Outcome.REJECT, NOT_HELD)
    assert failed(story) == ["sha256:a"]
    assert story.ledger.rechecks.failing(story.policy) == (said_no,)
    # That nobody knows takes nothing back.
    look(story, promotion, Outcome.WAIT)
    look(story, promotion, Outcome.CONFLICT)
    assert failed(story) == ["sha256:a"]

    look(story, promotion, Outcome.PROMOTE)
    assert failed(story) == []
    assert story.ledger.rechecks.failing(story.policy) == ()


def test_a_digest_fails_only_where_it_was_promoted_to(story: Story) -> None:
    look(story, story.promotion_in(State.VERIFIED), Outcome.REJECT, NOT_HELD)

    find = story.ledger.rechecks.failed_digests
    assert set(find(REGISTRY, REPOSITORY, ["sha256:a", "sha256:b"])) == {"sha256:a"}
    assert find(REGISTRY, "qa/other", ["sha256:a"]) == {}
    assert find("prod.example", REPOSITORY, ["sha256:a"]) == {}
    assert find(REGISTRY, REPOSITORY, []) == {}


def test_a_digest_that_was_overwritten_stays_failed_and_is_no_longer_listed(story: Story) -> None:
    run = story.run()
    old = story.plan(run, story.scan(run, latest="sha256:a")["latest"])
    story.advance_to_verified(old)
    look(story, old, Outcome.REJECT, NOT_HELD)
    later = story.run()
    new = story.plan(
        later, story.scan(later, latest="sha256:b")["latest"], target_digest="sha256:b"
    )
    story.advance_to_verified(new)

    assert failed(story, "sha256:a", "sha256:b") == ["sha256:a"]
    assert story.ledger.rechecks.failing(story.policy) == ()


def test_a_digest_that_its_policy_promotes_once_more_fails_no_longer(story: Story) -> None:
    look(story, story.promotion_in(State.VERIFIED), Outcome.REJECT, NOT_HELD)

    story.promotion_in(State.VERIFIED, tag="1.4.1-stable")

    assert failed(story) == []


def test_one_failure_has_one_name_until_a_look_has_said_yes(story: Story) -> None:
    promotion = story.promotion_in(State.VERIFIED)
    names = []
    for outcome, reasons in (
        (Outcome.REJECT, NOT_HELD),
        (Outcome.REJECT, (*NOT_HELD, *HELD)),
        (Outcome.PROMOTE, HELD),
        (Outcome.REJECT, NOT_HELD),
    ):
        found = look(story, promotion, outcome, reasons)
        names.append(story.ledger.rechecks.episodes([found])[promotion.id])

    first, second, _, again = names
    assert first == second
    assert again != first
