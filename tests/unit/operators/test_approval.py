"""The task `approve` with a stand-in for Airflow: what it asks, and what it does with answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from airflow.providers.standard.exceptions import HITLTriggerEventError
from airflow.providers.standard.operators import hitl
from airflow.sdk import Context
from airflow.sdk.exceptions import TaskAwaitingInput

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import NewPromotion, Outcome, PolicyVersion, State
from image_promotion.operators.approval import ApproveOperator
from image_promotion.policy.model import Policy
from image_promotion.promotion import approval_form
from tests.support.ledger_story import Story, new_promotion
from tests.support.policies import policy_with

KEY = "website-stable-to-qa/manual"


class Waiting:
    """A run of a policy with two planned promotions, and what Airflow is told of its task."""

    def __init__(self, ledger: Ledger, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = ledger
        self.policy = policy
        self.forms: list[dict[str, Any]] = []
        monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **form: self.forms.append(form))
        run = ledger.begin_run(
            PolicyVersion(policy.name, policy.hash, policy.document()),
            key=KEY,
            kind="manual",
            at=datetime.now(UTC),
        )
        story = Story(ledger, policy.name)
        seen = story.scan_tags(run, {"1-stable": "sha256:a", "2-stable": "sha256:b"})
        planned: list[NewPromotion] = []
        for tag, observation in seen.items():
            decision = story.decide(run, observation, Outcome.PROMOTE)
            planned.append(new_promotion(decision, tag, target_digest=observation.digest))
        self.ids = [each.id for each in ledger.plan(run, planned, datetime.now(UTC))]
        lines = [{"promotion_ids": [each], "image": str(each)} for each in self.ids]
        ti = SimpleNamespace(id=uuid4(), xcom_pull=lambda **_: lines)
        run_of_airflow = SimpleNamespace(dag_id=policy.name, run_id="manual")
        self.context = cast("Context", {"ti": ti, "task_instance": ti, "dag_run": run_of_airflow})

    def task(self, *, is_first: bool = True, is_last: bool = True) -> ApproveOperator:
        """Make the task anew, as each process of Airflow's does."""
        return ApproveOperator(
            task_id="approve", policy=self.policy, is_first=is_first, is_last=is_last
        )

    def answer(
        self, user: str | None, button: str = "Approve", *, is_last: bool = True, **fields: object
    ) -> list[list[int]]:
        """Let the task go on with an answer; return the promotions it passes on, line by line."""
        event = {
            "chosen_options": [button],
            "params_input": fields,
            "responded_by_user": None if user is None else {"id": user, "name": user},
            "responded_at": datetime.now(UTC),
            "timedout": False,
        }
        done = self.task(is_last=is_last).execute_complete(self.context, event)
        return [line["promotion_ids"] for line in done]

    def state(self, number: int) -> State:
        return self.ledger.promotion(self.ids[number]).state


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("IMAGE_PROMOTION_LEDGER", url)
    target = tmp_path / "qa"
    target.mkdir()
    document = {
        "conn_type": "container_registry",
        "host": target.as_uri(),
        "extra": {"registry_type": "oci_layout"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_QA_REGISTRY", json.dumps(document))
    with Ledger.open(url) as opened:
        yield opened


@pytest.fixture
def waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    policy = policy_with(approval={"users": ["alice", "bob"], "timeout": "2h"})
    return Waiting(ledger, policy, monkeypatch)


def test_it_asks_with_a_form_and_parks_for_as_long_as_the_policy_says(waiting: Waiting) -> None:
    with pytest.raises(TaskAwaitingInput) as parked:
        waiting.task().execute(waiting.context)

    assert parked.value.timeout == waiting.policy.approval.timeout  # type: ignore[union-attr]
    (form,) = waiting.forms
    assert form["subject"] == "Promote 2 images by website-stable-to-qa?"
    choices = form["params"][approval_form.REJECTED_FIELD]["schema"]["examples"]
    assert choices == ["dev/website:1-stable", "dev/website:2-stable"]
    assert form["body"].count("which holds nothing now") == len(choices)
    assert form["options"] == [approval_form.APPROVE, approval_form.REJECT]
    assert set(form["params"]) == {
        approval_form.REJECTED_FIELD,
        approval_form.LEFT_FIELD,
        approval_form.COMMENT_FIELD,
    }


def test_it_passes_on_what_is_approved_and_nothing_else(waiting: Waiting) -> None:
    with pytest.raises(TaskAwaitingInput):
        waiting.task().execute(waiting.context)

    passed_on = waiting.answer("alice", reject_images=["dev/website:2-stable"])

    assert passed_on == [[waiting.ids[0]]]
    assert waiting.state(1) is State.SUPERSEDED


def test_it_passes_on_nothing_when_all_is_rejected(waiting: Waiting) -> None:
    with pytest.raises(TaskAwaitingInput):
        waiting.task().execute(waiting.context)

    assert waiting.answer("bob", "Reject") == []


@pytest.mark.parametrize("user", ["mallory", None])
def test_it_asks_again_when_somebody_else_has_answered(waiting: Waiting, user: str | None) -> None:
    with pytest.raises(TaskAwaitingInput):
        waiting.task().execute(waiting.context)

    with pytest.raises(TaskAwaitingInput):
        waiting.answer(user)

    assert len(waiting.forms) == 2
    assert waiting.state(0) is State.PLANNED


def test_it_asks_nobody_when_it_is_tried_again_after_the_answer(waiting: Waiting) -> None:
    with pytest.raises(TaskAwaitingInput):
        waiting.task().execute(waiting.context)
    waiting.answer("alice")

    done = waiting.task().execute(waiting.context)

    assert [line["promotion_ids"] for line in done] == [[each] for each in waiting.ids]


def test_it_goes_on_without_what_nobody_decided_in_time(waiting: Waiting) -> None:
    with pytest.raises(TaskAwaitingInput):
        waiting.task().execute(waiting.context)

    event = {"error": "The response timeout has passed.", "error_type": "timeout"}
    assert waiting.task().execute_complete(waiting.context, event) == []

    assert waiting.state(0) is State.PLANNED
    assert waiting.ledger.approvals.open_requests(waiting.ids, datetime.now(UTC)) == {}


def test_what_airflow_cannot_read_fails_the_task(waiting: Waiting) -> None:
    event = {"error": "no such option", "error_type": "validation"}

    with pytest.raises(HITLTriggerEventError):
        waiting.task().execute_complete(waiting.context, event)


def test_the_first_of_two_tasks_goes_on_with_one_answer_and_the_second_waits_for_another_person(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(ledger, policy_with(approval={"approvals": 2}), monkeypatch)
    with pytest.raises(TaskAwaitingInput):
        waiting.task(is_last=False).execute(waiting.context)
    assert waiting.answer("alice", is_last=False) == []
    with pytest.raises(TaskAwaitingInput):
        waiting.task(is_first=False).execute(waiting.context)
    assert "approved by alice" in waiting.forms[-1]["body"]

    with pytest.raises(TaskAwaitingInput):
        waiting.answer("alice")

    assert waiting.answer("bob") == [[each] for each in waiting.ids]


def test_airflow_itself_refuses_others_where_its_users_ids_are_names(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "some.module.SimpleAuthManager")
    assert waiting.task().assigned_users == [
        {"id": "alice", "name": "alice"},
        {"id": "bob", "name": "bob"},
    ]

    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "some.module.FabAuthManager")

    assert waiting.task().assigned_users is None
