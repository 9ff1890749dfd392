"""What people do with a policy on its page, and what the page keeps them from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from sandbox.certificates import CertificateAuthority
from sandbox.ports import free_port
from sandbox.registry_process import RegistryProcess
from sandbox.token_service import PULL, TokenService, User
from tests.support.airflow_server import (
    NEVER_RUN,
    USER,
    WAITS,
    WEBSITE,
    FinishedRun,
    RunningAirflow,
)

ALL_WRONG = "everything-wrong"
WRONG_PASSWORD = "canary-wr0ng-Pa55phrase"
PULLER = "puller"

WRONG: Mapping[str, str | re.Pattern[str]] = {
    "qa_wrong_password": "does not accept the user name and the password",
    "qa_not_there": "refuses the connection",
    "qa_unknown_authority": re.compile("certificate"),
    "qa_pull_only": re.compile("may not (push|write)|denied"),
}


@pytest.fixture(scope="module")
def all_wrong(airflow: RunningAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A policy of which each end is wrong in a way of its own."""
    folder = tmp_path_factory.mktemp("wrong")
    authority = CertificateAuthority.create(folder / "authority")
    puller = User(WRONG_PASSWORD, {"qa/*": PULL})
    with (
        TokenService.start(folder / "tokens", users={PULLER: puller}) as tokens,
        RegistryProcess.start(folder / "pull", token_auth=tokens) as pull_only,
        RegistryProcess.start(folder / "tls", tls=authority.server()) as unknown_authority,
    ):
        login = {"login": USER, "password": WRONG_PASSWORD}
        airflow.add_connection("qa_wrong_password", airflow.qa.url, **login)
        airflow.add_connection("qa_not_there", f"http://127.0.0.1:{free_port()}")
        airflow.add_connection("qa_unknown_authority", unknown_authority.url)
        airflow.add_connection("qa_pull_only", pull_only.url, login=PULLER, password=WRONG_PASSWORD)
        document = {
            "name": ALL_WRONG,
            "source": {"connection": "dev_registry", "repository": "dev/nothing-here"},
            "targets": [{"connection": each, "repository": "qa/website"} for each in WRONG],
            "triggers": [{"vulnerabilities": {"critical": "= 0"}}],
        }
        airflow.add_policy(ALL_WRONG, document)
        yield ALL_WRONG


@pytest.fixture
def page(signed_in: BrowserContext) -> Iterator[Page]:
    page = signed_in.new_page()
    yield page
    page.close()


@dataclass(frozen=True)
class Trying:
    """A page on which tags are tried."""

    page: Page
    airflow: RunningAirflow

    def try_tag(self, policy: str, tag: str) -> None:
        self.page.goto(_address(self.airflow, f"policies/{policy}/try"))
        self.page.get_by_label("Tag", exact=True).fill(tag)
        self.page.get_by_role("button", name="Try").click()


@pytest.fixture
def trying(page: Page, airflow: RunningAirflow, website_run: FinishedRun) -> Trying:
    """A page beside a run that has promoted already."""
    assert website_run.state == "success"
    return Trying(page, airflow)


def _address(airflow: RunningAirflow, path: str) -> str:
    return f"{airflow.process.url}/image-promotion/{path}"


def test_connect_tries_both_sides(page: Page, airflow: RunningAirflow) -> None:
    page.goto(_address(airflow, f"policies/{WEBSITE}"))

    page.get_by_role("button", name="Connect").click()

    expect(page.get_by_text("Connected.", exact=True)).to_be_visible()
    checks = page.locator(".checks li")
    expect(checks).to_have_count(2)
    expect(checks.nth(0)).to_contain_text("Source works")
    expect(checks.nth(1)).to_contain_text("Target works")


def test_connect_says_of_each_end_what_is_wrong(
    page: Page, airflow: RunningAirflow, all_wrong: str
) -> None:
    page.goto(_address(airflow, f"policies/{all_wrong}"))

    page.get_by_role("button", name="Connect").click()

    expect(page.get_by_text("Not connected.", exact=True)).to_be_visible()
    checks = page.locator(".checks li")
    expect(checks.filter(has_text="Source does not work")).to_contain_text("dev/nothing-here")
    for connection, said in WRONG.items():
        expect(checks.filter(has_text=connection)).to_contain_text(said)
    assert WRONG_PASSWORD not in page.content()


@pytest.mark.parametrize(
    ("policy", "tag", "said"),
    [
        (WEBSITE, "1.4-stable", "this image already"),
        (WEBSITE, "1.5-rc1", "It is rejected."),
        (NEVER_RUN, "1.4-stable", "A run would promote it now."),
        (WAITS, "1.4-stable", "It waits"),
        (WEBSITE, "9.9-stable", "there is no tag 9.9-stable"),
    ],
)
def test_a_tag_is_tried_and_nothing_is_written(
    trying: Trying, policy: str, tag: str, said: str
) -> None:
    before = trying.airflow.history(policy)

    trying.try_tag(policy, tag)

    expect(trying.page.get_by_role("main")).to_contain_text(said)
    assert trying.airflow.history(policy) == before


def test_a_viewer_sees_no_buttons_and_gets_nothing_by_asking_all_the_same(
    viewing: BrowserContext, airflow: RunningAirflow
) -> None:
    page = viewing.new_page()
    page.goto(_address(airflow, f"policies/{WEBSITE}"))
    expect(page.get_by_role("heading", name=WEBSITE)).to_be_visible()

    in_main = page.get_by_role("main").get_by_role("button")
    expect(in_main).to_have_count(0)
    expect(page.get_by_role("link", name=re.compile("New policy|Open in form"))).to_have_count(0)
    runs = airflow.get(f"/api/v2/dags/{WEBSITE}/dagRuns")["total_entries"]
    for path in ("runs", "pause", "resume", "connect", "edit"):
        forged = viewing.request.post(
            _address(airflow, f"policies/{WEBSITE}/{path}"),
            form={"do": "promote"},
            headers={"Sec-Fetch-Site": "same-origin"},
            max_redirects=0,
        )
        assert forged.status == httpx.codes.FORBIDDEN, path
    assert airflow.get(f"/api/v2/dags/{WEBSITE}/dagRuns")["total_entries"] == runs
    page.close()


def test_a_page_of_another_site_cannot_press_a_button(
    signed_in: BrowserContext, airflow: RunningAirflow
) -> None:
    page = signed_in.new_page()
    address = _address(airflow, f"policies/{WEBSITE}/pause")
    page.route("http://elsewhere.example/", lambda route: route.fulfill(body="<!doctype html>"))
    page.goto("http://elsewhere.example/")

    with page.expect_navigation() as navigation:
        page.evaluate(
            """address => {
                const form = Object.assign(document.createElement("form"), {
                    method: "post", action: address
                });
                document.body.append(form);
                form.submit();
            }""",
            address,
        )

    assert navigation.value is not None
    assert navigation.value.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
    # With the cookie, as a browser sends it that does not know SameSite.
    forged = signed_in.request.post(
        address, headers={"Origin": "http://elsewhere.example"}, max_redirects=0
    )
    assert forged.status == httpx.codes.FORBIDDEN
    assert airflow.get(f"/api/v2/dags/{WEBSITE}")["is_paused"] is False
    page.close()
