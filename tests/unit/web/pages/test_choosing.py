"""Which policies the overview shows, and in which order."""

from __future__ import annotations

import pytest

from image_promotion.ledger.records import Outcome, State
from image_promotion.web.pages.airflow_state import DagState
from tests.support.ledger_story import Story
from tests.unit.web.pages.conftest import Pages

NAMES = ("a-enabled", "b-paused", "c-failing", "d-waiting")


@pytest.fixture
def four(pages: Pages) -> Pages:
    for name in NAMES:
        pages.write_policy(name)
    pages.airflow.states["b-paused"] = DagState(is_paused=True, next_run_at=None, last_run=None)
    failing, waiting = (Story(pages.ledger, name) for name in NAMES[2:])
    failing.promotion_in(State.FAILED)
    run = waiting.run()
    seen = waiting.scan_tags(run, {"1.5-stable": "sha256:b"})["1.5-stable"]
    waiting.decide(run, seen, Outcome.WAIT)
    return pages


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", NAMES),
        ("show=enabled", ("a-enabled", "c-failing", "d-waiting")),
        ("show=paused", ("b-paused",)),
        ("show=failing", ("c-failing",)),
        ("show=waiting", ("d-waiting",)),
        ("show=waiting&search=paused", ()),
        ("sort=failing", ("c-failing", "a-enabled", "b-paused", "d-waiting")),
        ("sort=waiting", ("d-waiting", "a-enabled", "b-paused", "c-failing")),
        ("sort=last run", ("a-enabled", "c-failing", "d-waiting", "b-paused")),
        ("sort=next run", ("a-enabled", "c-failing", "d-waiting", "b-paused")),
    ],
)
def test_policies_are_shown_as_they_are_asked_for(
    four: Pages, query: str, names: tuple[str, ...]
) -> None:
    client = four.seen_by(*NAMES)

    answer = client.get(f"/api/overview?{query}").json()
    page = client.get(f"/?{query}").text

    assert [each["name"] for each in answer["policies"]] == list(names)
    rows = page.partition("<tbody>")[2]
    found = sorted((rows.index(f">{name}</a>"), name) for name in NAMES if f">{name}</a>" in rows)
    assert [name for _, name in found] == list(names)


def test_a_choice_that_finds_nothing_says_so_and_can_be_cleared(four: Pages) -> None:
    page = four.seen_by("a-enabled").get("/?show=paused").text

    assert "No policy that is paused is there that you may see" in page
    assert ">Clear</a>" in page


def test_what_is_no_choice_is_passed_over_by_the_page_and_refused_by_the_api(four: Pages) -> None:
    client = four.seen_by(*NAMES)

    assert client.get("/?show=purple&sort=purple").status_code == 200
    assert client.get("/api/overview?show=purple").status_code == 422
