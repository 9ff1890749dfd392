from __future__ import annotations

from datetime import timedelta

from image_promotion.ledger import tables
from image_promotion.ledger.attestations import Attestation
from image_promotion.ledger.database import Database
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.lives import MOST, TagLife
from image_promotion.ledger.rechecks import NewRecheck
from image_promotion.ledger.records import Outcome, Reason, State, Verdict
from image_promotion.ledger.rollbacks import NewRollback
from tests.support.ledger_story import NOT_HELD, REPOSITORY, Story

TAG = "1.4-stable"


def life(story: Story, tag: str = TAG) -> TagLife:
    found = story.ledger.lives.of_tag(story.policy, REPOSITORY, tag)
    assert found
    return found


def test_a_tag_that_was_never_seen_has_no_life(story: Story) -> None:
    assert story.ledger.lives.of_tag(story.policy, REPOSITORY, TAG) is None
    assert story.ledger.lives.repositories(story.policy, TAG) == ()


def test_each_stay_has_its_decisions_and_promotions(story: Story) -> None:
    first = story.run()
    story.decide(first, story.scan_tags(first, {TAG: "sha256:a"})[TAG], Outcome.REJECT, NOT_HELD)
    second = story.run()
    moved = story.scan_tags(second, {TAG: "sha256:b"})[TAG]
    promotion = story.plan(second, moved)
    story.scan_tags(third := story.run(), {})

    told = life(story)

    assert story.ledger.lives.repositories(story.policy, TAG) == (REPOSITORY,)
    assert [each.observation.digest for each in told.stays] == ["sha256:a", "sha256:b"]
    old, new = told.stays
    assert told.first_seen_at == old.observation.first_seen_at
    assert [each.decision.outcome for each in old.judgements] == [Outcome.REJECT]
    assert (old.passages, old.is_present, new.is_present) == ((), False, False)
    assert new.gone_at is not None
    (passage,) = new.passages
    assert passage.promotion.id == promotion.id
    assert [each.to_state for each in passage.steps] == [State.PLANNED, State.SUPERSEDED]
    assert set(told.runs) == {first.key, second.key, third.key}
    assert {each.kind for each in told.runs.values()} == {"scheduled"}


def test_a_decision_that_lasts_is_one_with_its_first_and_its_last_run(story: Story) -> None:
    runs = [story.run() for _ in range(3)]
    for run in runs:
        story.decide(run, story.scan_tags(run, {TAG: "sha256:a"})[TAG], Outcome.WAIT)

    ((judgement,),) = [each.judgements for each in life(story).stays]

    assert judgement.decision.times_asked == 3
    assert (judgement.run_key, judgement.last_run_key) == (runs[0].key, runs[2].key)


def test_of_a_long_life_the_end_is_told_and_how_much_went_before(story: Story, url: str) -> None:
    run = story.run()
    seen = story.scan_tags(run, {TAG: "sha256:a"})[TAG]
    last = story.decide(run, seen, Outcome.WAIT)
    many = 10_000
    copied = {
        column.name: column
        for column in tables.decisions.columns
        if column.name not in ("id", "is_latest")
    }
    database = Database.open(url)
    with database.writing() as connection:
        row = connection.execute(tables.decisions.select()).mappings().one()
        values = {name: row[column] for name, column in copied.items()}
        connection.execute(tables.decisions.insert(), [{**values, "is_latest": False}] * (many - 1))
    database.close()

    told = life(story)

    (stay,) = told.stays
    assert len(stay.judgements) == MOST
    assert told.earlier_decisions == many - MOST
    assert stay.judgements[-1].decision.id == last.id + many - 1


def test_stays_and_promotions_that_are_not_told_are_counted(story: Story) -> None:
    for number in range(MOST + 3):
        run = story.run()
        story.plan(run, story.scan_tags(run, {TAG: f"sha256:{number}"})[TAG])

    told = life(story)

    assert [each.observation.ordinal for each in told.stays] == list(range(4, MOST + 4))
    assert (told.earlier_stays, told.earlier_decisions, told.earlier_promotions) == (3, 3, 3)
    assert all(len(each.passages) == 1 for each in told.stays)


