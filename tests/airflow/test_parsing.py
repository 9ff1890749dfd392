"""What Airflow gets when it reads the DAG files, and what reading them costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, AssetAll, AssetOrTimeSchedule, CronTriggerTimetable

from image_promotion import dag_builder
from image_promotion.policy.model import Policy
from tests.support.policy_runs import PROJECT, PolicyRuns

# What the DAG files may load of the product. The client, the ledger and all they need wait for a
# task. (httpx, SQLAlchemy and cryptography are loaded by airflow.sdk itself, so that nothing can
# be said about them here.)
LIGHT = ("dag_builder", "errors", "operators", "policy", "rollback_dag")
HEAVY_OPERATOR_MODULES = ("image_promotion.operators.execution",)

READ_DAG_FILES = """
import json, runpy, socket, sqlite3, sys

def refuse(*arguments, **keywords):
    raise AssertionError(f"a DAG file asked for {arguments}")

import airflow.sdk
from airflow.sdk import BaseHook, Connection, Variable

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
sqlite3.connect = sqlite3.dbapi2.connect = refuse
Connection.get = Variable.get = BaseHook.get_connection = refuse

before = set(sys.modules)
names = runpy.run_path(sys.argv[1])
for other in sys.argv[2:]:
    names |= runpy.run_path(other)
