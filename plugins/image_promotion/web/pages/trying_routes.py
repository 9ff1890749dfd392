"""The pages *Try a tag* and *What would it do now?*."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from starlette import status

from image_promotion.errors import LedgerError, PromotionError
from image_promotion.web.acting import Visiting, shelved, status_of
from image_promotion.web.api.trying import MAX_TEXT, MAY_NOT_TRY, TRY_ADVICE
from image_promotion.web.pages.access import readable_dags
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import render
from image_promotion.web.pages.trying import MAX_TAGS, try_tag, what_now

_Text = Annotated[str, Query(max_length=MAX_TEXT)]


def trying_page_routes(site: Site) -> APIRouter:
    """Make the routes of the pages; each asks Airflow who is there.

    Args:
        site: Where they have what they show from.

    Returns:
        The routes; none writes.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)

    @router.get("/policies/{name}/try")
    async def show_trial(
        request: Request,
        who: Visiting,
        name: str,
        tag: _Text = "",
        repository: _Text = "",
    ) -> Response:
        found = await run_in_threadpool(shelved, site, who, name)
        if found is None or name not in who.runnable:
            return _refused(request, name, is_there=found is not None)
        asked = tag.strip()
        text = f"{repository.strip()}:{asked}" if repository.strip() else asked
        trial, error = None, None
        try:
            trial = await try_tag(site, found.policy, text, who=who.name) if asked else None
        except LedgerError:
            raise
        except PromotionError as failed:
            error = failed
        return render(
            request,
            "try.html",
            status_code=status_of(error) if error else status.HTTP_200_OK,
            policy=found.policy,
            tag=tag,
            repository=repository,
            trial=trial,
            error=error,
        )

    @router.get("/policies/{name}/outlook")
    async def show_outlook(
        request: Request,
        who: Visiting,
        name: str,
        at_most: Annotated[int, Query(ge=1, le=MAX_TAGS)] = MAX_TAGS,
    ) -> Response:
        found = await run_in_threadpool(shelved, site, who, name)
        if found is None or name not in who.runnable:
            return _refused(request, name, is_there=found is not None)
        outlook, error = None, None
        try:
            outlook = await what_now(
                site, found.policy, who=who.name, at_most=at_most, is_saved=True
            )
        except LedgerError:
            raise
        except PromotionError as failed:
            error = failed
        return render(
            request,
            "outlook.html",
            status_code=status_of(error) if error else status.HTTP_200_OK,
            policy=found.policy,
            outlook=outlook,
            error=error,
            fewer=max(1, at_most // 4),
        )

    return router


def _refused(request: Request, name: str, *, is_there: bool) -> Response:
    """Say that there is no such policy, or that it may not be tried."""
    if is_there:
        return render(
            request,
            "message.html",
            status_code=status.HTTP_403_FORBIDDEN,
            title="Not for you to try",
            said=MAY_NOT_TRY,
            advice=TRY_ADVICE,
        )
    return render(
        request,
        "message.html",
        status_code=status.HTTP_404_NOT_FOUND,
        title="Nothing here",
        said=f"{name} is no promotion policy that you may see.",
        advice="",
    )