def test_what_people_said_and_proof_and_second_thoughts_are_marks_of_the_promotion(
    story: Story, ledger: Ledger
) -> None:
    run = story.run()
    seen = story.scan_tags(run, {TAG: "sha256:a"})[TAG]
    promotion = story.plan(run, seen)
    at = story.now()
    ledger.approvals.ask(run, [promotion.id], at=at, expires_at=at + timedelta(days=7))
    assert life(story).stays[0].passages[0].asked_until == at + timedelta(days=7)
    ledger.approvals.say(
        run, Verdict.APPROVED, [promotion.id], who="ann", comment="looks good", at=story.now()
    )
    ledger.approvals.close(run, [promotion.id], story.now())
    for step in (State.COPIED, State.TAGGED, State.VERIFIED):
        story.advance(promotion, step)
    ledger.attestations.note(
        Attestation(promotion.id, "sha256:proof", "key-1", story.now(), run.key)
    )
    for outcome in (Outcome.PROMOTE, Outcome.REJECT, Outcome.REJECT):
        ledger.rechecks.record(run, [NewRecheck(promotion.id, outcome, NOT_HELD)], story.now())

    (passage,) = life(story).stays[0].passages
    (marks,) = ledger.lives.marks(ledger.history())

    assert passage.asked_until is None
    assert marks == passage.marks
    assert [(each.who, each.comment) for each in marks.words] == [("ann", "looks good")]
    assert marks.attestation
    assert marks.attestation.digest == "sha256:proof"
    assert [each.outcome for each in passage.looks] == [Outcome.PROMOTE, Outcome.REJECT]
    assert marks.last_look == passage.looks[-1]
    assert not marks.is_rolled_back


def test_an_override_is_told_with_the_decision_and_with_the_promotion(story: Story) -> None:
    run = story.run()
    seen = story.scan_tags(run, {TAG: "sha256:a"})[TAG]
    promotion = story.plan(run, seen)
    story.decide(run, seen, Outcome.PROMOTE, NOT_HELD, overridden_by="ann", override_reason="now")

    last = life(story).stays[0].judgements[-1]

    assert last.override
    assert (last.override.who, last.override.why) == ("ann", "now")
    (entry, *_) = story.ledger.history()
    (marks, *_) = story.ledger.lives.marks([entry])
    assert marks.override == last.override
    assert promotion.id


def test_a_rollback_is_told_with_every_image_whose_target_tag_it_sets_back(
    story: Story, ledger: Ledger
) -> None:
    promotion = story.promotion_in(State.VERIFIED, tag=TAG)
    run = story.run()
    rollback = ledger.rollbacks.plan(
        run,
        NewRollback(
            source_repository=REPOSITORY,
            source_tag="1.3-stable",
            digest="sha256:old",
            source_connection=promotion.source_connection,
            source_registry=promotion.source_registry,
            target_connection=promotion.target_connection,
            target_registry=promotion.target_registry,
            target_repository=promotion.target_repository,
            target_tag=promotion.target_tag,
            target_digest="sha256:old",
            former_digest=promotion.target_digest,
            reason=Reason("rollback", "held", "", "it broke", "ann"),
        ),
        story.now(),
    )

    told = life(story)

    assert [each.id for each in told.rollbacks] == [rollback.id]
    assert told.stays[0].passages[0].marks.is_rolled_back
    of_other = life(story, "1.3-stable")
    assert [each.promotion.id for stay in of_other.stays for each in stay.passages] == [rollback.id]


def test_history_finds_by_source_tag_target_tag_digest_and_state(story: Story) -> None:
    run = story.run()
    seen = story.scan(run, one="sha256:abc", two="sha256:abd")
    one = story.plan(run, seen["one"], target_tag="renamed")
    story.decide(run, seen["two"], Outcome.REJECT, NOT_HELD)
    ledger = story.ledger

    def tags(**wanted: str) -> list[str]:
        state = State(wanted.pop("state")) if "state" in wanted else None
        found = ledger.history(tag=wanted.get("tag"), digest=wanted.get("digest"), state=state)
        return [each.observation.tag for each in found]

    assert tags(tag="one") == tags(tag="renamed") == ["one"]
    assert tags(tag="two") == ["two"]
    assert tags(digest="sha256:ab") == ["two", "one"]
    assert tags(digest="sha256:abd") == ["two"]
    assert tags(digest="sha256:a%") == []
    assert tags(state="planned") == ["one"]
    assert tags(state="verified") == tags(tag="nothing") == []
    assert one.target_tag == "renamed"
