"""Somebody makes a policy by clicking, and Airflow promotes by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from image_promotion.policy.loading import load_policy
from tests.support.airflow_server import RunningAirflow

POLICY = "made-by-clicking"


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    page = signed_in.new_page()
    yield page
    page.close()


def test_a_policy_is_made_by_clicking_and_its_dag_promotes(
    page: Page, airflow: RunningAirflow
) -> None:
    pushed = airflow.push("clicked", "1.0-stable", "1.1-rc1")
    page.goto(f"{airflow.process.url}/image-promotion/")
    page.get_by_role("link", name="New policy").first.click()

    page.get_by_label("Name", exact=True).fill(POLICY)
    page.get_by_label("Description").first.fill("Made by somebody who knows no YAML.")
    source = page.get_by_role("group", name="Source")
    source.get_by_label("Connection").fill("dev_registry")
    source.get_by_label("Repository").fill("dev/clicked")
    target = page.get_by_role("group", name="Target", exact=True)
    target.get_by_label("Connection").fill("qa_registry")
    target.get_by_label("Repository").fill("qa/clicked")
    target.get_by_label("Tag template").fill("%n-%Y")
    trigger = page.get_by_role("group", name=re.compile("^1: "))
    trigger.get_by_label("Operator").select_option("ends_with")
    trigger.get_by_label("Value").fill("-stable")
    page.get_by_label("It runs").select_option("0 3 * * *")
    expect(page.locator("#yaml")).to_contain_text("ends_with: -stable")

    page.get_by_role("button", name="What would it do now?").click()
    expect(page.get_by_text("1 of 2 tags would be promoted.")).to_be_visible()
    assert airflow.promoted("clicked") == {}

    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name=f"{POLICY} is saved")).to_be_visible()
    policy = load_policy(airflow.policies / f"{POLICY}.yaml")
    assert policy.description == "Made by somebody who knows no YAML."
    airflow.read_policy(POLICY)

    page.goto(f"{airflow.process.url}/image-promotion/policies/{POLICY}")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("runs by itself again")).to_be_visible()
    page.get_by_role("button", name="Promote now").click()
    run_id = page.get_by_role("status").get_by_role("link").inner_text()
    assert airflow.wait(POLICY, run_id) == "success"
    year = datetime.now(UTC).year
    assert airflow.promoted("clicked") == {f"1.0-stable-{year}": pushed["1.0-stable"]}


def test_who_may_only_look_makes_no_policy(
    viewing: BrowserContext, airflow: RunningAirflow
) -> None:
    page = viewing.new_page()
    answer = page.goto(f"{airflow.process.url}/image-promotion/new")
    assert answer is not None
    assert answer.status == httpx.codes.FORBIDDEN
    expect(page.get_by_text("the right to edit connections")).to_be_visible()
    page.close()
