"""The address of what runs now: a part of a page, which a small script fetches again and again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from image_promotion.web.api.routes import MAX_TEXT
from image_promotion.web.pages.access import Readable, readable_dags
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import render
from image_promotion.web.pages.running import running

_Text = Annotated[str, Query(max_length=MAX_TEXT)]


def running_routes(site: Site) -> APIRouter:
    """Make the route of what runs now; it asks Airflow who is there.

    Args:
        site: Where it is from.

    Returns:
        The route; it only reads.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)

    @router.get("/running")
    def show_running(
        request: Request, readable: Readable, policy: _Text = "", digest: _Text = ""
    ) -> Response:
        found = running(site, readable, policy=policy, digest=digest)
        return render(request, "running.html", running=found, of_image=bool(digest))

    return router
