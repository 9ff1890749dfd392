"""A run with a secret in every field that takes one leaves none of them anywhere."""

from __future__ import annotations

import tempfile
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.airflow_server import RunningAirflow
from tests.support.canaries import Canaries, run_with_canaries
from tests.support.leaks import Leak, LeakSearch


@pytest.fixture(scope="module")
def canaries(airflow: RunningAirflow) -> Canaries:
    return run_with_canaries(airflow)


def test_the_runs_have_used_their_secrets(airflow: RunningAirflow, canaries: Canaries) -> None:
    signed, refused = canaries.runs
    assert [run.state for run in canaries.runs] == ["success", "failed"]
    states = {
        task["task_id"]: task["state"] for task in airflow.tasks(signed.dag_id, signed.run_id)
    }
    assert states["promote.attest"] == "success"
    assert states["notify"] == "failed"
    log = airflow.log(refused.dag_id, refused.run_id, "evaluate")
    assert "it does not accept who we say we are" in log


def test_no_secret_is_left_in_logs_databases_command_lines_files_or_answers(
    airflow: RunningAirflow, canaries: Canaries
) -> None:
    assert canaries.leaks(airflow, Path(tempfile.gettempdir())) == []


def test_what_is_no_secret_is_found_in_each_of_these_places(
    airflow: RunningAirflow, canaries: Canaries
) -> None:
    name = replace(canaries, secrets={"policy": "canary-signed"})
    places = {leak.place for leak in name.leaks(airflow, Path(tempfile.gettempdir()))}
    for part in (
        *("/logs/", "/promotion_ledger.db", "/airflow.db", "/image-promotion/", "promotions.csv"),
        *("promotions.json", "/taskInstances?", "/logs/1?", "/xcomEntries?", "api/overview"),
    ):
        assert any(part in place for place in places), part


@pytest.mark.parametrize("prefix", ["", "u:", "us:"])
@pytest.mark.parametrize("written", ["plain", "base64", "url"])
def test_a_secret_that_was_left_would_be_found(tmp_path: Path, prefix: str, written: str) -> None:
    secret = "a/b canary-5ecret"
    text = f"{prefix}{secret}"
    left = {
        "plain": text,
        "base64": f"Basic {b64encode(text.encode()).decode()}",
        "url": quote(text, safe=""),
    }[written]
    path = tmp_path / "below" / "a.log"
    path.parent.mkdir()
    path.write_text(f"before {left} after")
    search = LeakSearch({"password": secret})
    assert search.in_files(tmp_path) == [Leak("password", str(path))]
