"""Copies that run now, as the pages and the API show them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from image_promotion.ledger.progress import Progress
from image_promotion.ledger.records import Promotion
from tests.unit.web.pages.conftest import NOW, Pages

POLICY = "website-to-qa"
RUN = f"{POLICY}/manual__1"
DIGEST = f"sha256:{'ab' * 32}"
OTHER = f"sha256:{'cd' * 32}"


def _copying(pages: Pages, *, seconds_ago: int = 1) -> Promotion:
    """Let a copy be a quarter done after ten seconds."""
    pages.write_policy()
    story = pages.story
    run = story.run(key=RUN)
    seen = story.scan_tags(run, {"1.4-stable": DIGEST})["1.4-stable"]
    promotion = story.plan(run, seen, target_digest=DIGEST)
    at = NOW - timedelta(seconds=seconds_ago)
    pages.ledger.progress.note(
        [Progress(promotion.id, RUN, 4, 1, 80_000_000, 20_000_000, at - timedelta(seconds=10), at)]
    )
    return promotion


@pytest.mark.parametrize("path", ["/", f"/policies/{POLICY}", f"/images/{DIGEST}", "/running"])
def test_a_running_copy_is_shown_with_bytes_blobs_rate_and_time_left(
    pages: Pages, path: str
) -> None:
    _copying(pages)

    page = pages.seen_by(POLICY).get(path).text

    assert "20.0 MB of 80.0 MB · 1 of 4 blobs · 2.0 MB/s · 30.0 s left" in page
    assert '<progress aria-labelledby="copy1" max="80000000" value="20000000">' in page


def test_the_api_has_what_runs_and_leads_to_the_log_of_its_task(pages: Pages) -> None:
    promotion = _copying(pages)
    pages.airflow.carried[POLICY, "manual__1"] = (frozenset(), frozenset({promotion.id}))

    (found,) = pages.seen_by(POLICY).get("/api/running").json()["copies"]

    assert (found["promotion_id"], found["bytes_done"]) == (promotion.id, 20_000_000)
    assert (found["bytes_per_second"], found["seconds_left"]) == (2_000_000, 30)
    assert found["task_path"] == f"/dags/{POLICY}/runs/manual__1/tasks/promote.copy/mapped/1"


@pytest.mark.parametrize(
    ("query", "number"),
    [
        (f"policy={POLICY}", 1),
        ("policy=another", 0),
        (f"digest={DIGEST}", 1),
        (f"digest={OTHER}", 0),
    ],
)
def test_only_the_copies_that_are_asked_for_are_told(pages: Pages, query: str, number: int) -> None:
    _copying(pages)

    answer = pages.seen_by(POLICY).get(f"/api/running?{query}").json()

    assert len(answer["copies"]) == number


def test_whoever_may_not_see_the_dag_sees_no_copy_of_it(pages: Pages) -> None:
    _copying(pages)
    stranger = pages.seen_by("another")

    assert stranger.get("/api/running").json() == {"copies": []}
    assert "1.4-stable" not in stranger.get("/running").text


def test_a_copy_whose_process_was_killed_runs_no_more(pages: Pages) -> None:
    _copying(pages, seconds_ago=61)

    page = pages.seen_by(POLICY).get("/").text

    assert "Nothing is being copied now" in page


def test_a_part_of_the_page_is_fetched_and_no_whole_page(pages: Pages) -> None:
    _copying(pages)

    part = pages.seen_by(POLICY).get("/running").text

    assert "<html" not in part
    assert 'data-running-copies="1"' in part
