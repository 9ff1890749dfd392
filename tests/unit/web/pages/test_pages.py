"""The pages as somebody sees them, over a real ledger."""

from __future__ import annotations

import re
from datetime import timedelta

from image_promotion.errors import LedgerError
from image_promotion.ledger.records import (
    NewDecision,
    Outcome,
    PolicyVersion,
    Reason,
    Sighting,
    State,
)
from image_promotion.policy.loading import load_policy
from image_promotion.web.pages.airflow_state import DagState
from tests.support.ledger_story import HELD
from tests.unit.web.pages.conftest import NOW, Pages

POLICY = "website-to-qa"
DIGEST = f"sha256:{'ab' * 32}"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def _promoted(pages: Pages, tag: str = "1.4-stable") -> None:
    """Let the policy promote an image to the end."""
    story = pages.story
    run = story.run(key=f"{POLICY}/manual__{tag}")
    seen = story.scan_tags(run, {tag: DIGEST}, complete=False)[tag]
    promotion = story.plan(run, seen, target_digest=DIGEST)
    for step in (State.COPIED, State.TAGGED, State.VERIFIED):
        pages.ledger.advance(promotion.id, step, at=story.now(), run_key=run.key)


def test_the_overview_shows_the_pipeline_and_how_each_policy_stands(pages: Pages) -> None:
    pages.write_policy()
    pages.write_policy("to-prod", ("qa_registry", "qa/website"), ("prod", "prod/website"))
    pages.airflow.states["to-prod"] = DagState(is_paused=True, next_run_at=None, last_run=None)
    _promoted(pages)

    answer = pages.seen_by(POLICY, "to-prod").get("/")
    document = pages.seen_by(POLICY, "to-prod").get("/api/overview").json()

    assert answer.status_code == 200
    for said in ("dev/website", "qa/website", "prod/website", "paused", "2026-03-01 14:05:00 UTC"):
        assert said in answer.text
    assert {node["repository"]: node["stage"] for node in document["nodes"]} == {
        "dev/website": 0,
        "qa/website": 1,
        "prod/website": 2,
    }
    first, second = (
        next(each for each in document["policies"] if each["name"] == name)
        for name in (POLICY, "to-prod")
    )
    assert first["promoted"] == [0, 0, 0, 0, 0, 0, 1]
    assert (first["last_result"], first["enabled"], second["enabled"]) == ("verified", True, False)
    assert first["last_run"]["path"] == f"/dags/{POLICY}/runs/manual__1"


def test_the_search_leaves_out_what_does_not_have_it(pages: Pages) -> None:
    pages.write_policy()
    pages.write_policy("shop-to-qa", ("dev_registry", "dev/shop"), ("qa_registry", "qa/shop"))

    found = pages.seen_by(POLICY, "shop-to-qa").get("/api/overview?search=DEV/SHOP").json()

    assert [each["name"] for each in found["policies"]] == ["shop-to-qa"]
    assert len(found["nodes"]) == 2


def test_whoever_may_not_see_the_dag_sees_nothing_of_its_policy(pages: Pages) -> None:
    pages.write_policy()
    _promoted(pages)
    stranger = pages.seen_by("another")

    assert POLICY not in stranger.get("/").text
    assert DIGEST[:19] not in stranger.get("/history").text
    assert stranger.get("/api/promotions").json()["promotions"] == []
    assert stranger.get(f"/api/promotions?policy={POLICY}").json()["promotions"] == []
    assert stranger.get("/api/promotions.json").json() == []
    assert stranger.get("/api/promotions.csv").text.count("\n") == 1
    for path in (f"/policies/{POLICY}", f"/images/{DIGEST}"):
        assert stranger.get(path).status_code == 404
        assert stranger.get(f"/api{path}").status_code == 404
    assert DIGEST[:19] not in stranger.get(f"/runs/{POLICY}/manual__1.4-stable").text


