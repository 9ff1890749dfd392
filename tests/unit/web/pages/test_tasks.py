"""From a step to the task instance that took it, and from a task instance to what it carries."""

from __future__ import annotations

import json

import pytest

from image_promotion.ledger.records import Promotion, State
from image_promotion.promotion.batches import divide
from image_promotion.web.pages.task_lines import read_lines
from tests.unit.web.pages.conftest import Pages

POLICY = "website-to-qa"
RUN = "manual__1"
DIGESTS = [f"sha256:{number:x}{'ab' * 31}f" for number in range(5)]


def _promote_five(pages: Pages) -> list[Promotion]:
    """Let one run promote five images, of which each line of tasks carries two or three."""
    story = pages.story
    pages.write_policy()
    run = story.run(key=f"{POLICY}/{RUN}")
    tags = {f"1.{number}-stable": digest for number, digest in enumerate(DIGESTS)}
    seen = story.scan_tags(run, tags)
    promoted = [
        story.plan(run, seen[tag], target_tag=tag, target_digest=digest)
        for tag, digest in tags.items()
    ]
    for each in promoted:
        for step in (State.COPIED, State.TAGGED, State.VERIFIED):
            pages.ledger.advance(each.id, step, at=story.now(), run_key=run.key)
    batches = divide(promoted, most=2)
    assert sorted(len(each.promotion_ids) for each in batches) == [2, 3]
    pages.airflow.carried[POLICY, RUN] = tuple(frozenset(each.promotion_ids) for each in batches)
    return promoted


@pytest.mark.parametrize(("number", "index"), [(0, 0), (1, 0), (2, 1), (4, 1)])
def test_each_image_of_a_batch_leads_to_the_log_of_the_task_instance_that_carried_it(
    pages: Pages, number: int, index: int
) -> None:
    _promote_five(pages)

    page = pages.seen_by(POLICY).get(f"/images/{DIGESTS[number]}").text

    base = f"/airflow/dags/{POLICY}/runs/{RUN}/tasks"
    assert f'href="{base}/promote.verify/mapped/{index}" data-airflow' in page
    assert f'href="{base}/promote.copy/mapped/{index}" data-airflow' in page


def test_where_nobody_knows_the_instance_the_task_is_shown_with_all_of_them(pages: Pages) -> None:
    _promote_five(pages)
    pages.airflow.carried.clear()

    page = pages.seen_by(POLICY).get(f"/images/{DIGESTS[0]}").text

    assert f'/runs/{RUN}/tasks/promote.verify" data-airflow' in page


def test_a_mapped_task_instance_shows_the_promotions_that_it_carries(pages: Pages) -> None:
    promoted = _promote_five(pages)
    client = pages.seen_by(POLICY)

    page = client.get(f"/tasks/{POLICY}/{RUN}?task=promote.retag&map_index=1").text
    answer = client.get(f"/api/promotions?run={POLICY}/{RUN}&map_index=1").json()

    assert {each["id"] for each in answer["promotions"]} == {each.id for each in promoted[2:]}
    for number, each in enumerate(promoted):
        assert (f"<b>{each.target_tag}</b>" in page) == (number >= 2)
    # The list is leafed through, and exported, under the same condition.
    assert 'name="map_index" value="1"' in page
    assert "map_index=1" in page.partition("Export all that match")[2]


@pytest.mark.parametrize("task", ["scan", "report", "promote.copy"])
def test_an_instance_that_is_not_mapped_shows_the_promotions_of_its_run(
    pages: Pages, task: str
) -> None:
    _promote_five(pages)

    page = pages.seen_by(POLICY).get(f"/tasks/{POLICY}/{RUN}?task={task}&map_index={{MAP_INDEX}}")

    assert page.text.count("<b>1.") == 10


def test_an_instance_of_which_nobody_knows_what_it_carries_shows_its_run_and_says_so(
    pages: Pages,
) -> None:
    _promote_five(pages)
    pages.airflow.carried.clear()

    page = pages.seen_by(POLICY).get(f"/tasks/{POLICY}/{RUN}?task=promote.copy&map_index=0").text

    assert "is not known; these are its run&#39;s" in page
    assert page.count("<b>1.") == 10


def test_an_instance_beyond_the_last_line_carries_nothing(pages: Pages) -> None:
    _promote_five(pages)

    page = pages.seen_by(POLICY).get(f"/tasks/{POLICY}/{RUN}?task=promote.copy&map_index=7").text

    assert "This task instance carries no promotion that you may see" in page


def test_a_run_that_promoted_nothing_says_where_to_look(pages: Pages) -> None:
    page = pages.seen_by(POLICY).get(f"/runs/{POLICY}/scheduled__1").text

    assert "This run has promoted nothing that you may see" in page


LINES = [{"promotion_ids": [1, 2], "image": "a"}, {"promotion_ids": [3], "image": "b"}]


@pytest.mark.parametrize("value", [LINES, json.dumps(LINES)], ids=["list", "JSON"])
def test_lines_are_read_as_airflow_keeps_them(value: object) -> None:
    assert read_lines(value) == (frozenset({1, 2}), frozenset({3}))


@pytest.mark.parametrize("value", [None, 7, "s3://elsewhere/1", {"a": 1}, [1], [{"image": "a"}]])
def test_what_is_no_list_of_lines_is_none(value: object) -> None:
    assert read_lines(value) is None
