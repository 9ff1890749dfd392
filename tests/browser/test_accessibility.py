"""The pages for people who do not use a mouse, a wide window or their eyes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from fastapi import FastAPI
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page, ViewportSize

from image_promotion.ledger.ledger import Ledger
from tests.support.pages_server import serve
from tests.unit.web.pages.conftest import open_pages
from tests.unit.web.pages.populated import (
    FAILED,
    POLICY,
    VERIFIED,
    WAITING,
    populate,
)

_NARROW = ViewportSize(width=360, height=740)
_WIDE = ViewportSize(width=1400, height=900)
_MOST_TABS = 200

# What the keyboard should reach, each with its number and some words.
_FOCUSABLE = """() => {
    const kinds = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    window.inOrder = [...document.querySelectorAll(kinds)].filter(
        (each) =>
            each.tabIndex >= 0 && each.type !== "hidden" && !each.disabled && each.checkVisibility()
    );
    window.look = (each) => {
        const drawn = each.ownerSVGElement ? each.querySelector("rect") : each;
        const style = getComputedStyle(drawn);
        return [style.outlineStyle, style.outlineWidth, style.strokeWidth, style.left].join();
    };
    window.blurred = inOrder.map(look);
    return inOrder.map((each, at) => `${at} ${each.tagName} ${each.textContent.trim()}`);
}"""

# The number of what has the focus, and whether it differs from how it looked without.
_FOCUSED = """() => {
    const at = inOrder.indexOf(document.activeElement);
    return at < 0 ? [null, false] : [at, look(inOrder[at]) !== blurred[at]];
}"""

PARTS = {"/running"}
"""What pages fetch to renew a part of themselves, and is none itself."""

PATHS = (
    "",
    "?search=nothing",
    "history",
    "history?state=gone&tag=none",
    f"runs/{POLICY}/manual__1",
    f"tasks/{POLICY}/manual__1?map_index=0",
    f"policies/{POLICY}",
    f"policies/{POLICY}/edit",
    f"policies/{POLICY}/outlook",
    f"policies/{POLICY}/try",
    f"policies/{POLICY}/try?tag=1.4-stable",
    "policies/none",
    "new",
    f"new/saved/{POLICY}",
    f"images/{VERIFIED}",
    f"images/{FAILED}",
    f"images/{WAITING}",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """Pages with something of everything to show, for somebody who may do everything."""
    folder = tmp_path_factory.mktemp("pages")
    ledger = folder / "empty.db"
    Ledger.open(f"sqlite:///{ledger}").close()
    with open_pages(folder, ledger) as pages:
        there = populate(pages)
        pages.seen_by(*there.policies)
        yield pages.app


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with serve(app) as served:
        yield served


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """A page on which nothing that strangers wrote may run."""
    opened = chromium.new_page(viewport=_WIDE)
    ran: list[str] = []
    opened.on("dialog", lambda dialog: ran.append(dialog.message))
    yield opened
    opened.close()
    assert ran == []


def test_each_kind_of_page_is_looked_at(app: FastAPI) -> None:
    pages = {
        route.path
        for route in app.routes
        if isinstance(route, APIRoute)
        and not route.include_in_schema
        and "GET" in route.methods
        and not route.path.startswith(("/api/", "/static/"))
    }

    looked_at = {
        route.path
        for route in app.routes
        if isinstance(route, APIRoute)
        and any(route.path_regex.match(f"/{path.partition('?')[0]}") for path in PATHS)
    }

    assert pages - looked_at == PARTS


@pytest.mark.parametrize("path", PATHS)
def test_nothing_stands_in_the_way_in_either_theme_and_no_window_is_too_narrow(
    page: Page, url: str, path: str
) -> None:
    page.set_viewport_size(_NARROW)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.goto(url + path)

        found = Axe().run(page)

        assert not found.response["violations"], found.generate_report()
    wider = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wider <= 0


@pytest.mark.parametrize("path", PATHS)
def test_the_keyboard_reaches_everything_in_its_order_and_shows_where_it_is(
    page: Page, url: str, path: str
) -> None:
    page.set_viewport_size(_WIDE)
    page.goto(url + path)
    there = page.evaluate(_FOCUSABLE)

    reached: list[int] = []
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        number, is_seen = page.evaluate(_FOCUSED)
        if number is None or (number == 0 and reached):
            break
        # The parts of a date are one field, and show the rest themselves.
        if reached[-1:] != [number]:
            assert is_seen, there[number]
            reached.append(number)

    assert [there[number] for number in reached] == there
    assert there[0].endswith("Skip to content")


def test_the_link_past_the_navigation_leads_past_it(page: Page, url: str) -> None:
    page.goto(f"{url}history")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('main') !== null")
