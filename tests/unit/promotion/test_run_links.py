from __future__ import annotations

import pytest

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Kind, State
from image_promotion.promotion.run_links import NO_LINKS, RunLinks

LINKS = RunLinks("https://airflow.example/base/")
RUN = KnownRun("website/manual__2026-11-24T12:00:00+00:00", "manual", None)
OF_RUN = "https://airflow.example/base/dags/website/runs/manual__2026-11-24T12%3A00%3A00%2B00%3A00"


def test_a_run_of_airflow_is_at_its_dag_and_its_id() -> None:
    assert LINKS.run(RUN) == OF_RUN


@pytest.mark.parametrize(
    ("kind", "state", "task"),
    [
        (Kind.PROMOTION, State.PLANNED, "/tasks/evaluate"),
        (Kind.PROMOTION, State.COPIED, "/tasks/promote.copy"),
        (Kind.PROMOTION, State.VERIFIED, "/tasks/promote.verify"),
        (Kind.ROLLBACK, State.TAGGED, "/tasks/retag"),
        (Kind.PROMOTION, State.FAILED, ""),
        (Kind.PROMOTION, State.SUPERSEDED, ""),
    ],
)
def test_a_step_is_at_the_task_that_took_it_where_that_is_known(
    kind: Kind, state: State, task: str
) -> None:
    assert LINKS.task(RUN, kind, state) == OF_RUN + task


def test_there_is_no_address_of_a_run_that_airflow_does_not_know() -> None:
    by_hand = KnownRun("command-line/1", "command line", None)
    assert LINKS.run(by_hand) is None
    assert LINKS.task(by_hand, Kind.PROMOTION, State.COPIED) is None
    assert LINKS.run(None) is None
    assert LINKS.run(KnownRun("no slash", "manual", None)) is None


def test_where_airflows_address_is_not_known_there_are_none() -> None:
    assert NO_LINKS.run(RUN) is None
