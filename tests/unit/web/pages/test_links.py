"""Wherever the pages lead, there is something."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from starlette.testclient import TestClient

from tests.unit.web.pages.conftest import Pages
from tests.unit.web.pages.populated import populate

_BASE = "/airflow/image-promotion"
_HEADERS = {
    "content-security-policy": "script-src 'self'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class _Links(HTMLParser):
    """Collects what a page leads to or loads, and where its forms lead that only read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            wanted = named.get("action") if named.get("method", "get") == "get" else None
        else:
            wanted = named.get("href") or named.get("src")
        if wanted:
            self.found.append(wanted)


def _leads_to(address: str, text: str) -> set[str]:
    """List the addresses of ours that a page names."""
    links = _Links()
    links.feed(text)
    whole = (urlsplit(urljoin(address, each)) for each in links.found)
    return {
        each._replace(fragment="").geturl()
        for each in whole
        if not each.netloc and each.path.startswith(f"{_BASE}/")
    }


def _walk(client: TestClient, start: str) -> dict[str, str]:
    """Follow every link from a page on; return what each answer is of, by its address."""
    kinds: dict[str, str] = {}
    waiting = {start}
    while waiting:
        address = waiting.pop()
        answer = client.get(address.removeprefix(_BASE))
        kinds[address] = answer.headers.get("content-type", "").partition(";")[0]
        assert answer.status_code == 200, f"{address}: {answer.text}"
        for name, value in _HEADERS.items():
            assert value in answer.headers.get(name, ""), f"{name} of {address}"
        if kinds[address] == "text/html":
            waiting |= _leads_to(address, answer.text) - kinds.keys()
    return kinds


def test_every_link_leads_somewhere_and_every_answer_has_the_headers(pages: Pages) -> None:
    there = populate(pages)
    client = pages.seen_by(*there.policies)

    kinds = _walk(client, f"{_BASE}/")

    assert set(kinds.values()) >= {"text/html", "text/css", "text/javascript", "text/csv"}
    assert {f"{_BASE}/policies/{name}" for name in there.policies} <= kinds.keys()
    promoted = there.digests[:2]
    assert {f"{_BASE}/images/{digest}" for digest in promoted} <= kinds.keys()
