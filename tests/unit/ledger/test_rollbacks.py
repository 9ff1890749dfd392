"""What the ledger tells of target tags that were set back; PostgreSQL runs these too."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from image_promotion.ledger.records import Kind, Observation, Promotion, Reason, Run, State
from image_promotion.ledger.rollbacks import KnownPlace, NewRollback
from image_promotion.ledger.tables import promotions
from image_promotion.ledger.withdrawals import is_rolled_back
from tests.support.ledger_story import REPOSITORY, Story

REASON = Reason("rollback of qa/website:stable", "held", "", "it crashes", "ada")
_A, _B, _C = "sha256:a", "sha256:b", "sha256:c"
REGISTRY, TARGET = "qa.example:5000", "qa/website"


def promote(
    story: Story, digest: str, *, tag: str = "stable", former: str | None = None
) -> Promotion:
    """Let a new stay of the source tag set the target tag."""
    run = story.run()
    observed = story.scan_tags(run, {"1-stable": digest})["1-stable"]
    planned = story.plan(
        run, observed, target_tag=tag, target_digest=digest, existing_tag="overwrite"
    )
    copied = story.advance(planned, State.COPIED)
    story.ledger.rollbacks.note_former(copied.id, former)
    return story.advance(story.advance(copied, State.TAGGED), State.VERIFIED)


def new_rollback(first: Promotion, former: str | None) -> NewRollback:
    return NewRollback(
        source_repository=first.source_repository,
        source_tag=first.source_tag,
        digest=first.digest,
        source_connection=first.source_connection,
        source_registry=first.source_registry,
        target_connection=first.target_connection,
        target_registry=first.target_registry,
        target_repository=first.target_repository,
        target_tag=first.target_tag,
        target_digest=first.target_digest,
        former_digest=former,
        reason=REASON,
    )


def plan(story: Story, first: Promotion, former: str | None, run: Run | None = None) -> Promotion:
    run = run or story.ledger.begin_run(
        story.version(),
        key=f"back/{story.now()}",
        kind="rollback",
        at=story.now(),
        started_by="ada",
    )
    return story.ledger.rollbacks.plan(run, new_rollback(first, former), story.now())


def test_a_rollback_is_a_promotion_of_its_own_beside_the_first(story: Story) -> None:
    first = promote(story, _A)
    promote(story, _B, former=_A)

    back = plan(story, first, _B)

    assert back.id != first.id
    assert (back.kind, back.state) == (Kind.ROLLBACK, State.PLANNED)
    assert (back.observation_id, back.target_digest) == (first.observation_id, _A)
    assert (back.former_digest, back.existing_tag) == (_B, "overwrite")
    assert story.ledger.rollbacks.reason(back) == REASON
    assert story.ledger.rollbacks.first_of(back) == first
    run = story.ledger.run(back.run_key)
    assert run
    assert run.started_by == "ada"
    assert [each.promotion_ids for each in story.ledger.run_decisions(run)] == [(back.id,)]


def test_planning_in_the_same_run_again_finds_it(story: Story) -> None:
    first = promote(story, _A)
    promote(story, _B, former=_A)
    run = story.run(key="back")

    assert plan(story, first, _B, run) == plan(story, first, _B, run)


def test_an_image_that_no_scan_saw_gets_a_stay_that_never_counts(story: Story) -> None:
    first = promote(story, _A)
    theirs = replace(first, source_repository=REPOSITORY, digest=_C, target_digest=_C)

    back = plan(story, theirs, _A)
    again = plan(story, replace(theirs, digest=_B, target_digest=_B), _C)

    seen = [entry.observation for entry in story.ledger.history() if entry.promotion != first]
    assert [(each.digest, each.ordinal) for each in seen] == [(_B, -1), (_C, 0)]
    assert {back.digest, again.digest} == {_C, _B}
    later = story.scan_tags(story.run(), {"1-stable": "sha256:d"})["1-stable"]
    assert isinstance(later, Observation)
    assert later.ordinal == 2


def test_scans_neither_take_up_nor_overtake_a_rollback(story: Story) -> None:
    first = promote(story, _A)
    promote(story, _B, former=_A)
    back = plan(story, first, _B)

    run = story.run()
    story.scan(run)

    assert story.ledger.promotion(back.id).state is State.PLANNED
    assert story.candidate_tags(run, decide_again=True) == []


def test_a_rollback_claims_its_tag_unless_it_failed(story: Story) -> None:
    first = promote(story, _A)
    promote(story, _B, former=_A)
    back = plan(story, first, _B)

    claims = story.ledger.tag_claims(REGISTRY, TARGET, ["stable"])
    assert claims == {"stable": (back,)}
    story.fail(back)
    assert story.ledger.tag_claims(REGISTRY, TARGET, ["stable"]) == {}


def test_what_a_rollback_supersedes_does_not_come_back_as_a_new_stay(story: Story) -> None:
    first = promote(story, _A)
    second = promote(story, _B, former=_A)
    story.advance_to_verified(plan(story, first, _B))
    forth = plan(story, second, _A)
    plan(story, second, _A)  # takes the place of the one before

    stays = story.scan_tags(story.run(), {"1-stable": _B})

    assert story.ledger.promotion(forth.id).state is State.SUPERSEDED
    assert forth.observation_id == second.observation_id
    assert stays["1-stable"].id == second.observation_id


def test_a_promotion_counts_as_undone_from_the_plan_of_its_rollback(story: Story) -> None:
    first = promote(story, _A)
    second = promote(story, _B, former=_A)
    ids = [first.id, second.id]
    undone = story.ledger.rollbacks.rolled_back
    assert undone(ids) == frozenset()

    back = plan(story, first, _B)
    assert undone(ids) == {second.id}
    story.fail(back)
    assert undone(ids) == frozenset()
    story.advance_to_verified(story.ledger.resume(back.id, at=story.now(), run_key="again"))
    assert undone(ids) == {second.id}


def test_one_that_is_set_again_by_a_rollback_counts_again(story: Story) -> None:
    first = promote(story, _A)
    second = promote(story, _B, former=_A)
    back = story.advance_to_verified(plan(story, first, _B))

    forth = plan(story, second, _A)
    assert story.ledger.rollbacks.rolled_back([second.id, back.id]) == {second.id, back.id}
    story.advance_to_verified(forth)

    assert story.ledger.rollbacks.rolled_back([second.id, back.id]) == {back.id}
    assert story.ledger.rollbacks.withdrawn(REGISTRY, TARGET, [_A, _B]).keys() == {_A}


def test_the_condition_serves_queries_of_others(story: Story) -> None:
    first = promote(story, _A)
    second = promote(story, _B, former=_A)
    plan(story, first, _B)
    of = promotions.alias()

    with story.ledger.rollbacks._database.reading() as connection:
        verified = select(of.c.id).where(of.c.state == State.VERIFIED, ~is_rolled_back(of))
        assert connection.execute(verified).scalars().all() == [first.id]
    assert second.id != first.id


def test_what_was_rolled_back_is_withdrawn_by_its_source_digest_too(story: Story) -> None:
    run = story.run()
    observed = story.scan_tags(run, {"1-stable": "sha256:index"})["1-stable"]
    planned = story.plan(run, observed, target_tag="stable", target_digest=_B)
    story.advance_to_verified(planned)
    first = promote(story, _A, former=_B)
    withdrawn = story.ledger.rollbacks.withdrawn
    assert withdrawn(REGISTRY, TARGET, ["sha256:index", _B, _A]) == {}

    back = plan(story, planned, _A)
    story.advance_to_verified(back)
    plan(story, first, _B)

    assert withdrawn(REGISTRY, TARGET, ["sha256:index"]).keys() == {"sha256:index"}
    assert withdrawn(REGISTRY, "qa/other", ["sha256:index"]) == {}


def test_the_history_of_a_tag_is_that_of_every_policy_in_the_order_of_setting(
    story: Story,
) -> None:
    other = Story(story.ledger, "another")
    first, second = promote(story, _A), promote(other, _B, former=_A)
    promote(story, _C, tag="other-tag")

    history = story.ledger.rollbacks.tag_history(REGISTRY, TARGET, "stable")

    assert [each.id for each in history] == [first.id, second.id]
    assert [each.former_digest for each in history] == [None, _A]


def test_it_is_known_where_a_policy_set_a_tag_and_where_an_image_was(story: Story) -> None:
    first = promote(story, _A)

    place = KnownPlace(first.target_connection, REGISTRY, TARGET)
    source = KnownPlace(first.source_connection, first.source_registry, REPOSITORY)
    assert story.ledger.rollbacks.tags_set(story.policy, "stable") == (place,)
    assert story.ledger.rollbacks.tags_set("another", "stable") == ()
    assert story.ledger.rollbacks.known_places(_A) == (place, source)


def test_a_former_digest_is_noted_only_before_the_tag_is_set(story: Story) -> None:
    promotion = promote(story, _A, former=_C)

    story.ledger.rollbacks.note_former(promotion.id, _A)

    assert story.ledger.promotion(promotion.id).former_digest == _C
