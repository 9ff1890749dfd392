"""The API's addresses; each asks Airflow who is there, and all of them only read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.openapi.utils import get_openapi
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette import status

from image_promotion.ledger.chronicle import MAX_PAGE, Filter
from image_promotion.ledger.records import State
from image_promotion.web.api import models
from image_promotion.web.pages import history
from image_promotion.web.pages.access import Readable, readable_dags
from image_promotion.web.pages.image import image
from image_promotion.web.pages.overview import detail, overview
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.table_export import as_csv

API = "/api"

MAX_TEXT = 512
"""Names and digests are shorter."""

_Text = Annotated[str, Query(max_length=MAX_TEXT)]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status.HTTP_401_UNAUTHORIZED: {"model": models.Problem, "description": "Nobody signed in."},
    status.HTTP_403_FORBIDDEN: {"model": models.Problem, "description": "The token is no good."},
    status.HTTP_503_SERVICE_UNAVAILABLE: {
        "model": models.Problem,
        "description": "The ledger cannot be read.",
    },
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    status.HTTP_404_NOT_FOUND: {
        "model": models.Problem,
        "description": "There is none that you may see.",
    }
}


class Question(BaseModel):
    """Which promotions a request is about; what is left out does not matter."""

    policy: str = Field("", max_length=MAX_TEXT)
    repository: str = Field("", max_length=MAX_TEXT, description="The source or the target.")
    tag: str = Field("", max_length=MAX_TEXT, description="At the source or at the target.")
    digest: str = Field("", max_length=MAX_TEXT, description="The beginning of it will do.")
    state: State | None = None
    since: date | None = Field(None, description="The first day, in UTC, such as 2026-03-01.")
    until: date | None = Field(None, description="The last day, in UTC.")
    run: str = Field("", max_length=MAX_TEXT, description="The DAG's id, a slash, the run's id.")


def asked_for(readable: Readable, question: Annotated[Question, Query()]) -> Filter:
    """Return which promotions a request is about, as far as its user may see them."""
    return history.wanted(readable, **dict(question))


_Asked = Annotated[Filter, Depends(asked_for)]


def api_routes(site: Site) -> APIRouter:
    """Make the API's routes.

    Args:
        site: Where they have what they answer from.

    Returns:
        The routes.
    """
    router = APIRouter(prefix=API, dependencies=[Depends(readable_dags)], responses=_ANSWERS)

    @router.get("/overview")
    def get_overview(readable: Readable, search: _Text = "") -> models.Overview:
        """All policies that you may see, how they stand, and the pipeline they make."""
        return overview(site, readable, search)

    @router.get("/policies/{name}", responses=_NOT_FOUND)
    def get_policy(readable: Readable, name: str) -> models.PolicyDetail:
        """One policy: in words, its triggers, its YAML."""
        found = detail(site, readable, name)
        if found is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "no policy that you may see")
        return found

    @router.get("/images/{digest}", responses=_NOT_FOUND)
    def get_image(readable: Readable, digest: str) -> models.Image:
        """One image: where it is, what was decided and why, and the evidence."""
        found = image(site, readable, digest)
        if found is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "no image that you may see")
        return found

    @router.get("/promotions")
    def list_promotions(
        asked: _Asked,
        after: _Text = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> models.PromotionPage:
        """The history, the promotion planned last first, page by page."""
        place = history.place_of(after) if after else None
        if after and place is None:
            raise HTTPException(
                status.HTTP_422_UNPROCESSABLE_CONTENT,
                [{"loc": ["query", "after"], "msg": "no place in the history", "type": "value"}],
            )
        return history.page(site.ledger(), asked, after=place, size=limit)

    _add_exports(router, site)

    @router.get("/openapi.json", include_in_schema=False)
    def get_description() -> Mapping[str, object]:
        return get_openapi(
            title="Image promotion", version="1", routes=router.routes, openapi_version="3.1.0"
        )

    return router


def _add_exports(router: APIRouter, site: Site) -> None:
    @router.get(
        "/promotions.csv",
        response_class=StreamingResponse,
        responses={status.HTTP_200_OK: {"content": {"text/csv": {}}}},
    )
    def export_csv(asked: _Asked) -> StreamingResponse:
        """The whole history that is asked for, as a table for spreadsheets."""
        return _download(as_csv(site.ledger(), asked), "text/csv", "promotions.csv")

    @router.get(
        "/promotions.json",
        response_class=StreamingResponse,
        responses={status.HTTP_200_OK: {"content": {"application/json": {}}}},
    )
    def export_json(asked: _Asked) -> StreamingResponse:
        """The whole history that is asked for, as one list."""
        return _download(
            history.as_json(site.ledger(), asked), "application/json", "promotions.json"
        )


def _download(content: Iterator[str], media_type: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
