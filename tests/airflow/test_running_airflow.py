"""The product in a running Airflow, by its API: scheduler, DAG processor, tasks in processes."""

from __future__ import annotations

import re

import pytest

from image_promotion.ledger.records import Kind, State
from tests.support.airflow_server import (
    PASSWORD,
    USER,
    WEBSITE,
    FinishedRun,
    RunningAirflow,
    registry_connection,
    wait_for,
)


def test_the_plugin_loads_without_errors(airflow: RunningAirflow) -> None:
    assert airflow.get("/api/v2/plugins/importErrors")["import_errors"] == []
    names = [plugin["name"] for plugin in airflow.get("/api/v2/plugins")["plugins"]]
    assert "image_promotion" in names


def test_each_broken_policy_is_shown_with_its_line_and_the_others_are_dags(
    airflow: RunningAirflow,
) -> None:
    (error,) = airflow.get("/api/v2/importErrors")["import_errors"]

    assert error["filename"].endswith("policy_errors.py")
    assert f"{airflow.policies / 'typing-error.yaml'}:10:" in error["stack_trace"]
    assert "did you mean ends_with?" in error["stack_trace"]
    assert f"{airflow.policies / 'no-legal-tag.yaml'}:8:" in error["stack_trace"]
    dags = {dag["dag_id"] for dag in airflow.get("/api/v2/dags?limit=100")["dags"]}
    assert {path.stem for path in airflow.policies.iterdir()} - dags == {
        "typing-error",
        "no-legal-tag",
    }


