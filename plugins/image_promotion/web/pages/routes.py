"""The pages' addresses."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette import status

from image_promotion.errors import PromotionError
from image_promotion.web.api.routes import API, MAX_TEXT, api_routes
from image_promotion.web.body_limit import BodyLimit
from image_promotion.web.cross_site import SameSiteOnly
from image_promotion.web.form.routes import form_page_routes
from image_promotion.web.pages.access import Readable, note_rights, readable_dags
from image_promotion.web.pages.choosing import PolicyForm, Show, Sort
from image_promotion.web.pages.headers import SafeHeaders
from image_promotion.web.pages.history_routes import history_routes
from image_promotion.web.pages.image import image
from image_promotion.web.pages.overview import overview
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.pipeline import draw
from image_promotion.web.pages.policy_routes import policy_page_routes
from image_promotion.web.pages.rendering import render, static_file
from image_promotion.web.pages.running import running
from image_promotion.web.pages.running_routes import running_routes
from image_promotion.web.pages.trying_routes import trying_page_routes
from image_promotion.web.refused_input import say_what_is_refused

_Text = Annotated[str, Query(max_length=MAX_TEXT)]


def add_pages(app: FastAPI, site: Site) -> None:
    """Put the pages and their API into an application.

    Args:
        app: The application.
        site: Where they have what they show from.
    """
    app.add_middleware(BodyLimit)
    app.add_middleware(SameSiteOnly)
    app.add_middleware(SafeHeaders)
    app.include_router(api_routes(site))
    offers = [Depends(note_rights)]
    app.include_router(page_routes(site), dependencies=offers)
    app.include_router(policy_page_routes(site), dependencies=offers)
    app.include_router(form_page_routes(site), dependencies=offers)
    app.include_router(history_routes(site), dependencies=offers)
    app.include_router(running_routes(site), dependencies=offers)
    app.include_router(trying_page_routes(site), dependencies=offers)
    app.add_exception_handler(PromotionError, _say_what_failed)
    app.add_exception_handler(RequestValidationError, say_what_is_refused)


def page_routes(site: Site) -> APIRouter:
    """Make the pages' routes; each asks Airflow who is there.

    Args:
        site: Where they have what they show from.

    Returns:
        The routes; all of them only read.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)

    @router.get("/")
    def show_overview(
        request: Request, readable: Readable, question: Annotated[PolicyForm, Query()]
    ) -> Response:
        asked = question.choice
        found = overview(site, readable, asked)
        return render(
            request,
            "overview.html",
            found=found,
            picture=draw(found.policies, found.nodes, found.arrows),
            running=running(site, readable),
            asked=asked,
            shows=list(Show),
            sorts=list(Sort),
        )

    @router.get("/images/{digest}")
    def show_image(request: Request, readable: Readable, digest: str) -> Response:
        found = image(site, readable, digest)
        if found is None:
            return _nothing(request, f"No policy that you may see has seen the image {digest}.")
        copies = running(site, readable, digest=digest)
        return render(request, "image.html", image=found, now=site.now(), running=copies)

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
