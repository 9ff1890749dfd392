"""The page's buttons and Airflow's own DAGs, runs, audit log, connections and auth manager."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.dag_processing.collection import update_dag_parsing_results_in_db
from airflow.models import Log
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from image_promotion.dag_builder import build_dags
from image_promotion.errors import ConnectionSettingsError, DagRefusedError
from image_promotion.ledger.ledger import Ledger
from image_promotion.web.dag_control import AirflowDags, Standing
from image_promotion.web.registries import AirflowRegistries
from tests.unit.web.pages.conftest import Pages, open_pages
from tests.unit.web.pages.route_table import POLICY, TABLE, Right, path_of

BUNDLE = "bundle-of-page-actions"

RIGHTS = {
    "VIEWER": {Right.SEE},
    "USER": {Right.SEE, Right.TRIGGER, Right.PAUSE},
    "OP": set(Right),
    "ADMIN": set(Right),
}
"""What Airflow's simple auth manager gives its roles."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages with a policy whose DAG Airflow's database has, as its DAG processor writes it."""
    folder = tmp_path_factory.mktemp("pages")
    Ledger.open(f"sqlite:///{folder / 'migrated.db'}").close()
    with open_pages(folder, folder / "migrated.db") as opened:
        opened.write_policy(POLICY)
        built = [LazyDeserializedDAG.from_dag(each) for each in build_dags(opened.folder).values()]
        with create_session() as session:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
            update_dag_parsing_results_in_db(BUNDLE, None, built, {}, None, set(), session)
        yield opened
        with create_session() as session:
            session.execute(delete(DagRun).where(DagRun.dag_id == POLICY))
            session.execute(delete(Log).where(Log.dag_id == POLICY))
            dag = session.get(DagModel, POLICY)
            assert dag is not None
            dag.is_stale = True


@pytest.fixture
def dags(pages: Pages) -> AirflowDags:
    pages.app.dependency_overrides.clear()
    with create_session() as session:
        dag = session.get(DagModel, POLICY)
        assert dag is not None
        dag.is_paused = dag.is_stale = dag.has_import_errors = False
        session.execute(delete(Log).where(Log.dag_id == POLICY))
    return AirflowDags()


def _notes() -> list[tuple[str, str | None, dict[str, object]]]:
    with create_session() as session:
        rows = session.scalars(select(Log).where(Log.dag_id == POLICY).order_by(Log.id))
        return [(row.event, row.owner, json.loads(row.extra or "{}")) for row in rows]


# Of the key that Airflow makes where none is set.
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("role", RIGHTS)
def test_each_role_of_airflow_may_what_it_may_in_airflow(pages: Pages, role: str) -> None:
    pages.app.dependency_overrides.clear()
    manager = create_auth_manager()
    token = manager.generate_jwt(SimpleAuthManagerUser(username=role.lower(), role=role))
    client = TestClient(pages.app, headers={"Authorization": f"Bearer {token}"})

    for (method, route), asked in TABLE.items():
        answer = client.request(
            method,
            f"{path_of(route)}{asked.query}",
            json=asked.json,
            data=asked.form,
            follow_redirects=False,
        )
        may = asked.right in RIGHTS[role]
        assert (route, answer.status_code == 403) == (route, not may)
        assert (route, answer.status_code < 500) == (route, True)
        assert answer.status_code != 401


def test_airflows_cookie_is_nobody_without_a_token_that_is_airflows(pages: Pages) -> None:
    pages.app.dependency_overrides.clear()
    client = TestClient(pages.app, headers={"Authorization": "Bearer not.a.token"})

    assert client.get("/").status_code in (401, 403)


def test_a_run_is_airflows_own_with_who_wanted_it_and_a_note_in_the_audit_log(
    dags: AirflowDags,
) -> None:
    run_id = dags.trigger(POLICY, {"tags": ["1.0"], "dry_run": True}, user_name="ada")

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == POLICY, DagRun.run_id == run_id))
        assert run is not None
        assert run.triggered_by is DagRunTriggeredByType.UI
        assert run.triggering_user_name == "ada"
        assert run.conf == {"tags": ["1.0"], "dry_run": True}
        assert run.state == "queued"
    assert dags.has_run(POLICY, run_id)
    assert not dags.has_run(POLICY, "manual__made-up")
    assert _notes() == [
        (
            "trigger_dag_run",
            "ada",
            {"conf": {"tags": ["1.0"], "dry_run": True}, "method": "POST"},
        )
    ]


def test_a_pause_is_airflows_own_and_noted(dags: AirflowDags) -> None:
    dags.pause(POLICY, is_paused=True, user_name="ada")
    paused = dags.standing(POLICY)
    dags.pause(POLICY, is_paused=False, user_name="bob")

    assert paused is Standing.PAUSED
    assert dags.standing(POLICY) is Standing.ENABLED
    assert _notes() == [
        ("patch_dag", "ada", {"is_paused": True, "method": "PATCH"}),
        ("patch_dag", "bob", {"is_paused": False, "method": "PATCH"}),
    ]


def test_what_the_dag_does_not_take_is_refused(dags: AirflowDags) -> None:
    with pytest.raises(DagRefusedError, match="does not take the run"):
        dags.trigger(POLICY, {"dry_run": ["no"]}, user_name="ada")


@pytest.mark.parametrize(
    ("change", "standing", "may_pause"),
    [("is_stale", Standing.STALE, False), ("has_import_errors", Standing.BROKEN, True)],
)
def test_a_dag_that_is_stale_or_broken_is_not_run(
    dags: AirflowDags, change: str, standing: Standing, may_pause: bool
) -> None:
    with create_session() as session:
        setattr(session.get(DagModel, POLICY), change, True)

    assert dags.standing(POLICY) is standing
    with pytest.raises(DagRefusedError):
        dags.trigger(POLICY, {}, user_name="ada")
    assert _notes() == []
    if may_pause:
        dags.pause(POLICY, is_paused=True, user_name="ada")
    else:
        with pytest.raises(DagRefusedError):
            dags.pause(POLICY, is_paused=True, user_name="ada")


def test_a_dag_that_airflow_does_not_know_is_told_with_what_to_do() -> None:
    with pytest.raises(DagRefusedError, match="does not know") as refused:
        AirflowDags().trigger("no-such-policy", {}, user_name="ada")

    assert "import errors" in refused.value.advice


# ---- connections


def test_connections_to_registries_are_listed_from_the_database_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {
        "IN_JSON": '{"conn_type": "container_registry", "host": "r.example"}',
        "IN_URI": "container-registry://user:canary-secret@r.example",
        "OTHER": "postgres://user:canary-secret@db.example/x",
        "BROKEN": "{",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", value)
    with create_session() as session:
        session.add(Connection(conn_id="in_database", conn_type="container_registry"))
        session.add(Connection(conn_id="another", conn_type="http"))

    try:
        listed = AirflowRegistries().connection_ids()
    finally:
        with create_session() as session:
            session.execute(
                delete(Connection).where(Connection.conn_id.in_(["in_database", "another"]))
            )

    assert {"in_json", "in_uri", "in_database"} <= set(listed)
    assert not {"other", "another", "broken"} & set(listed)


def test_a_connection_that_a_secrets_backend_fails_at_tells_no_word_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_connection_id: str) -> None:
        raise RuntimeError("token canary-secret is not valid")

    monkeypatch.setattr("image_promotion.web.registries.find_endpoint", fail)

    with pytest.raises(ConnectionSettingsError, match="cannot be read") as failed:
        AirflowRegistries().endpoint("dev_registry")

    assert "canary-secret" not in str(failed.value)