def test_the_colon_of_a_digest_is_not_escaped_in_links(pages: Pages) -> None:
    """Airflow's page would load the frame twice, and show nothing for a moment."""
    pages.write_policy()
    _promoted(pages)

    page = pages.seen_by(POLICY).get("/history").text

    assert f'href="/airflow/image-promotion/images/{DIGEST}"' in page


def test_a_waiting_image_says_what_it_waits_for_and_until_when(pages: Pages) -> None:
    pages.write_policy()
    run = pages.story.run()
    seen = pages.story.scan_tags(run, {"1.5-stable": DIGEST})["1.5-stable"]
    part = Reason("critical = 0", "unknown", "= 0", "no report yet", "", (), 7, ("CVE-2026-1",))
    reason = Reason("all of", "unknown", "all", "not all", "", (part,))
    new = NewDecision(seen.id, Outcome.WAIT, (reason,), wait_until=NOW + timedelta(days=1))
    pages.ledger.decide(run, [new], NOW)

    page = pages.seen_by(POLICY).get(f"/images/{DIGEST}").text

    assert "It waits until <time" in page
    assert "2026-03-02 14:00:00 UTC" in page
    for said in ("not known", "no report yet", "(7)", "CVE-2026-1"):
        assert said in page
    overview = pages.seen_by(POLICY).get("/api/overview").json()
    assert overview["policies"][0]["waiting"] == 1


def test_the_policy_is_told_in_words_with_an_example_and_its_file(pages: Pages) -> None:
    pages.write_policy()
    _promoted(pages, "2.0-stable")

    page = pages.seen_by(POLICY).get(f"/policies/{POLICY}").text
    document = pages.seen_by(POLICY).get(f"/api/policies/{POLICY}").json()

    assert "Promotes images from <code>dev/website</code>" in page
    assert "2.0-stable → <b>2.0-stable-2026</b>" in page
    assert "website-to-qa.yaml" in page
    assert document["text"] == (pages.folder / "website-to-qa.yaml").read_text()
    assert document["examples"] == [
        {
            "template": "%n-%Y",
            "source_tag": "2.0-stable",
            "tag": "2.0-stable-2026",
            "problem": "",
        }
    ]


def test_a_policy_of_which_there_is_no_file_is_shown_as_its_last_run_had_it(pages: Pages) -> None:
    pages.write_policy()
    file = pages.folder / "website-to-qa.yaml"
    policy = load_policy(file)
    version = PolicyVersion(policy.name, policy.hash, policy.document())
    pages.ledger.begin_run(version, key=f"{POLICY}/1", kind="manual", at=NOW)
    file.unlink()

    page = pages.seen_by(POLICY).get(f"/policies/{POLICY}").text

    assert "this server does not have the file" in page
    assert "repository: dev/website" in page


def test_a_file_that_changes_is_read_again(pages: Pages) -> None:
    pages.write_policy()
    client = pages.seen_by(POLICY)
    assert "dev/website" in client.get("/").text

    pages.write_policy(source=("dev_registry", "dev/something-else"))

    assert "dev/something-else" in client.get("/").text


def test_empty_pages_say_what_to_do_first(pages: Pages) -> None:
    client = pages.seen_by()

    assert "include/policies/" in client.get("/").text
    assert "Nothing has been promoted yet" in client.get("/history").text
    assert "No promotion matches" in client.get("/history?tag=1").text
    assert "is no promotion policy" in client.get("/policies/some-other-dag").text


def test_what_cannot_be_read_of_a_question_is_said(pages: Pages) -> None:
    page = pages.seen_by().get("/history?state=gone&since=tomorrow&after=nowhere")

    assert page.status_code == 200
    for said in ("gone is no state", "tomorrow is no date", "not where the address says"):
        assert said in page.text
    assert pages.seen_by().get("/api/promotions?after=nowhere").status_code == 422
    assert pages.seen_by().get("/api/promotions?state=gone").status_code == 422


