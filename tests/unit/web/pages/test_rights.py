"""Who may do what, at every route that there is, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from image_promotion.web.application import application
from image_promotion.web.pages.access import pausable_dags, runnable_dags
from tests.unit.web.pages.conftest import Pages
from tests.unit.web.pages.route_table import (
    OTHERS_POLICY,
    POLICY,
    TABLE,
    Right,
    path_of,
    routes_of,
)

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

WEBHOOK = ("POST", "/webhooks/{connection_id}")

WRITING = [each for each in TABLE if each[0] != "GET"]
OF_POLICIES = [each for each in TABLE if "/policies/{name}" in each[1]]


@pytest.fixture
def visited(pages: Pages) -> Pages:
    pages.write_policy(POLICY)
    pages.write_policy(OTHERS_POLICY)
    return pages


def _send(
    client: TestClient,
    method: str,
    route: str,
    *,
    policy: str = POLICY,
    headers: Mapping[str, str] | None = None,
) -> Response:
    asked = TABLE[method, route]
    answer: Response = client.request(
        method,
        f"{path_of(route, policy)}{asked.query}",
        json=asked.json,
        data=asked.form,
        headers=headers,
        follow_redirects=False,
    )
    return answer


def _somebody(
    pages: Pages, *, triggers: bool = False, pauses: bool = False, edits: bool = False
) -> TestClient:
    pages.triggers, pages.edits_connections = triggers, edits
    client = pages.seen_by(POLICY)
    named = frozenset({POLICY})
    pages.app.dependency_overrides[runnable_dags] = lambda: named if triggers else frozenset()
    pages.app.dependency_overrides[pausable_dags] = lambda: named if pauses else frozenset()
    return client


def _refusing(right: Right) -> dict[tuple[str, str], bool]:
    """Say of each route whether it takes the right."""
    return {route: asked.right is right for route, asked in TABLE.items()}


def test_the_table_has_every_route_of_the_application(pages: Pages) -> None:
    assert routes_of(application()) - {WEBHOOK} == set(TABLE)
    assert routes_of(pages.app) == set(TABLE)


def test_nobody_gets_anything(visited: Pages) -> None:
    client = visited.seen_by_nobody()

    for route in TABLE:
        answer = _send(client, *route)

        assert (route, answer.status_code) == (route, 401)
        assert POLICY not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_whoever_may_only_look_is_refused_what_takes_more(visited: Pages) -> None:
    client = _somebody(visited)

    refused = {route: _send(client, *route).status_code == 403 for route in TABLE}

    assert refused == {route: not sees for route, sees in _refusing(Right.SEE).items()}
    assert visited.dags.told == []
    assert visited.registries.probed == []


@pytest.mark.parametrize("right", [each for each in Right if each is not Right.SEE])
def test_one_right_does_not_stand_for_another(visited: Pages, right: Right) -> None:
    client = _somebody(
        visited,
        triggers=right is not Right.TRIGGER,
        pauses=right is not Right.PAUSE,
        edits=right is not Right.EDIT_CONNECTIONS,
    )

    refused = {route: _send(client, *route).status_code == 403 for route in TABLE}

    assert refused == _refusing(right)


@pytest.mark.parametrize("right", Right)
def test_the_right_alone_is_enough(visited: Pages, right: Right) -> None:
    client = _somebody(
        visited,
        triggers=right is Right.TRIGGER,
        pauses=right is Right.PAUSE,
        edits=right is Right.EDIT_CONNECTIONS,
    )

    for route in [each for each, asked in TABLE.items() if asked.right is right]:
        code = _send(client, *route).status_code

        assert (route, code, code not in (401, 403) and code < 500) == (route, code, True)


def test_of_the_policies_of_others_nobody_learns_that_they_are_there(visited: Pages) -> None:
    client = _somebody(visited, triggers=True, pauses=True, edits=True)

    for route in OF_POLICIES:
        there = _send(client, *route, policy=OTHERS_POLICY)
        absent = _send(client, *route, policy="absent-to-qa")

        assert (route, there.status_code) == (route, 404)
        assert there.text.replace(OTHERS_POLICY, "") == absent.text.replace("absent-to-qa", "")
    assert visited.dags.told == []
    assert visited.registries.probed == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Cookie": "_token=x"},
    ],
    ids=["cross-site", "same-site", "origin", "null", "cookie"],
)
def test_another_site_cannot_have_anything_written(
    visited: Pages, headers: Mapping[str, str]
) -> None:
    client = _somebody(visited, triggers=True, pauses=True, edits=True)

    for method, route in WRITING:
        answer = _send(client, method, route, headers=headers)

        assert (route, answer.status_code) == (route, 403)
        assert "does not come from a page of this Airflow" in answer.text
        assert answer.headers["content-type"].startswith(
            "application/json" if route.startswith("/api/") else "text/html"
        )
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert visited.dags.told == []
    assert visited.registries.probed == []
    assert visited.saved == []


def test_our_own_pages_can(visited: Pages) -> None:
    client = _somebody(visited, triggers=True)
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver", "Cookie": "_token=x"}

    answer = _send(client, "POST", "/policies/{name}/runs", headers=ours)

    assert answer.status_code == 303
    assert len(visited.dags.told) == 1
