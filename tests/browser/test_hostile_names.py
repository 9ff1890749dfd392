"""What strangers write is text on every page: nothing of it runs, and it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.airflow_server import FinishedRun, RunningAirflow

POLICY = "hostile-to-qa"
SCRIPT = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(2)> \u202edesrever javascript:alert(3)"
)
PACKAGE = f"a-{SCRIPT}"


def _sbom(digest: str) -> dict[str, object]:
    """Write an SBOM, in the format CycloneDX, of one package that nobody would install."""
    package = {
        "type": "library",
        "name": PACKAGE,
        "version": "1",
        "purl": "pkg:generic/a@1",
        "licenses": [{"license": {"name": SCRIPT}}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "metadata": {"component": {"type": "container", "name": SCRIPT, "version": digest}},
        "components": [package],
    }


@pytest.fixture(scope="module")
def hostile_run(airflow: RunningAirflow, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run of a policy whose people and packages mean ill."""
    reports: Path = tmp_path_factory.mktemp("reports")
    digests = airflow.push("hostile", "1", "2")
    file = reports / f"{digests['1'].replace(':', '-')}.json"
    file.write_text(json.dumps(_sbom(digests["1"])))
    airflow.add_policy(
        POLICY,
        {
            "name": POLICY,
            "description": SCRIPT,
            "source": {"connection": "dev_registry", "repository": "dev/hostile"},
            "target": {"connection": "qa_registry", "repository": "qa/hostile"},
            "triggers": [
                {
                    "any": [
                        {"license": {"is_one_of": ["MIT"]}},
                        {"component": {"starts_with": "a-\"'><script>"}},
                    ]
                }
            ],
            "evidence": {"sources": [{"files": str(reports)}]},
            "schedule": "manual",
        },
    )
    run_id = airflow.trigger(POLICY)
    return FinishedRun(POLICY, run_id, airflow.wait(POLICY, run_id))


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may run but its own scripts."""
    page = signed_in.new_page()
    ran: list[str] = []
    page.on("dialog", lambda dialog: ran.append(dialog.message))
    page.on("console", lambda said: ran.append(said.text) if "Security" in said.text else None)
    yield page
    page.close()
    assert ran == []


def _expect_text(page: Page, address: str, *said: str) -> None:
    page.goto(address)
    for each in said:
        expect(page.get_by_text(each).first).to_be_attached()
    assert (
        page.locator("img, iframe, script:not([src]), [onerror], [href^=javascript]").count() == 0
    )


def test_what_people_and_packages_are_called_is_shown_and_does_nothing(
    page: Page, airflow: RunningAirflow, hostile_run: FinishedRun
) -> None:
    assert hostile_run.state == "success"
    ours = f"{airflow.process.url}/image-promotion"
    (digest,) = set(airflow.promoted("hostile").values())

    _expect_text(page, f"{ours}/", POLICY)
    _expect_text(page, f"{ours}/policies/{POLICY}", SCRIPT)
    _expect_text(page, f"{ours}/policies/{POLICY}/edit", SCRIPT)
    _expect_text(page, f"{ours}/policies/{POLICY}/try?tag=1", PACKAGE)
    _expect_text(page, f"{ours}/images/{digest}", PACKAGE, SCRIPT)
    # Airflow's own page shows the same words as the documentation of the Dag.
    page.goto(f"{airflow.process.url}/dags/{POLICY}")
    page.get_by_role("button", name="Dag Docs").click()
    expect(page.get_by_role("dialog")).to_contain_text("javascript:alert(3)")