def test_a_run_promotes_all_of_the_policy_and_its_mapped_tasks_bear_the_images_names(
    airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    assert website_run.state == "success"
    source = airflow.pushed("website")
    wanted = {tag: digest for tag, digest in source.items() if tag.endswith("-stable")}
    assert len(wanted) > 5
    assert airflow.promoted("website") == wanted
    for stage in ("copy", "retag", "verify"):
        tasks = airflow.tasks(WEBSITE, website_run.run_id, f"promote.{stage}")
        assert {task["rendered_map_index"] for task in tasks} == {
            f"dev/website:{tag}" for tag in wanted
        }
        assert {task["state"] for task in tasks} == {"success"}


def test_a_copys_log_ends_with_what_was_moved_and_how_fast(
    airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    logs = [
        airflow.log(WEBSITE, website_run.run_id, "promote.copy", task["map_index"])
        for task in airflow.tasks(WEBSITE, website_run.run_id, "promote.copy")
    ]

    for log in logs:
        assert re.search(r"blobs?, [0-9.]+ [kM]?B copied;", log), log
        assert re.search(r" s, [0-9.]+ [kM]?B/s'", log), log
    # The base layer was copied with one of the images, and the others found it.
    assert any(re.search(r"1 blob, 2.8 MB skipped;", log) for log in logs)


def test_a_cleared_copy_of_one_image_runs_again_and_promotes_nothing_twice(
    airflow: RunningAirflow,
) -> None:
    dag_id = "shop-to-qa"
    wanted = airflow.push("shop", "1-stable", "2-stable", "3-stable")
    run_id = airflow.trigger(dag_id)
    assert airflow.wait(dag_id, run_id) == "success"
    assert airflow.promoted("shop") == wanted
    before = airflow.history(dag_id)

    cleared = airflow.clear(dag_id, run_id, "promote.copy", 2)

    assert sorted((task["task_id"], task["map_index"]) for task in cleared) == [
        ("announce", -1),
        ("promote.copy", 2),
        ("promote.retag", 2),
        ("promote.verify", 2),
        ("report", -1),
    ]
    assert airflow.wait(dag_id, run_id) == "success"
    tries = {
        (task["task_id"], task["map_index"]): task["try_number"]
        for task in airflow.tasks(dag_id, run_id)
    }
    assert tries["promote.verify", 2] == 2
    assert tries["promote.verify", 1] == 1
    assert airflow.promoted("shop") == wanted
    assert airflow.history(dag_id) == before
    assert [entry.promotion and entry.promotion.state for entry in before] == [State.VERIFIED] * 3


def test_an_image_that_is_no_longer_well_fails_the_run_that_verifies_it_again(
    airflow: RunningAirflow,
) -> None:
    dag_id = "mail-to-qa"
    airflow.push("mail", "1-stable")
    run_id = airflow.trigger(dag_id, tags=["1-stable"])
    assert airflow.wait(dag_id, run_id) == "success"
    airflow.lose("mail", "1-stable")

    airflow.clear(dag_id, run_id, "promote.verify", 0)

    assert airflow.wait(dag_id, run_id) == "failed"
    states = {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}
    assert states["promote.verify"] == "failed"
    assert states["report"] == "failed"
    assert "there is no such tag" in airflow.log(dag_id, run_id, "promote.verify", 0, attempt=2)


def test_a_run_shows_what_it_was_asked_for(
    airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    assert website_run.state == "success"

    run_id = airflow.trigger(WEBSITE, tags=["1.4-stable", "2.0-stable"], dry_run=True)
    assert airflow.wait(WEBSITE, run_id) == "success"

    (evaluate,) = airflow.tasks(WEBSITE, run_id, "evaluate")

    assert evaluate["rendered_fields"] == {
        "only_tags": "1.4-stable 2.0-stable",
        "plan_only": "True",
        "decide_again": "False",
        "override": "",
    }
    assert "0 of 2 tags would be promoted now" in airflow.log(WEBSITE, run_id, "evaluate")


def test_what_one_policy_verifies_starts_the_policies_that_wait_for_it(
    airflow: RunningAirflow,
) -> None:
    first, second, elsewhere = "chain-to-qa", "chain-to-uat", "chain-elsewhere"
    stable = [{"tag": {"ends_with": "-stable"}}]
    new_years_day = "0 0 1 1 *"
    airflow.add_policy(
        first,
        {
            "name": first,
            "source": {"connection": "dev_registry", "repository": "dev/chain-*"},
            "target": {"connection": "qa_registry", "repository": "qa/chain-{name}"},
            "triggers": stable,
        },
    )
    for name, source, more in (
        (second, "qa/chain-*", {"requires": first}),
        (elsewhere, "qa/chain-b", {}),
    ):
        airflow.add_policy(
            name,
            {
                "name": name,
                "source": {"connection": "qa_registry", "repository": source},
                "target": {
                    "connection": "qa_registry",
                    "repository": "qa/uat-{name}" if "*" in source else "qa/uat-b",
                },
                "triggers": stable,
                "schedule": new_years_day,
                **more,
            },
        )
        airflow.process.request("PATCH", f"/api/v2/dags/{name}", {"is_paused": False})
    wanted = airflow.push("chain-a", "1-stable")

    assert airflow.wait(first, airflow.trigger(first)) == "success"

    wait_for(lambda: airflow.promoted("uat-a").get("1-stable"), "the second stage")
    assert airflow.promoted("uat-a") == wanted
    (run,) = airflow.get(f"/api/v2/dags/{second}/dagRuns")["dag_runs"]
    assert run["run_type"] == "asset_triggered"
    assert airflow.wait(second, run["dag_run_id"]) == "success"
    assert airflow.get(f"/api/v2/dags/{elsewhere}/dagRuns")["dag_runs"] == []
    drawn = airflow.get(f"/ui/dependencies?node_id=dag:{first}")
    names = {node["label"] for node in drawn["nodes"]}
    assert {first, "qa_registry/qa/chain-*", second} <= names


def test_no_password_is_in_anything_that_airflow_or_the_ledger_keeps(
    airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    assert website_run.state == "success"
    tested = airflow.process.request("POST", "/api/v2/connections/test", _of_form(airflow))
    assert tested["status"], tested

    kept = [path for path in airflow.process.home.rglob("*") if path.is_file()]

    names = {path.name for path in kept}
    assert {"airflow.db", "promotion_ledger.db", "scheduler.log"} <= names
    assert any(path.name.startswith("attempt=") for path in kept)
    assert [path for path in kept if PASSWORD.encode() in path.read_bytes()] == []


def test_a_port_that_the_page_says_is_zero_is_none(airflow: RunningAirflow) -> None:
    answer = airflow.process.request("POST", "/api/v2/connections/test", _of_form(airflow, port=0))

    assert answer["status"], answer


def test_the_test_button_says_what_the_connection_may_do(airflow: RunningAirflow) -> None:
    answer = airflow.process.request(
        "POST",
        "/api/v2/connections/test",
        _of_form(airflow, extra='{"test_repository": "qa/website"}'),
    )

    assert answer["status"], answer
    assert f"knows {USER}" in answer["message"]
    assert "may read and write qa/website" in answer["message"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong"}, "does not accept the user name and the password"),
        ({"login": None, "password": None}, "wants a login (401), and the connection has none"),
        ({"host": "http://127.0.0.1:1"}, "refuses the connection: nothing listens there"),
        ({"port": 1}, "the host says"),
        ({"host": "ftp://registry.example"}, "ftp:// is not how registries are reached"),
        ({"extra": '{"registry_type": "quay"}'}, "'quay' is not a registry type"),
    ],
)
def test_the_test_button_says_in_plain_words_why_a_connection_fails(
    airflow: RunningAirflow, changes: dict[str, object], said: str
) -> None:
    answer = airflow.process.request(
        "POST", "/api/v2/connections/test", _of_form(airflow, **changes)
    )

    assert not answer["status"]
    assert said in answer["message"]
    assert "Traceback" not in answer["message"]


def test_the_connection_form_has_our_fields(airflow: RunningAirflow) -> None:
    types: object = airflow.get("/ui/connections/hook_meta")

    assert isinstance(types, list)
    (ours,) = [each for each in types if each["connection_type"] == "container_registry"]

    assert ours["hook_name"] == "Container registry"
    assert set(ours["extra_fields"]) == {
        "registry_type",
        "namespace",
        "ca_certificate",
        "skip_tls_verification",
        "test_repository",
        "creates_projects",
        "requests_per_second",
        "bytes_per_second",
        "webhook_secret",
    }
    assert ours["extra_fields"]["registry_type"]["schema"]["enum"] == [
        "oci",
        "dtr",
        "docker_hub",
        "harbor",
        "oci_layout",
    ]
    assert ours["standard_fields"]["host"]["title"] == "Registry URL"
    assert ours["standard_fields"]["password"]["title"] == "Password or access token"


def _of_form(airflow: RunningAirflow, **changes: object) -> dict[str, object]:
    """Give what the form of the QA registry's connection sends, changed as a test wants it."""
    fields = registry_connection(airflow.qa.url, login=USER, password=PASSWORD)
    return {"connection_id": "being_made", **fields, **changes}


def test_a_rollback_from_the_form_sets_a_tag_back_and_runs_the_policies_downstream(
    airflow: RunningAirflow,
) -> None:
    upstream, downstream = "rolled-to-qa", "rolled-onward"
    stable = {"tag": "stable", "existing_tag": "overwrite"}
    for name, source, target, more in (
        (upstream, ("dev_registry", "dev/rolled"), "qa/rolled", {"schedule": "manual"}),
        (downstream, ("qa_registry", "qa/rolled"), "qa/onward", {"schedule": "0 0 1 1 *"}),
    ):
        document: dict[str, object] = {
            "name": name,
            "source": {"connection": source[0], "repository": source[1]},
            "target": {"connection": "qa_registry", "repository": target, **stable},
            "triggers": [{"tag": {"ends_with": "stable"}}],
            **more,
        }
        airflow.add_policy(name, document)
    pushed = airflow.push("rolled", "1-stable", "2-stable")
    for tag in pushed:
        run_id = airflow.trigger(upstream, tags=[tag])
        assert airflow.wait(upstream, run_id) == "success"
    assert airflow.promoted("rolled") == {"stable": pushed["2-stable"]}
    airflow.process.request("PATCH", f"/api/v2/dags/{downstream}", {"is_paused": False})

    run_id = airflow.trigger("rollback", policy=upstream, tag="stable", reason="it crashes")

    assert airflow.wait("rollback", run_id) == "success"
    assert airflow.promoted("rolled") == {"stable": pushed["1-stable"]}
    newest = airflow.history(upstream)[0]
    assert newest.promotion is not None
    assert newest.promotion.kind is Kind.ROLLBACK
    assert newest.decision.reasons[0].source == f"admin, policy {upstream}"

    def followed() -> str | None:
        runs = airflow.get(f"/api/v2/dags/{downstream}/dagRuns")["dag_runs"]
        return next((run["dag_run_id"] for run in runs if run["run_type"] != "scheduled"), None)

    assert airflow.wait(downstream, wait_for(followed, "the run downstream")) == "success"
    assert airflow.promoted("onward") == {"stable": pushed["1-stable"]}
