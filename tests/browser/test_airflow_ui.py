"""What a person sees in Airflow's own pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.airflow_pages import open_run
from tests.support.airflow_server import USER, WEBSITE, FinishedRun, RunningAirflow


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    """An empty page of theirs."""
    page = signed_in.new_page()
    yield page
    page.close()


def test_a_run_shows_the_images_by_name(
    page: Page, airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    open_run(page, airflow.process, website_run.dag_id, website_run.run_id)

    for tag in ("1.0-stable", "1.4-stable"):
        name = page.get_by_role("link", name=f"dev/website:{tag}", exact=True)
        # One each for copy, retag and verify.
        expect(name).to_have_count(3)
    expect(page.get_by_text("dev/website:1.5-rc1")).to_have_count(0)
    for task in ("copy [ ]", "retag [ ]", "verify [ ]"):
        expect(page.get_by_text(task, exact=True)).to_be_visible()


def test_the_dag_docs_say_what_the_policy_does(page: Page, airflow: RunningAirflow) -> None:
    page.goto(f"{airflow.process.url}/dags/{WEBSITE}")

    page.get_by_role("button", name="Dag Docs").click()

    docs = page.get_by_role("dialog")
    expect(docs).to_contain_text("Stable builds of the website go to QA.")
    expect(docs).to_contain_text("Promotes images from dev/website (connection dev_registry)")
    expect(docs).to_contain_text("An image is promoted when all of these hold:")


def test_the_import_errors_name_both_broken_policies(page: Page, airflow: RunningAirflow) -> None:
    page.goto(airflow.process.url)

    page.get_by_role("button", name=re.compile("Dag Import Error")).click()
    errors = page.get_by_role("dialog")
    errors.get_by_text("policy_errors.py").first.click()

    expect(errors).to_contain_text("typing-error.yaml:10:")
    expect(errors).to_contain_text("did you mean ends_with?")
    expect(errors).to_contain_text("no-legal-tag.yaml:8:")


def test_a_manual_run_is_asked_for_in_a_form(
    page: Page, airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    page.goto(f"{airflow.process.url}/dags/{WEBSITE}")

    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_placeholder("Enter each string on a new line").fill("1.4-stable\n2.0-stable")
    form.get_by_text("Dry run", exact=False).first.click()
    expect(form.get_by_text("Decide again", exact=False).first).to_be_visible()
    with page.expect_response(re.compile(r"/dagRuns$")) as answer:
        form.get_by_role("button", name="Trigger").click()

    run = answer.value.json()
    assert run["dag_run_id"] != website_run.run_id
    assert run["conf"] == {
        "tags": ["1.4-stable", "2.0-stable"],
        "dry_run": True,
        "decide_again": False,
        "override_reason": "",
    }


def test_the_connection_form_has_our_fields(page: Page, airflow: RunningAirflow) -> None:
    page.goto(f"{airflow.process.url}/connections")
    page.get_by_role("row", name=re.compile("qa_registry")).get_by_role(
        "button", name="Edit Connection"
    ).click()

    form = page.get_by_role("dialog")
    for label in ("Registry URL", "User name", "Password or access token"):
        expect(form.get_by_text(label, exact=True)).to_be_visible()
    form.get_by_text("Extra Fields", exact=True).click()
    for label in (
        "Registry type",
        "Namespace prefix",
        "CA certificate",
        "Skip TLS verification",
        "Repository to test",
    ):
        expect(form.get_by_text(label, exact=True)).to_be_visible()


def test_the_test_button_tries_a_stored_connection(page: Page, airflow: RunningAirflow) -> None:
    page.goto(f"{airflow.process.url}/connections")
    row = page.get_by_role("row", name=re.compile("qa_registry"))

    with page.expect_response(re.compile("/connections/test$")) as answer:
        row.get_by_role("button", name="Test Connection").click()

    assert answer.value.ok, answer.value.text()
    assert answer.value.json()["status"] is True
    assert f"knows {USER}" in answer.value.json()["message"]
