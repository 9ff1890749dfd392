"""Target tags set back by the DAG `rollback`, and taken away at the end of a policy's DAG."""

from __future__ import annotations

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Kind
from image_promotion.rollback_dag import build_rollback_dag
from tests.support.onlooker import Onlooker
from tests.support.policy_runs import FinishedRun, PolicyRuns

MOVING = {"tag": "stable", "existing_tag": "overwrite"}
DONE = dict.fromkeys(("plan", "copy", "retag", "verify", "attest", "announce", "report"), "success")


def set_back(policy: PolicyRuns, **conf: object) -> FinishedRun:
    dag = build_rollback_dag(policy.folder)["rollback"]
    wish = {"policy": policy.name, "tag": "stable", "reason": "it crashes"}
    run = dag.test(run_conf={**wish, **conf})
    return FinishedRun(
        run_id=run.run_id,
        state=str(run.state),
        tasks={(each.task_id, each.map_index): each for each in run.get_task_instances()},
    )


def promote_two(policy: PolicyRuns) -> tuple[str, str]:
    """Promote one image after another under one tag; return their digests."""
    policy.write(target=MOVING)
    first = policy.push("1-stable").digest
    assert policy.run().state == "success"
    with Onlooker(policy.dev_url) as source:
        source.delete_tag(policy.source, "1-stable")
    second = policy.push("2-stable").digest
    assert policy.run().state == "success"
    return first, second


def test_the_dag_sets_a_tag_back_and_tells_the_policies_whose_source_it_is(
    policy: PolicyRuns,
) -> None:
    first, second = promote_two(policy)
    assert policy.promoted() == {"stable": second}
    before = asset_events(policy)

    run = set_back(policy)

    assert (run.state, run.states()) == ("success", DONE)
    assert policy.promoted() == {"stable": first}
    entry = policy.history()[0]
    assert entry.promotion is not None
    assert entry.promotion.kind is Kind.ROLLBACK
    assert entry.promotion.run_key == f"rollback/{run.run_id}"
    with Ledger.open(policy.ledger_url) as ledger:
        recorded = ledger.run(entry.promotion.run_key)
    assert recorded is not None
    assert recorded.started_by == "dag_test"
    assert asset_events(policy) == [*before, ["stable"]]
    # And the policy leaves it there.
    assert policy.run().state == "success"
    assert policy.promoted() == {"stable": first}


def test_a_dry_run_of_a_rollback_touches_nothing(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = promote_two(policy)
    decided = len(policy.history())

    run = set_back(policy, dry_run=True)

    assert run.state == "success"
    assert run.states() == dict.fromkeys(DONE, "skipped") | {"report": "success"}
    assert policy.promoted() == {"stable": second}
    assert len(policy.history()) == decided
    assert f"would be set back from {second} to {first}" in capsys.readouterr().out


def test_a_rollback_that_cannot_be_fails_and_says_why(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    promote_two(policy)

    run = set_back(policy, tag="latest")

    assert (run.state, run.states()["plan"], run.states()["report"]) == (
        "failed",
        "failed",
        "failed",
    )
    assert "has never set a target tag latest" in capsys.readouterr().out


def test_superfluous_tags_go_at_the_end_of_a_run_and_the_run_says_so(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write(retention={"keep_newest": 1, "mode": "remove"})
    policy.push("1-stable")
    assert policy.run().state == "success"
    newest = policy.push("2-stable").digest
    assert set(policy.promoted()) == {"1-stable"}

    run = policy.run()

    assert (run.state, run.states()["retain"]) == ("success", "success")
    assert policy.promoted() == {"2-stable": newest}
    assert f"removed: {policy.target}:1-stable" in capsys.readouterr().out
    assert policy.run(dry_run=True).states()["retain"] == "skipped"


def asset_events(policy: PolicyRuns) -> list[list[str]]:
    """Return the tags of each event of the target's asset, oldest first."""
    with create_session() as session:
        found = session.scalars(
            select(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.name == f"qa_registry/{policy.target}")
            .order_by(AssetEvent.id)
        )
        return [event.extra["tags"] for event in found]