print(json.dumps({
    "dags": sorted(key for key, value in names.items() if isinstance(value, airflow.sdk.DAG)),
    "modules": sorted(set(sys.modules) - before),
}))
"""


def test_reading_the_dag_files_loads_no_client_and_no_ledger_and_does_no_io(
    policy: PolicyRuns, tmp_path: Path
) -> None:
    policy.write(schedule="*/5 * * * *", triggers=[{"updated": {"older_than": "1d"}}])
    read = subprocess.run(
        [
            sys.executable,
            "-c",
            READ_DAG_FILES,
            PROJECT / "dags" / "promotion_policies.py",
            PROJECT / "dags" / "policy_errors.py",
            PROJECT / "dags" / "rollback.py",
        ],
        env=os.environ | {"AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert read.returncode == 0, read.stderr
    answer = json.loads(read.stdout.splitlines()[-1])
    assert answer["dags"] == ["rollback", policy.name]
    ours = [name for name in answer["modules"] if name.startswith("image_promotion.")]
    assert "image_promotion.policy.model" in ours
    assert [name for name in ours if name.split(".")[1] not in LIGHT] == []
    assert [name for name in ours if name in HEAVY_OPERATOR_MODULES] == []
    assert [name for name in answer["modules"] if name.split(".")[0] in {"rich", "alembic"}] == []


def test_a_task_reads_its_own_dag_alone(
    policy: PolicyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_another("other")
    assert set(_read_dag_files().dags) == {policy.name, "other", "rollback"}

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "other")

    assert set(_read_dag_files().dags) == {"other"}

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "rollback")

    assert set(_read_dag_files().dags) == {"rollback"}


def test_each_broken_policy_is_an_import_error_with_its_place_and_the_others_live(
    policy: PolicyRuns,
) -> None:
    (policy.folder / "typo.yaml").write_text(
        "name: typo\nsource: {connection: dev_registry, repository: dev/website}\n"
        "target: {connection: qa_registry, repository: qa/website}\n"
        "triggers:\n  - tag: {ends_wiht: -stable}\n"
    )
    (policy.folder / "template.yaml").write_text(
        "name: template\nsource: {connection: dev_registry, repository: dev/website}\n"
        "target:\n  connection: qa_registry\n  repository: qa/website\n  tag: '%n-%Q'\n"
        "triggers:\n  - tag: {ends_with: -stable}\n"
    )
    (policy.folder / "mess.yaml").write_text("name: [")

    bag = _read_dag_files()

    assert set(bag.dags) == {policy.name, "rollback"}
    ((file, text),) = bag.import_errors.items()
    assert file.endswith("policy_errors.py")
    assert "3 policy files are left out" in text
    assert f"{policy.folder / 'typo.yaml'}:5:" in text
    assert "did you mean ends_with?" in text
    assert f"{policy.folder / 'template.yaml'}:6:" in text
    assert "%Q" in text
    assert f"{policy.folder / 'mess.yaml'}:1:" in text


def test_a_policy_that_airflow_refuses_takes_no_other_along(
    policy: PolicyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_another("other", description="refuse me")
    build_dag = dag_builder.build_dag

    def build_or_refuse(policy: Policy, path: Path, others: Sequence[Policy]) -> DAG:
        if policy.description:
            raise ValueError("Airflow has changed its mind")
        return build_dag(policy, path, others)

    monkeypatch.setattr(dag_builder, "build_dag", build_or_refuse)

    bag = _read_dag_files()

    assert set(bag.dags) == {policy.name, "rollback"}
    ((_, text),) = bag.import_errors.items()
    assert f"{policy.folder / 'other.yaml'}:1" in text
    assert "Airflow has changed its mind" in text


def test_a_connection_may_have_a_longer_name_than_a_tag_of_a_dag(policy: PolicyRuns) -> None:
    policy.write_another("other", source={"connection": "c" * 200, "repository": "dev/website"})

    bag = _read_dag_files()

    assert set(bag.dags) == {policy.name, "other", "rollback"}
    assert bag.import_errors == {}


def test_the_documentation_page_says_in_words_what_the_policy_does(policy: PolicyRuns) -> None:
    policy.write(
        description="Stable builds go to QA.",
        schedule="*/5 * * * *",
        target={"tag": "%n-%Y", "existing_tag": "skip"},
        triggers=[{"tag": {"ends_with": "-stable"}}, {"not": {"tag": {"contains": "broken"}}}],
    )

    page = _read_dag_files().dags[policy.name].doc_md

    assert page is not None
    for phrase in (
        "Stable builds go to QA.",
        f"Promotes images from `{policy.source}` (connection `dev_registry`)",
        f"to `{policy.target}` (connection `qa_registry`) under the tag `%n-%Y` (UTC).",
        "An image is promoted when all of these hold",
        "-stable",
        "- not:",
        "If the target tag holds another image, the image is not promoted.",
        "Runs at `*/5 * * * *`",
        f"Policy file: `{policy.name}.yaml`",
    ):
        assert phrase in page


def test_the_form_of_a_manual_run_asks_four_things(policy: PolicyRuns) -> None:
    params = _read_dag_files().dags[policy.name].params

    assert params.dump() == {
        "tags": [],
        "dry_run": False,
        "decide_again": False,
        "override_reason": "",
    }
    assert [params.get_param(name).schema["title"] for name in params] == [
        "Only these tags",
        "Dry run",
        "Decide again",
        "Override",
    ]


def test_tasks_are_tried_again_with_growing_pauses(policy: PolicyRuns) -> None:
    for task in _read_dag_files().dags[policy.name].tasks:
        assert task.retries == 3
        assert task.retry_exponential_backoff == 2
        assert task.retry_delay == timedelta(seconds=10)
        assert task.max_retry_delay == timedelta(minutes=5)


def test_a_policy_with_a_schedule_is_also_run_by_events_of_its_source(policy: PolicyRuns) -> None:
    assert _read_dag_files().dags[policy.name].schedule is None

    policy.write(schedule="*/5 * * * *")

    schedule = _read_dag_files().dags[policy.name].schedule
    assert isinstance(schedule, AssetOrTimeSchedule)
    assert isinstance(schedule.timetable, CronTriggerTimetable)
    assert schedule.timetable.expression == "*/5 * * * *"
    assert schedule.asset_condition == AssetAll(
        dag_builder.repository_asset("dev_registry", policy.source)
    )


def _read_dag_files() -> DagBag:
    """Read dags/ as the DAG processor does."""
    return DagBag(str(PROJECT / "dags"), safe_mode=False, bundle_name="dags-folder")


def test_people_are_asked_before_the_images_are_divided_among_tasks(policy: PolicyRuns) -> None:
    policy.write(approval={"approvals": 2})

    dag = _read_dag_files().dags[policy.name]

    assert dag.get_task("approve").upstream_task_ids == {"evaluate"}
    assert dag.get_task("approve_2").upstream_task_ids == {"approve"}
    assert dag.get_task("promote.copy").upstream_task_ids == {"approve_2"}
    assert dag.max_active_runs > 1


def test_nobody_is_asked_where_the_policy_does_not_say_so(policy: PolicyRuns) -> None:
    dag = _read_dag_files().dags[policy.name]

    assert not dag.has_task("approve")
    assert dag.max_active_runs == 1
