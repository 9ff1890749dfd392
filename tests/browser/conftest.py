from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.support.airflow_pages import TIMEOUT_MS, context_of, launch, sign_in
from tests.support.airflow_server import VIEWER, RunningAirflow


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser of all tests here; a thread can have no second one."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def signed_in(chromium: Browser, airflow: RunningAirflow) -> Iterator[BrowserContext]:
    """The browser of somebody who has signed in by Airflow's form, and may do everything."""
    context = chromium.new_context(viewport={"width": 1500, "height": 960})
    sign_in(context.new_page(), airflow.process)
    yield context
    context.close()


@pytest.fixture(scope="package")
def viewing(chromium: Browser, airflow: RunningAirflow) -> Iterator[BrowserContext]:
    """The browser of somebody who may see everything, and change nothing."""
    context = context_of(chromium, airflow.process, VIEWER)
    yield context
    context.close()
