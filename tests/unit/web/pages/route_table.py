"""Every route of the pages and of their API, and the right that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi import FastAPI
from starlette.routing import Route

POLICY = "website-to-qa"
OTHERS_POLICY = "secret-to-qa"
DIGEST = f"sha256:{'ab' * 32}"


class Right(StrEnum):
    """What somebody may do, beside seeing the DAG of the policy that a route is about."""

    SEE = "see"
    TRIGGER = "trigger"
    PAUSE = "pause"
    EDIT_CONNECTIONS = "edit connections"


@dataclass(frozen=True)
class Asked:
    """A request that makes sense.

    Args:
        right: What it takes.
        query: The query.
        json: The body, for the API.
        form: The body, for pages.
    """

    right: Right = Right.SEE
    query: str = ""
    json: object = None
    form: Mapping[str, str] | None = None


SEE = Asked()
TRIGGER = Asked(Right.TRIGGER)
EDIT = Asked(Right.EDIT_CONNECTIONS)
READ_CHECK = {"repository": "dev/website", "use": "read"}

TABLE: Mapping[tuple[str, str], Asked] = {
    ("GET", "/"): SEE,
    ("GET", "/history"): SEE,
    ("GET", "/images/{digest}"): SEE,
    ("GET", "/running"): SEE,
    ("GET", "/runs/{dag_id}/{run_id:path}"): SEE,
    ("GET", "/static/{name}"): SEE,
    ("GET", "/tasks/{dag_id}/{run_id:path}"): SEE,
    ("GET", "/policies/{name}"): SEE,
    ("GET", "/policies/{name}/outlook"): TRIGGER,
    ("GET", "/policies/{name}/try"): TRIGGER,
    ("POST", "/policies/{name}/runs"): Asked(Right.TRIGGER, form={"do": "promote"}),
    ("POST", "/policies/{name}/pause"): Asked(Right.PAUSE),
    ("POST", "/policies/{name}/resume"): Asked(Right.PAUSE),
    ("POST", "/policies/{name}/connect"): EDIT,
    ("GET", "/policies/{name}/edit"): EDIT,
    ("POST", "/policies/{name}/edit"): Asked(Right.EDIT_CONNECTIONS, form={"do": "show"}),
    ("GET", "/new"): EDIT,
    ("POST", "/new"): Asked(Right.EDIT_CONNECTIONS, form={"do": "show"}),
    ("GET", "/new/saved/{name}"): EDIT,
    ("GET", "/api/openapi.json"): SEE,
    ("GET", "/api/overview"): SEE,
    ("GET", "/api/running"): SEE,
    ("GET", "/api/promotions"): SEE,
    ("GET", "/api/promotions.csv"): SEE,
    ("GET", "/api/promotions.json"): SEE,
    ("GET", "/api/images/{digest}"): SEE,
    ("GET", "/api/policies/{name}"): SEE,
    ("GET", "/api/policies/{name}/actions"): SEE,
    ("GET", "/api/policies/{name}/outlook"): TRIGGER,
    ("GET", "/api/policies/{name}/repositories"): TRIGGER,
    ("GET", "/api/policies/{name}/tags"): TRIGGER,
    ("GET", "/api/policies/{name}/trial"): Asked(Right.TRIGGER, query="?tag=1.0-stable"),
    ("POST", "/api/policies/{name}/runs"): Asked(Right.TRIGGER, json={}),
    ("PUT", "/api/policies/{name}/enabled"): Asked(Right.PAUSE, json={"enabled": True}),
    ("POST", "/api/policies/{name}/connect"): EDIT,
    ("GET", "/api/policies/{name}/form"): EDIT,
    ("GET", "/api/connections"): EDIT,
    ("GET", "/api/connections/{connection_id}/repositories"): EDIT,
    ("GET", "/api/connections/{connection_id}/tags"): Asked(
        Right.EDIT_CONNECTIONS, query="?repository=dev/website"
    ),
    ("POST", "/api/connections/{connection_id}/check"): Asked(
        Right.EDIT_CONNECTIONS, json=READ_CHECK
    ),
    ("POST", "/api/form/preview"): Asked(Right.EDIT_CONNECTIONS, json={"form": {}}),
    ("POST", "/api/outlook"): Asked(Right.EDIT_CONNECTIONS, json={"yaml": "name: x"}),
}
"""What each route takes; a test holds it to the routes that there are."""


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Collect the routes of an application: each method and path."""
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def path_of(route: str, policy: str = POLICY) -> str:
    """Put names into a route's path."""
    values = {
        "{name}": "page.css" if route.startswith("/static/") else policy,
        "{digest}": DIGEST,
        "{dag_id}": policy,
        "{run_id:path}": "manual__1",
        "{connection_id}": "dev_registry",
    }
    for placeholder, value in values.items():
        route = route.replace(placeholder, value)
    return route
