"""The Promotions page within Airflow's own, in a real browser, with real promotions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect

from tests.support.airflow_server import NEVER_RUN, WEBSITE, FinishedRun, RunningAirflow

PICTURES_VARIABLE = "PICTURES_FOLDER"
"""The folder that gets the pictures of the pages; without it they go with the test."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures go."""
    folder = Path(os.environ.get(PICTURES_VARIABLE) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    """An empty page of theirs, which notes what the browser would not let in."""
    page = signed_in.new_page()
    refused: list[str] = []
    page.on(
        "console",
        lambda message: (
            refused.append(message.text)
            if "Content Security Policy" in message.text and "image-promotion" in message.text
            else None
        ),
    )
    yield page
    page.close()
    assert refused == []


def _frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title=Promotions]")


def _picture(page: Page, path: Path) -> None:
    """Show the page in both themes, as Airflow is told to, and save both."""
    for theme in ("light", "dark"):
        page.evaluate(
            """theme => {
                localStorage.setItem("theme", theme);
                dispatchEvent(new StorageEvent("storage", {key: "theme", newValue: theme}));
            }""",
            theme,
        )
        # Airflow's page follows, and ours follows Airflow's.
        expect(page.locator(f"html.{theme}")).to_be_attached()
        expect(_frame(page).locator(f"html[data-theme={theme}]")).to_be_attached()
        page.screenshot(path=path.with_name(f"{path.stem}-{theme}.png"), animations="disabled")


def test_an_image_is_followed_from_the_picture_to_the_log_of_its_verify_task(
    page: Page, airflow: RunningAirflow, website_run: FinishedRun, pictures: Path
) -> None:
    page.goto(airflow.process.url)
    page.get_by_role("link", name="Promotions").first.click()

    frame = _frame(page)
    expect(frame.get_by_role("heading", name="Pipeline")).to_be_visible()
    expect(frame.get_by_role("link", name="qa/website, connection qa_registry")).to_be_visible()
    _picture(page, pictures / "overview")

    frame.get_by_role("link", name=re.compile(f"^{WEBSITE}: verified")).click()
    expect(frame.get_by_role("heading", name=WEBSITE)).to_be_visible()
    _picture(page, pictures / "policy")
    frame.get_by_role("button", name="Connect").click()
    expect(frame.get_by_text("Connected.", exact=True)).to_be_visible()
    _picture(page, pictures / "connect")
    frame.get_by_role("link", name="All of them").click()
    expect(frame.get_by_role("heading", name="History")).to_be_visible()
    _picture(page, pictures / "history")
    frame.get_by_label("Tag", exact=True).fill("1.4-stable")
    frame.get_by_role("button", name="Filter").click()
    row = frame.get_by_role("row").filter(has_text="1.4-stable")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("manual, admin")
    row.get_by_role("link", name=re.compile("^sha256:")).click()
    expect(frame.get_by_role("heading", name="Image", exact=True)).to_be_visible()
    expect(frame.get_by_text('tag ends with "-stable"').first).to_be_visible()
    _picture(page, pictures / "image")

    section = frame.locator("section").filter(has_text="dev/website:1.4-stable")
    section.get_by_role("link", name="log of verified").click()
    page.wait_for_url(re.compile(r"/tasks/promote\.verify/mapped/\d+"))
    expect(page.get_by_text("dev/website:1.4-stable").first).to_be_visible()
    assert f"/dags/{WEBSITE}/runs/" in page.url
    assert website_run.state == "success"


def test_the_pages_that_answer_are_pictured_too(
    page: Page, airflow: RunningAirflow, website_run: FinishedRun, pictures: Path
) -> None:
    assert website_run.state == "success"
    page.goto(airflow.process.url)
    page.get_by_role("link", name="Promotions").first.click()
    frame = _frame(page)

    frame.get_by_role("link", name="New policy").first.click()
    frame.get_by_label("Name", exact=True).fill("website-to-production")
    frame.get_by_role("group", name="Source").get_by_label("Connection").fill("dev_registry")
    expect(frame.locator("#yaml")).to_contain_text("connection: dev_registry")
    _picture(page, pictures / "new")

    frame.get_by_role("link", name="Overview").first.click()
    frame.get_by_role("link", name=re.compile(f"^{NEVER_RUN}: ")).click()
    frame.get_by_role("button", name="Try a tag").click()
    frame.get_by_label("Tag", exact=True).fill("1.4-stable")
    frame.get_by_role("button", name="Try", exact=True).click()
    expect(frame.get_by_text("A run would promote it now.")).to_be_visible()
    _picture(page, pictures / "try")


def test_a_policys_dag_and_its_run_have_tabs(
    page: Page, airflow: RunningAirflow, website_run: FinishedRun
) -> None:
    page.goto(f"{airflow.process.url}/dags/{WEBSITE}")
    page.locator("a[href$='/plugin/promotion_policy']").click()
    expect(_frame(page).get_by_role("heading", name=WEBSITE)).to_be_visible()

    page.goto(f"{airflow.process.url}/dags/{WEBSITE}/runs/{website_run.run_id}")
    page.locator("a[href$='/plugin/promotions_of_run']").click()
    expect(_frame(page).get_by_text(f"{WEBSITE}/{website_run.run_id}")).to_be_visible()
    expect(_frame(page).get_by_role("row").filter(has_text="1.4-stable")).to_have_count(1)


@pytest.mark.parametrize("path", ["", "history", "api/overview", "api/promotions.csv"])
def test_who_is_not_signed_in_sees_nothing(airflow: RunningAirflow, path: str) -> None:
    url = f"{airflow.process.url}/image-promotion/{path}"

    assert httpx.get(url, trust_env=False).status_code == 401
