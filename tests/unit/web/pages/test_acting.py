"""A policy's page: its buttons, and what becomes of them."""

from __future__ import annotations

import re

import pytest

from image_promotion.errors import DagRefusedError
from image_promotion.registry.probe_result import ProbeResult, Trouble, Use
from image_promotion.web.dag_control import Standing
from tests.unit.web.pages.conftest import Pages
from tests.unit.web.pages.doubles import PASSWORD, StartedDag

POLICY = "website-to-qa"
PAGE = f"/policies/{POLICY}"
API = f"/api/policies/{POLICY}"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def shown(pages: Pages) -> Pages:
    pages.write_policy()
    return pages


# ---- run it


def test_promote_now_leads_to_the_run_in_airflows_page(shown: Pages) -> None:
    client = shown.seen_by(POLICY)

    answer = client.post(f"{PAGE}/runs", data={"do": "promote"}, follow_redirects=False)
    page = client.get(answer.headers["location"].removeprefix("/airflow/image-promotion"))

    assert answer.status_code == 303
    assert shown.dags.told == [
        StartedDag(POLICY, "ada", {"tags": [], "dry_run": False, "decide_again": False})
    ]
    assert f'href="/airflow/dags/{POLICY}/runs/manual__1" data-airflow' in page.text
    assert "is started" in page.text


def test_a_dry_run_and_its_tags_are_the_dags_own_parameters(shown: Pages) -> None:
    client = shown.seen_by(POLICY)

    fields = {"do": "dry_run", "tags": " 1.0-stable\n2.0_x ", "decide_again": "yes"}
    answer = client.post(f"{PAGE}/runs", data=fields)

    assert shown.dags.told[0].parameters == {
        "tags": ["1.0-stable", "2.0_x"],
        "dry_run": True,
        "decide_again": True,
    }
    assert "the target is not touched" in answer.text


@pytest.mark.parametrize("tags", ["-no-tag", HOSTILE, "x" * 129, " ".join(["a"] * 101)])
def test_what_are_no_tags_is_said_and_kept_to_be_corrected(shown: Pages, tags: str) -> None:
    answer = shown.seen_by(POLICY).post(f"{PAGE}/runs", data={"do": "promote", "tags": tags})

    assert answer.status_code == 400
    assert shown.dags.told == []
    assert "A run can be limited to at most 100 tags" in answer.text
    assert "<script>alert" not in answer.text
    assert re.search(r'name="tags" value="[^"]', answer.text)


@pytest.mark.parametrize(
    "query", ["did=promote&run=manual__77", f"did={HOSTILE}", "did=promote", "run=manual__1"]
)
def test_an_address_that_is_made_up_says_nothing(shown: Pages, query: str) -> None:
    page = shown.seen_by(POLICY).get(f"{PAGE}?{query}")

    assert page.status_code == 200
    assert 'class="said"' not in page.text


def test_a_run_of_a_paused_dag_is_said_to_wait(shown: Pages) -> None:
    shown.dags.standings[POLICY] = Standing.PAUSED
    client = shown.seen_by(POLICY)

    before = client.get(PAGE)
    after = client.post(f"{PAGE}/runs", data={"do": "promote"})
    told = client.post(f"{API}/runs", json={}).json()

    assert "a run that is started now waits until somebody resumes it" in before.text
    assert "the run waits until somebody resumes it" in after.text
    assert told["waits"] is True


def test_pause_becomes_resume_and_airflow_is_told_who_it_was(shown: Pages) -> None:
    client = shown.seen_by(POLICY)

    paused = client.post(f"{PAGE}/pause")
    resumed = client.post(f"{PAGE}/resume")

    assert [(each.is_paused, each.user_name) for each in shown.dags.told] == [
        (True, "ada"),
        (False, "ada"),
    ]
    assert "nothing runs until somebody resumes it" in paused.text
    assert f'action="/airflow/image-promotion{PAGE}/resume"' in paused.text
    assert "The Dag runs by itself again" in resumed.text
    assert f'action="/airflow/image-promotion{PAGE}/pause"' in resumed.text


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing.UNKNOWN, "Airflow does not know the policy&#39;s Dag"),
        (Standing.STALE, "is stale"),
        (Standing.BROKEN, "has import errors"),
    ],
)
def test_a_dag_that_cannot_run_has_no_button_and_says_why(
    shown: Pages, standing: Standing, said: str
) -> None:
    shown.dags.standings[POLICY] = standing
    client = shown.seen_by(POLICY)

    page = client.get(PAGE)

    assert said in page.text
    assert "Promote now" not in page.text
    assert client.get(f"{API}/actions").json()["obstacle"]


