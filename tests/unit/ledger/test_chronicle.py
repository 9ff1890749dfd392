"""The history page by page, and what policies came to; on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.dialects import sqlite

from image_promotion.ledger import chronicle
from image_promotion.ledger import tables as t
from image_promotion.ledger.chronicle import Filter, Tally
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import NewDecision, Outcome, Promotion, State
from tests.support.ledger_story import NOT_HELD, REPOSITORY, Story

POLICIES = ("website-to-qa", "shop-to-qa")
DIGESTS = [f"sha256:{number:02x}{'ab' * 31}" for number in range(12)]


def _promote(story: Story, tag: str, digest: str, state: State = State.VERIFIED) -> Promotion:
    run = story.run()
    seen = story.scan_tags(run, {tag: digest}, complete=False)[tag]
    promotion = story.plan(run, seen, target_tag=f"{tag}-qa", target_digest=digest)
    if state is State.FAILED:
        return story.fail(promotion)
    for step in (State.COPIED, State.TAGGED, State.VERIFIED):
        if promotion.state is not state:
            promotion = story.advance(promotion, step)
    return promotion


@pytest.fixture
def promoted(ledger: Ledger) -> list[Promotion]:
    """Twelve promotions of two policies by turns, the newest last."""
    stories = [Story(ledger, policy) for policy in POLICIES]
    # One clock, so that the order of time is that of the list.
    stories[1]._minutes = stories[0]._minutes
    found = []
    for number, digest in enumerate(DIGESTS):
        state = State.FAILED if number % 4 == 3 else State.VERIFIED
        found.append(_promote(stories[number % 2], f"{number}-stable", digest, state))
    return found


def _ids(ledger: Ledger, wanted: Filter) -> list[int]:
    return [each.promotion.id for each in ledger.chronicle.page(wanted).entries]


def _pages(ledger: Ledger, wanted: Filter, size: int) -> Iterator[list[int]]:
    after = None
    while True:
        page = ledger.chronicle.page(wanted, size=size, after=after)
        yield [each.promotion.id for each in page.entries]
        if page.next is None:
            return
        after = page.next


@pytest.mark.parametrize("size", [1, 4, 5, 12, 50])
def test_page_after_page_gives_each_promotion_once_the_newest_first(
    ledger: Ledger, promoted: list[Promotion], size: int
) -> None:
    pages = list(_pages(ledger, Filter(), size))

    newest_first = [each.id for each in promoted[::-1]]
    assert [each for page in pages for each in page] == newest_first
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert [each.promotion.id for each in ledger.chronicle.every(Filter())] == newest_first


def test_promotions_that_were_planned_at_one_moment_are_not_lost_between_pages(
    ledger: Ledger, promoted: list[Promotion]
) -> None:
    with ledger._database.writing() as connection:
        connection.execute(update(t.promotions).values(planned_at=promoted[0].planned_at))

    found = [each for page in _pages(ledger, Filter(), 5) for each in page]

    assert found == sorted((each.id for each in promoted), reverse=True)


def test_what_is_asked_for_is_found_and_nothing_else(
    ledger: Ledger, promoted: list[Promotion]
) -> None:
    def ids(*places: int) -> list[int]:
        return [promoted[place].id for place in places]

    assert _ids(ledger, Filter(policies=["shop-to-qa"])) == ids(11, 9, 7, 5, 3, 1)
    assert _ids(ledger, Filter(policies=POLICIES)) == ids(*range(11, -1, -1))
    assert _ids(ledger, Filter(policies=[])) == []
    assert _ids(ledger, Filter(policies=["no-such"])) == []
    assert _ids(ledger, Filter(state=State.FAILED)) == ids(11, 7, 3)
    assert _ids(ledger, Filter(policies=["shop-to-qa"], state=State.FAILED)) == ids(11, 7, 3)
    assert _ids(ledger, Filter(policies=["website-to-qa"], state=State.FAILED)) == []
    assert _ids(ledger, Filter(tag="4-stable")) == ids(4)
    assert _ids(ledger, Filter(tag="4-stable-qa")) == ids(4)
    assert _ids(ledger, Filter(tag="4")) == []
    assert _ids(ledger, Filter(tag="4-stable", policies=["shop-to-qa"])) == []
    assert len(_ids(ledger, Filter(repository=REPOSITORY))) == 12
    assert len(_ids(ledger, Filter(repository="qa/website"))) == 12
    assert _ids(ledger, Filter(repository="qa/website", tag="4-stable")) == ids(4)
    assert _ids(ledger, Filter(repository="qa")) == []
    assert _ids(ledger, Filter(digest=DIGESTS[10])) == ids(10)
    assert _ids(ledger, Filter(digest=DIGESTS[10][:9])) == ids(10)
    assert _ids(ledger, Filter(digest="sha256:0")) == ids(*range(11, -1, -1))
    assert _ids(ledger, Filter(digest="sha256:%")) == []
    assert _ids(ledger, Filter(digest=DIGESTS[10], policies=["shop-to-qa"])) == []
    since, until = promoted[2].planned_at, promoted[5].planned_at
    assert _ids(ledger, Filter(since=since, until=until)) == ids(4, 3, 2)
    assert _ids(ledger, Filter(since=since, until=until, state=State.FAILED)) == ids(3)
    assert _ids(ledger, Filter(run=promoted[4].run_key)) == ids(4)
    assert _ids(ledger, Filter(run=promoted[4].run_key, policies=["shop-to-qa"])) == []


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "planned_at"),
        (Filter(policies=["shop-to-qa"]), "policy_planned_at"),
        (Filter(policies=["shop-to-qa"], state=State.FAILED), "policy_state_planned_at"),
        (Filter(state=State.FAILED), "state_planned_at"),
        (Filter(tag="4-stable"), "_tag_planned_at"),
        (Filter(repository="qa/website"), "_repository_planned_at"),
    ],
)
def test_each_page_is_read_along_an_index_and_nothing_is_sorted(
    ledger: Ledger, promoted: list[Promotion], wanted: Filter, index: str
) -> None:
    after = chronicle.Place(promoted[6].planned_at, promoted[6].id)
    with ledger._database.reading() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            # Of twelve rows PostgreSQL reads all; how it would read many is the question.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_sort = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        for query in chronicle.queries(connection, wanted, 51, after):
            compiled = query.compile(
                dialect=connection.dialect, compile_kwargs={"literal_binds": True}
            )
            explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
            sql = str(compiled).replace("%%", "%")
            rows = connection.exec_driver_sql(f"{explain} {sql}".replace("%", "%%"))
            plan = "\n".join(str(row) for row in rows)
            # Of several indexes that lead there PostgreSQL may take another one.
            assert (index if is_sqlite else "_planned_at on ") in plan, plan
            assert "B-TREE" not in plan, plan
            # What PostgreSQL calls incremental sorts only those of one moment.
            assert not re.search(r"(?<!Incremental )Sort  \(cost", plan), plan


def test_a_digest_and_what_waits_are_found_by_indexes(
    ledger: Ledger, promoted: list[Promotion]
) -> None:
    with ledger._database.reading() as connection:
        if connection.dialect.name != "sqlite":
            return
        (query, *_) = chronicle.queries(connection, Filter(digest=DIGESTS[3]), 51, None)
        compiled = str(
            query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        )
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all())
        assert "ix_ledger_observations_digest" in plan
        assert promoted


def test_of_two_things_the_rarer_leads(
    ledger: Ledger, promoted: list[Promotion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a tag that thousands have would be walked through for the few of one policy."""
    asked = Filter(tag="4-stable", repository="qa/website")
    with ledger._database.reading() as connection:
        queries = chronicle.queries(connection, asked, 51, None)
        assert {"source_tag =" in str(each) or "target_tag =" in str(each) for each in queries} == {
            True
        }
        with_all = Filter(tag="nothing", repository="qa/website")
        assert promoted
        monkeypatch.setattr(chronicle, "COUNTED", 1)
        assert len(chronicle.queries(connection, with_all, 51, None)) == 2


