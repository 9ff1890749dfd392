"""Airflow's pages in Chromium: signing in, and the picture of a run that the README shows.

`python -m tests.support.airflow_pages PATH` starts registries and an Airflow, runs a policy and
saves the picture.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from sandbox.airflow_process import AirflowProcess
from tests.support.airflow_server import WEBSITE, start

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

TIMEOUT_MS = 120_000
"""Airflow's pages take their time on a busy machine."""


def launch(playwright: Playwright) -> Browser:
    """Start the machine's own Chromium, without a window."""
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    # As root, Chromium refuses its sandbox; it looks at nothing but our own server.
    return playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


def sign_in(page: Page, airflow: AirflowProcess) -> None:
    """Sign in as Airflow's only user, by its form."""
    page.context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    page.goto(airflow.url)
    page.fill("input[name=username]", airflow.username)
    page.fill("input[name=password]", airflow.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Welcome")).to_be_visible()


def context_of(browser: Browser, airflow: AirflowProcess, user: str) -> BrowserContext:
    """Give the browser of a user who has signed in before.

    Args:
        browser: The browser.
        airflow: The Airflow.
        user: The user's name.

    Returns:
        The context.
    """
    context = browser.new_context(viewport={"width": 1500, "height": 960})
    context.add_cookies(
        [{"name": "_token", "value": airflow.token(user), "url": airflow.url, "httpOnly": True}]
    )
    context.set_default_timeout(TIMEOUT_MS)
    return context


def open_run(page: Page, airflow: AirflowProcess, dag_id: str, run_id: str) -> None:
    """Show a run: its tasks in the grid, its task instances by image in the list."""
    page.goto(f"{airflow.url}/dags/{dag_id}/runs/{quote(run_id)}?sort=map_index")
    page.get_by_role("button", name="Expand all task groups").first.click()
    expect(page.get_by_text("promote.verify").first).to_be_visible()


def picture_run(airflow: AirflowProcess, dag_id: str, run_id: str, path: Path) -> None:
    """Save the picture of a finished run.

    Args:
        airflow: The Airflow.
        dag_id: The DAG.
        run_id: The run.
        path: Where the picture goes, as PNG.
    """
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1500, "height": 960})
        sign_in(page, airflow)
        open_run(page, airflow, dag_id, run_id)
        page.wait_for_load_state("networkidle")
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, animations="disabled")
        browser.close()


def main(path: Path) -> None:
    """Run a policy in an Airflow of its own and save the picture of the run."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as airflow:
        run_id = airflow.trigger(WEBSITE)
        airflow.wait(WEBSITE, run_id)
        picture_run(airflow.process, WEBSITE, run_id, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
