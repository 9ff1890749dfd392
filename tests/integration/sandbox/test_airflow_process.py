from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.airflow_process import AirflowProcess, AirflowRequestError, AirflowUnavailableError
from tests.support.airflow_server import PROJECT, RunningAirflow


def test_a_started_airflow_is_healthy_and_has_read_good_and_broken_policies(
    airflow: RunningAirflow,
) -> None:
    health = airflow.get("/api/v2/monitor/health")
    assert {health[part]["status"] for part in ("scheduler", "dag_processor")} == {"healthy"}
    dags = {dag["dag_id"] for dag in airflow.get("/api/v2/dags")["dags"]}
    complaints = "".join(
        error["stack_trace"] for error in airflow.get("/api/v2/importErrors")["import_errors"]
    )
    for policy in airflow.policies.glob("*.yaml"):
        assert policy.stem in dags or policy.name in complaints


def test_the_connections_are_in_its_database_where_its_pages_show_them(
    airflow: RunningAirflow,
) -> None:
    connection = airflow.get("/api/v2/connections/dev_registry")
    assert (connection["conn_type"], connection["host"]) == ("container_registry", airflow.dev.url)


def test_what_it_refuses_is_an_error_that_has_the_status(airflow: RunningAirflow) -> None:
    with pytest.raises(AirflowRequestError, match="/api/v2/dags/nothing") as caught:
        airflow.get("/api/v2/dags/nothing")
    assert caught.value.status == 404


def test_keys_and_passwords_are_for_our_eyes_alone(airflow: RunningAirflow) -> None:
    for name in ("secrets.json", "passwords.json"):
        assert (airflow.process.home / name).stat().st_mode & 0o077 == 0


def test_one_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    with pytest.raises(AirflowUnavailableError, match="database cannot be prepared") as caught:
        AirflowProcess.start(
            tmp_path,
            project=PROJECT,
            environment={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nonexistent/a.db"},
        )
    assert "unable to open database file" in str(caught.value)
    assert _environments_that_name(tmp_path) == []


def _environments_that_name(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in environment:
            found.append(int(process.name))
    return found
