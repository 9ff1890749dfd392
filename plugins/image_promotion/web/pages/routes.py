"""The pages' addresses."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette import status

from image_promotion.errors import PromotionError
from image_promotion.ledger.records import State
from image_promotion.web.api.models import PromotionPage
from image_promotion.web.api.routes import API, MAX_TEXT, api_routes
from image_promotion.web.pages import history
from image_promotion.web.pages.access import Readable, readable_dags
from image_promotion.web.pages.headers import SafeHeaders
from image_promotion.web.pages.image import image
from image_promotion.web.pages.overview import detail, overview
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.pipeline import draw
from image_promotion.web.pages.rendering import render, static_file

PAGE_SIZE = 50

_Text = Annotated[str, Query(max_length=MAX_TEXT)]


class Form(BaseModel):
    """The form above the history, as it is sent: what cannot be read is said on the page."""

    policy: str = Field("", max_length=MAX_TEXT)
    repository: str = Field("", max_length=MAX_TEXT)
    tag: str = Field("", max_length=MAX_TEXT)
    digest: str = Field("", max_length=MAX_TEXT)
    state: str = Field("", max_length=MAX_TEXT)
    since: str = Field("", max_length=MAX_TEXT)
    until: str = Field("", max_length=MAX_TEXT)
    run: str = Field("", max_length=MAX_TEXT)
    after: str = Field("", max_length=MAX_TEXT)


def add_pages(app: FastAPI, site: Site) -> None:
    """Put the pages and their API into an application.

    Args:
        app: The application.
        site: Where they have what they show from.
    """
    app.add_middleware(SafeHeaders)
    app.include_router(api_routes(site))
    app.include_router(page_routes(site))
    app.add_exception_handler(PromotionError, _say_what_failed)


def page_routes(site: Site) -> APIRouter:
    """Make the pages' routes; each asks Airflow who is there.

    Args:
        site: Where they have what they show from.

    Returns:
        The routes; all of them only read.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)

    @router.get("/")
    def show_overview(request: Request, readable: Readable, search: _Text = "") -> Response:
        found = overview(site, readable, search)
        picture = draw(found.policies, found.nodes, found.arrows)
        return render(request, "overview.html", found=found, picture=picture, search=search)

    @router.get("/history")
    def show_history(
        request: Request, readable: Readable, form: Annotated[Form, Query()]
    ) -> Response:
        problems, page = _page(site, readable, form)
        asked = form.model_dump(exclude={"after"})
        return render(
            request,
            "history.html",
            asked=asked,
            problems=problems,
            page=page,
            is_first=not form.after,
            states=[each.value for each in State],
            policies=list(site.shelf.policies(site.ledger(), readable)),
            query=urlencode({name: value for name, value in asked.items() if value}),
        )

    @router.get("/runs/{dag_id}/{run_id:path}")
    def show_run(request: Request, readable: Readable, dag_id: str, run_id: str) -> Response:
        return show_history(request, readable, Form(policy=dag_id, run=f"{dag_id}/{run_id}"))

    @router.get("/policies/{name}")
    def show_policy(request: Request, readable: Readable, name: str) -> Response:
        found = detail(site, readable, name)
        if found is None:
            return _nothing(request, f"{name} is no promotion policy that you may see.")
        asked = history.wanted(readable, policy=name)
        page = history.page(site.ledger(), asked, after=None, size=10)
        return render(request, "policy.html", policy=found, page=page)

    @router.get("/images/{digest}")
    def show_image(request: Request, readable: Readable, digest: str) -> Response:
        found = image(site, readable, digest)
        if found is None:
            return _nothing(request, f"No policy that you may see has seen the image {digest}.")
        return render(request, "image.html", image=found, now=site.now())

    @router.get("/static/{name}")
    def send_static(name: str) -> Response:
        found = static_file(name)
        if found is None:
            return Response(status_code=status.HTTP_404_NOT_FOUND)
        content, kind = found
        return Response(
            content, media_type=kind, headers={"Cache-Control": "private, max-age=3600"}
        )

    return router


def _page(site: Site, readable: frozenset[str], form: Form) -> tuple[list[str], PromotionPage]:
    """Read a page of the history, and say what of the question was not understood."""
    problems: list[str] = []
    state = None
    if form.state:
        try:
            state = State(form.state)
        except ValueError:
            problems.append(f"{form.state} is no state of a promotion.")
    place = history.place_of(form.after) if form.after else None
    if form.after and place is None:
        problems.append("The next page is not where the address says; this is the first.")
    wanted = history.wanted(
        readable,
        policy=form.policy,
        repository=form.repository,
        tag=form.tag,
        digest=form.digest,
        state=state,
        since=_day(form.since, problems),
        until=_day(form.until, problems),
        run=form.run,
    )
    return problems, history.page(site.ledger(), wanted, after=place, size=PAGE_SIZE)


def _day(text: str, problems: list[str]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"{text} is no date; write it as 2026-03-01.")
        return None


def _nothing(request: Request, said: str) -> Response:
    return render(
        request,
        "message.html",
        status_code=status.HTTP_404_NOT_FOUND,
        title="Nothing here",
        said=said,
        advice="",
    )


def _say_what_failed(request: Request, error: Exception) -> Response:
    """Say that the ledger cannot be read, to a person or to a program."""
    advice = error.advice if isinstance(error, PromotionError) else ""
    said = error.attempted if isinstance(error, PromotionError) else ""
    if f"{API}/" in request.url.path:
        return JSONResponse(
            {"detail": f"{said}. {advice}".strip()},
            status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
        )
    return render(
        request,
        "message.html",
        status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
        title="The promotions cannot be shown",
        said=said,
        advice=advice,
    )