def test_what_airflow_refuses_is_said_with_what_to_do(shown: Pages) -> None:
    shown.dags.refusal = DagRefusedError("the Dag is gone", dag_id=POLICY, advice="Look there.")
    client = shown.seen_by(POLICY)

    for page in (client.post(f"{PAGE}/runs", data={"do": "promote"}), client.post(f"{PAGE}/pause")):
        assert page.status_code == 409
        assert "the Dag is gone. Look there." in page.text
    assert client.post(f"{API}/runs", json={}).status_code == 409
    assert client.put(f"{API}/enabled", json={"enabled": False}).status_code == 409


def test_whoever_may_only_look_sees_no_buttons(shown: Pages) -> None:
    shown.triggers = False

    page = shown.seen_by(POLICY).get(PAGE)

    for button in ("Promote now", "Dry run", "Pause", "Connect<"):
        assert button not in page.text
    assert shown.seen_by(POLICY).get(f"{API}/actions").json() == {
        "standing": "enabled",
        "obstacle": "",
        "may_run": False,
        "may_pause": False,
        "may_connect": False,
    }


def test_a_program_starts_a_run_and_switches_the_dag(shown: Pages) -> None:
    client = shown.seen_by(POLICY)

    started = client.post(f"{API}/runs", json={"tags": ["1.0"], "dry_run": True})
    switched = client.put(f"{API}/enabled", json={"enabled": False})

    assert started.status_code == 201
    assert started.json() == {
        "run_id": "manual__1",
        "path": f"/dags/{POLICY}/runs/manual__1",
        "waits": False,
    }
    assert switched.json() == {"enabled": False}
    assert [each.is_paused for each in shown.dags.told] == [None, True]
    assert client.post(f"{API}/runs", json={"tags": ["-x"]}).status_code == 422
    assert client.post(f"{API}/runs", json={"unknown": 1}).status_code == 422


# ---- connect


def test_connect_tries_both_ends_and_says_what_was_found(shown: Pages) -> None:
    shown.edits_connections = True
    trouble = ProbeResult(
        ok=False, message=f"It may not write {HOSTILE}.", trouble=Trouble.RIGHT_MISSING
    )
    shown.registries.results["qa_registry"] = trouble
    client = shown.seen_by(POLICY)

    page = client.post(f"{PAGE}/connect")
    report = client.post(f"{API}/connect").json()

    assert page.status_code == 200
    assert "Not connected." in page.text
    assert "Source works" in page.text
    assert "Target does not work" in page.text
    assert "<script>alert" not in page.text
    assert [(each["use"], each["ok"], each["trouble"]) for each in report["checks"]] == [
        ("read", True, None),
        ("write", False, "right_missing"),
    ]
    assert report["ok"] is False
    assert [(name, side.use) for name, side in shown.registries.probed[:2]] == [
        ("dev_registry", Use.READ),
        ("qa_registry", Use.WRITE),
    ]
    assert PASSWORD not in page.text


def test_a_connection_that_is_missing_is_told_and_the_other_end_is_tried(shown: Pages) -> None:
    shown.edits_connections = True
    shown.registries.missing.add("qa_registry")

    page = shown.seen_by(POLICY).post(f"{PAGE}/connect")

    assert "there is no such connection" in page.text
    assert [name for name, _ in shown.registries.probed] == ["dev_registry"]


def test_a_pattern_is_tried_with_what_it_matches_and_with_a_name_that_stands_for_all(
    shown: Pages,
) -> None:
    shown.edits_connections = True
    shown.write_policy(source=("dev_registry", "dev/*"), target=("qa_registry", "qa/{name}"))

    shown.seen_by(POLICY).post(f"{API}/connect")

    sides = dict(shown.registries.probed)
    matches = sides["dev_registry"].matches
    assert matches is not None
    assert (matches("dev/website"), matches("qa/website")) == (True, False)
    assert sides["qa_registry"].repository == "qa/connect-test"


def test_one_connection_is_tried_for_the_form(shown: Pages) -> None:
    shown.edits_connections = True
    client = shown.seen_by()

    answer = client.post(
        "/api/connections/dev_registry/check", json={"repository": "dev/*", "use": "read"}
    )

    assert answer.json() == {
        "connection": "dev_registry",
        "repository": "dev/*",
        "use": "read",
        "ok": True,
        "message": "The connection may read dev/*.",
        "trouble": None,
    }


# ---- how its connections stand, and where its file lies


def test_the_page_says_how_connections_stand_without_asking_registries(shown: Pages) -> None:
    shown.registries.missing.add("qa_registry")
    client = shown.seen_by(POLICY)

    page = client.get(PAGE)
    states = client.get(API).json()["connections"]

    assert "oci at dev-registry.example" in page.text
    assert "there is no such connection" in page.text
    assert [(each["connection"], each["usable"]) for each in states] == [
        ("dev_registry", True),
        ("qa_registry", False),
    ]
    assert shown.registries.probed == []
    assert PASSWORD not in page.text
    assert "robot" not in page.text