def test_hostile_names_are_text(pages: Pages) -> None:
    story = pages.story
    pages.write_policy()
    run = story.run(key=f"{POLICY}/{HOSTILE}")
    (seen,) = pages.ledger.observe(
        run,
        [Sighting(HOSTILE, HOSTILE, DIGEST)],
        complete_repositories=[],
        tags_seen=1,
        tags_rejected_by_name=0,
        at=story.now(),
    )
    reason = Reason(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (), 1, (HOSTILE,))
    story.decide(run, seen, reasons=(reason,))
    promotion = story.plan(
        run, seen, target_repository=HOSTILE, target_tag=HOSTILE, target_digest=DIGEST
    )
    pages.ledger.fail(promotion.id, error=HOSTILE, at=story.now(), run_key=run.key)
    story.decide(run, seen, reasons=(reason,))
    client = pages.seen_by(POLICY)
    # With a slash it would be another address.
    in_a_path = HOSTILE.replace("/", "")

    for path in (
        "/",
        f"/?search={HOSTILE}",
        "/history",
        f"/history?policy={HOSTILE}&repository={HOSTILE}&digest={HOSTILE}&since={HOSTILE}",
        f"/policies/{POLICY}",
        f"/policies/{in_a_path}",
        f"/images/{DIGEST}",
        f"/images/{in_a_path}",
        f"/runs/{POLICY}/{HOSTILE}",
    ):
        page = client.get(path)
        assert page.headers["content-type"].startswith("text/html"), path
        assert "<script>alert" not in page.text, path
        assert "<img" not in page.text, path
        assert page.headers["x-content-type-options"] == "nosniff"
    assert "&lt;script&gt;alert" in client.get("/history").text


def test_no_page_needs_script_or_style_of_its_own(pages: Pages) -> None:
    """What the Content-Security-Policy would not let in is not there."""
    pages.write_policy()
    _promoted(pages)
    client = pages.seen_by(POLICY)

    for path in ("/", "/history", f"/policies/{POLICY}", f"/images/{DIGEST}"):
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", text), path
        for source in re.findall(r'(?:src|href)="(/airflow/image-promotion/static/[^"]*)"', text):
            assert client.get(source.removeprefix("/airflow/image-promotion")).status_code == 200
    assert client.get("/static/../routes.py").status_code == 404


def test_a_ledger_that_cannot_be_read_is_said_with_what_to_do(pages: Pages) -> None:
    def unreadable() -> None:
        raise LedgerError("the ledger is not there", advice="Start it.")

    client = pages.seen_by(POLICY)
    pages.ledger._database.reading = unreadable  # type: ignore[assignment,method-assign]

    page, answer = client.get("/"), client.get("/api/overview")

    assert (page.status_code, answer.status_code) == (503, 503)
    assert "Start it." in page.text
    assert "Start it." in answer.json()["detail"]


def test_the_api_is_described_and_answers_as_described(pages: Pages) -> None:
    pages.write_policy()
    _promoted(pages)
    client = pages.seen_by(POLICY)

    paths = client.get("/api/openapi.json").json()["paths"]

    assert set(paths) == {
        "/api/connections",
        "/api/connections/{connection_id}/check",
        "/api/connections/{connection_id}/repositories",
        "/api/connections/{connection_id}/tags",
        "/api/form/preview",
        "/api/images/{digest}",
        "/api/outlook",
        "/api/overview",
        "/api/policies/{name}",
        "/api/policies/{name}/actions",
        "/api/policies/{name}/connect",
        "/api/policies/{name}/enabled",
        "/api/policies/{name}/form",
        "/api/policies/{name}/outlook",
        "/api/policies/{name}/repositories",
        "/api/policies/{name}/runs",
        "/api/policies/{name}/tags",
        "/api/policies/{name}/trial",
        "/api/promotions",
        "/api/promotions.csv",
        "/api/promotions.json",
        "/api/running",
    }
    assert client.get(f"/api/images/{DIGEST}").json()["sights"][0]["reasons"][0]["trigger"] == (
        HELD[0].trigger
    )