def test_what_a_process_of_an_earlier_version_planned_appears_with_the_next_plan(
    ledger: Ledger, promoted: list[Promotion]
) -> None:
    with ledger._database.writing() as connection:
        connection.execute(
            update(t.promotions)
            .where(t.promotions.c.id == promoted[0].id)
            .values(policy=None, source_repository=None, source_tag=None)
        )
    assert promoted[0].id not in _ids(ledger, Filter(policies=["website-to-qa"]))

    story = Story(ledger, "another")
    ledger.plan(story.run(), [], story.now())

    assert promoted[0].id in _ids(ledger, Filter(policies=["website-to-qa"]))
    assert _ids(ledger, Filter(tag="0-stable")) == [promoted[0].id]


def test_a_policy_is_told_by_days_and_by_what_stands_in_its_way(
    ledger: Ledger, promoted: list[Promotion]
) -> None:
    story = Story(ledger)
    run = story.run(key="waiting")
    seen = story.scan_tags(run, {"w-stable": DIGESTS[0], "c-stable": DIGESTS[1]}, complete=False)
    for tag, outcome in (("w-stable", Outcome.WAIT), ("c-stable", Outcome.CONFLICT)):
        ledger.decide(run, [NewDecision(seen[tag].id, outcome, NOT_HELD)], story.now())
    now = max(each.verified_at for each in promoted if each.verified_at)

    found = ledger.chronicle.tallies([*POLICIES, "never-ran"], now + timedelta(days=2))

    assert found["website-to-qa"].promoted == (0, 0, 0, 0, 6, 0, 0)
    assert (found["website-to-qa"].waiting, found["website-to-qa"].conflicts) == (1, 1)
    assert (found["shop-to-qa"].failing, found["shop-to-qa"].promoted[4]) == (3, 3)
    assert found["shop-to-qa"].last == promoted[11]
    assert found["never-ran"] == Tally()
    later = ledger.chronicle.tallies(POLICIES, now + timedelta(days=8))
    assert sum(later["website-to-qa"].promoted) == 0


def test_what_waited_for_a_tag_that_is_gone_waits_no_more(ledger: Ledger) -> None:
    story = Story(ledger)
    run = story.run()
    seen = story.scan_tags(run, {"w-stable": DIGESTS[0]})["w-stable"]
    ledger.decide(run, [NewDecision(seen.id, Outcome.WAIT, NOT_HELD)], story.now())
    story.scan_tags(story.run(), {})

    assert ledger.chronicle.tallies([story.policy], story.now())[story.policy].waiting == 0


def test_a_policy_is_remembered_as_it_ran_last(ledger: Ledger) -> None:
    story = Story(ledger)
    story.run("1")
    story.run("2")
    story.run("1")

    documents = ledger.chronicle.documents([story.policy, "never-ran"])

    assert documents == {story.policy: '{"version": "1"}'}
