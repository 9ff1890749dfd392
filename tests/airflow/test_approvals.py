"""People decide in a running Airflow: through its API, as the users they are."""

from __future__ import annotations

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from sandbox.airflow_process import AirflowRequestError
from tests.support.airflow_server import RunningAirflow

FORBIDDEN = 403
TRIES = 15


def answer_until_taken(
    airflow: RunningAirflow,
    user: str,
    run: tuple[str, str],
    task_id: str = "approve",
    *,
    button: str = "Approve",
    **fields: object,
) -> None:
    """Answer, and again when Airflow has lost the answer.

    Airflow 3.3.2 may fail a task that is answered in the moment in which it parks, and try it anew.
    """
    for _ in range(TRIES):
        airflow.ask(*run, task_id)
        airflow.answer(user, *run, task_id, button=button, fields=fields)
        if airflow.outcome_of_answer(*run, task_id) == "success":
            return
    raise AssertionError(f"{task_id} still waits after {TRIES} answers of {user}")


def test_two_people_decide_about_each_image_and_what_they_reject_is_never_copied(
    airflow: RunningAirflow,
) -> None:
    dag_id = "books-to-qa"
    digests = airflow.push("books", "1-stable", "2-stable", "3-stable")
    names = {tag: f"dev/books:{tag}" for tag in digests}
    airflow.add_policy(
        dag_id,
        {
            "name": dag_id,
            "source": {"connection": "dev_registry", "repository": "dev/books"},
            "target": {"connection": "qa_registry", "repository": "qa/books"},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            "approval": {"approvals": 2, "users": ["alice", "bob"]},
        },
    )
    first = (dag_id, airflow.trigger(dag_id))

    question = airflow.ask(*first)
    assert question["subject"] == "Promote 3 images by books-to-qa?"
    assert digests["1-stable"] in question["body"]
    assert question["params"]["reject_images"]["schema"]["examples"] == list(names.values())
    with pytest.raises(AirflowRequestError) as refused:
        airflow.answer("mallory", *first)
    assert refused.value.status == FORBIDDEN
    answer_until_taken(
        airflow,
        "alice",
        first,
        reject_images=[names["2-stable"]],
        leave_images=[names["3-stable"]],
        comment="fine",
    )

    question = airflow.ask(*first, "approve_2")
    assert "approved by alice (fine)" in question["body"]
    assert question["params"]["reject_images"]["schema"]["examples"] == [names["1-stable"]]
    # Who has approved is no second person.
    airflow.answer("alice", *first, "approve_2")
    assert airflow.outcome_of_answer(*first, "approve_2") == "asked again"

    # A run that comes in between asks about what is left alone, and about nothing else.
    second = (dag_id, airflow.trigger(dag_id))
    assert airflow.ask(*second)["params"]["reject_images"]["schema"]["examples"] == [
        names["3-stable"]
    ]
    answer_until_taken(airflow, "bob", second, button="Reject", comment="not this one")
    assert airflow.wait(*second) == "success"
    assert not airflow.holds("books", digests["1-stable"])

    answer_until_taken(airflow, "bob", first, "approve_2")
    assert airflow.wait(*first) == "success"

    assert airflow.promoted("books") == {"1-stable": digests["1-stable"]}
    assert airflow.holds("books", digests["1-stable"])
    assert not airflow.holds("books", digests["2-stable"])
    assert not airflow.holds("books", digests["3-stable"])
    promotions = {
        each.promotion.source_tag: each.promotion
        for each in airflow.history(dag_id)
        if each.promotion
    }
    assert {tag: each.state for tag, each in promotions.items()} == {
        "1-stable": State.VERIFIED,
        "2-stable": State.SUPERSEDED,
        "3-stable": State.SUPERSEDED,
    }
    with Ledger.open(airflow.ledger_url) as ledger:
        said = ledger.approvals.of_promotions([each.id for each in promotions.values()])
    assert {
        tag: [(word.who, str(word.verdict), word.comment) for word in said[each.id]]
        for tag, each in promotions.items()
    } == {
        "1-stable": [("alice", "approved", "fine"), ("bob", "approved", "")],
        "2-stable": [("alice", "rejected", "fine")],
        "3-stable": [("bob", "rejected", "not this one")],
    }


def test_an_override_by_the_form_promotes_and_says_whose_it_is(airflow: RunningAirflow) -> None:
    dag_id = "maps-to-qa"
    digests = airflow.push("maps", "1-rc1")
    airflow.add_policy(
        dag_id,
        {
            "name": dag_id,
            "source": {"connection": "dev_registry", "repository": "dev/maps"},
            "target": {"connection": "qa_registry", "repository": "qa/maps"},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            "overrides": "allow",
        },
    )

    run_id = airflow.trigger(dag_id, tags=["1-rc1"], override_reason="the shop is down")
    assert airflow.wait(dag_id, run_id) == "success"

    assert airflow.promoted("maps") == digests
    (entry,) = airflow.history(dag_id)
    assert entry.decision.overridden_by == airflow.process.username
    assert entry.decision.override_reason == "the shop is down"
    with Ledger.open(airflow.ledger_url) as ledger:
        run = ledger.run(f"{dag_id}/{run_id}")
    assert run
    assert run.started_by == airflow.process.username
