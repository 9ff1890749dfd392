"""The API's addresses; each asks Airflow who is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.openapi.utils import get_openapi
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from starlette import status

from image_promotion.ledger.chronicle import MAX_PAGE, Filter
from image_promotion.ledger.records import State
from image_promotion.web.api import image_models, models
from image_promotion.web.api.acting import acting_routes
from image_promotion.web.api.trying import trying_routes
from image_promotion.web.form.api_routes import form_api_routes
from image_promotion.web.pages import history
from image_promotion.web.pages.access import Readable, readable_dags
from image_promotion.web.pages.choosing import Choice, Show, Sort
from image_promotion.web.pages.image import image
from image_promotion.web.pages.overview import detail, overview
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.running import running
from image_promotion.web.pages.table_export import as_csv

API = "/api"

MAX_TEXT = 512
"""Names and digests are shorter."""

MAX_MAP_INDEX = 999_999

_Text = Annotated[str, Query(max_length=MAX_TEXT)]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status.HTTP_400_BAD_REQUEST: {
        "model": models.Problem,
        "description": "There is a body, and it is no text.",
    },
    status.HTTP_413_CONTENT_TOO_LARGE: {
        "model": models.Problem,
        "description": "There is a body, and it is too large.",
    },
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
    state: State | SkipJsonSchema[None] = None
    since: date | SkipJsonSchema[None] = Field(
        None, description="The first day, in UTC, such as 2026-03-01."
    )
    until: date | SkipJsonSchema[None] = Field(None, description="The last day, in UTC.")
    run: str = Field("", max_length=MAX_TEXT, description="The DAG's id, a slash, the run's id.")
    map_index: Annotated[int, Field(ge=0, le=MAX_MAP_INDEX)] | SkipJsonSchema[None] = Field(
        None,
        description="Only what this mapped task instance of the run carries; all of the run where "
        "nobody knows that.",
    )


def asked_for(question: Annotated[Question, Query()]) -> Question:
    """Return what a request asks for; FastAPI reads such a model where nothing is beside it."""
    return question


_Asked = Annotated[Question, Depends(asked_for)]


def _filter(site: Site, readable: frozenset[str], question: Question) -> Filter:
    """Return which promotions a request is about, as far as its user may see them."""
    asked = question.model_dump(exclude={"map_index"})
    carried = history.carried_by(site, question.run, question.map_index)
    return history.wanted(readable, **asked, carried=carried)


def api_routes(site: Site) -> APIRouter:
    """Make the API's routes.

    Args:
        site: Where they have what they answer from.

    Returns:
        The routes.
    """
    router = APIRouter(prefix=API, dependencies=[Depends(readable_dags)], responses=_ANSWERS)

    @router.get("/overview")
    def get_overview(
        readable: Readable,
        search: _Text = "",
        show: Show = Show.ALL,
        sort: Sort = Sort.NAME,
    ) -> models.Overview:
        """All policies that you may see, how they stand, and the pipeline they make."""
        return overview(site, readable, Choice(search, show, sort))

    @router.get("/running")
    def get_running(readable: Readable, policy: _Text = "", digest: _Text = "") -> models.Running:
        """The copies that run now, of all policies that you may see, or of one, or of an image."""
        return running(site, readable, policy=policy, digest=digest)

    @router.get("/policies/{name}", responses=_NOT_FOUND)
    def get_policy(readable: Readable, name: str) -> models.PolicyDetail:
        """One policy: in words, its triggers, its YAML."""
        found = detail(site, readable, name)
        if found is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "no policy that you may see")
        return found

    @router.get("/images/{digest}", responses=_NOT_FOUND)
    def get_image(readable: Readable, digest: str) -> image_models.Image:
        """One image: where it is, what was decided and why, and the evidence."""
        found = image(site, readable, digest)
        if found is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "no image that you may see")
        return found

    @router.get("/promotions")
    def list_promotions(
        readable: Readable,
        question: _Asked,
        after: Annotated[str, Query(max_length=MAX_TEXT, pattern=f"^({history.CURSOR})?$")] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> models.PromotionPage:
        """The history, the promotion planned last first, page by page."""
        place = history.place_of(after)
        asked = _filter(site, readable, question)
        return history.page(site.ledger(), asked, after=place, size=limit)

    _add_exports(router, site)
    router.include_router(trying_routes(site))
    router.include_router(acting_routes(site))
    router.include_router(form_api_routes(site))

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
    def export_csv(readable: Readable, question: _Asked) -> StreamingResponse:
        """The whole history that is asked for, as a table for spreadsheets."""
        asked = _filter(site, readable, question)
        return _download(as_csv(site.ledger(), asked), "text/csv", "promotions.csv")

    @router.get(
        "/promotions.json",
        response_class=StreamingResponse,
        responses={status.HTTP_200_OK: {"content": {"application/json": {}}}},
    )
    def export_json(readable: Readable, question: _Asked) -> StreamingResponse:
        """The whole history that is asked for, as one list."""
        asked = _filter(site, readable, question)
        return _download(
            history.as_json(site.ledger(), asked), "application/json", "promotions.json"
        )


def _download(content: Iterator[str], media_type: str, name: str) -> StreamingResponse:
    return StreamingResponse(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
