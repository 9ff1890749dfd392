"""The API's addresses by which somebody acts on a policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path
from fastapi.concurrency import run_in_threadpool
from starlette import status

from image_promotion.errors import BusyError, PromotionError
from image_promotion.policy.model import Policy
from image_promotion.web.acting import (
    MAY_NOT_CONNECT,
    MAY_NOT_PAUSE,
    MAY_NOT_RUN,
    RETRY_AFTER_S,
    Visiting,
    Visitor,
    actions_of,
    connections_of,
    shelved,
    start_run,
    status_of,
)
from image_promotion.web.api import action_models as models
from image_promotion.web.api.models import Problem
from image_promotion.web.connecting import connect, end_of, ends_of
from image_promotion.web.pages.access import ConnectionEditor, UserName
from image_promotion.web.pages.page_sources import Site

Result = TypeVar("Result")

_ConnectionId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.\-]{1,250}$")]


def _said(of: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem, "description": text} for code, text in of.items()}


_OF_ALL = _said(
    {
        status.HTTP_403_FORBIDDEN: "You may not do this, or come from another site's page.",
        status.HTTP_404_NOT_FOUND: "There is no such policy that you may see.",
    }
)
_OF_DAGS = _OF_ALL | _said({status.HTTP_409_CONFLICT: "Airflow does not take it, or knows no Dag."})
_OF_TRIALS = _OF_ALL | _said(
    {
        status.HTTP_424_FAILED_DEPENDENCY: "It took too long.",
        status.HTTP_429_TOO_MANY_REQUESTS: "The same is being tried, or too much at once.",
    }
)


def acting_routes(site: Site) -> APIRouter:
    """Make the routes by which somebody acts on a policy.

    Args:
        site: Where they have what they act on.

    Returns:
        The routes, without the API's prefix.
    """
    router = APIRouter()
    _add_dags(router, site)
    _add_trials(router, site)
    return router


def _add_dags(router: APIRouter, site: Site) -> None:
    @router.get("/policies/{name}/actions", responses=_OF_ALL)
    def get_actions(who: Visiting, name: str) -> models.Actions:
        """What you can do with the policy now."""
        return actions_of(site, who, _policy(site, who, name))

    @router.post("/policies/{name}/runs", status_code=status.HTTP_201_CREATED, responses=_OF_DAGS)
    def start(who: Visiting, name: str, asked: models.RunRequest) -> models.StartedRun:
        """Have the policy's Dag run."""
        policy = _policy(site, who, name)
        _require(name in who.runnable, MAY_NOT_RUN)
        return _done(lambda: start_run(site, who, policy.name, asked))

    @router.put("/policies/{name}/enabled", responses=_OF_DAGS)
    def switch(who: Visiting, name: str, asked: models.Switch) -> models.Switch:
        """Pause the policy's Dag, or have it run by itself again."""
        _policy(site, who, name)
        _require(name in who.pausable, MAY_NOT_PAUSE)
        _done(lambda: site.dags.pause(name, is_paused=not asked.enabled, user_name=who.name))
        return asked


def _add_trials(router: APIRouter, site: Site) -> None:
    @router.post("/policies/{name}/connect", responses=_OF_TRIALS)
    async def connect_policy(who: Visiting, name: str) -> models.ConnectReport:
        """Try both ends of the policy: read its source, write its targets. Nothing stays there."""
        policy = await run_in_threadpool(_policy, site, who, name)
        may = await run_in_threadpool(who.connections.may_edit, *connections_of(policy))
        _require(may, MAY_NOT_CONNECT)
        return await _answered(connect(site, ends_of(policy), who=who.name, what=name))

    @router.post("/connections/{connection_id}/check", responses=_OF_TRIALS)
    async def check_connection(
        may_edit: ConnectionEditor,
        who: UserName,
        connection_id: _ConnectionId,
        asked: models.CheckRequest,
    ) -> models.ConnectionCheck:
        """Try one connection: read a repository as a source, or write it as a target."""
        _require(may_edit, MAY_NOT_CONNECT)
        end = end_of(connection_id, asked.repository, asked.use)
        report = await _answered(
            connect(site, (end,), who=who, what=f"{asked.use} {connection_id}")
        )
        return report.checks[0]


def _policy(site: Site, who: Visitor, name: str) -> Policy:
    found = shelved(site, who, name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no policy that you may see")
    return found.policy


def _require(may: bool, otherwise: str) -> None:
    if not may:
        raise HTTPException(status.HTTP_403_FORBIDDEN, otherwise)


def _done(deed: Callable[[], Result]) -> Result:
    try:
        return deed()
    except PromotionError as error:
        raise _failure(error) from error


async def _answered(answer: Awaitable[Result]) -> Result:
    try:
        return await answer
    except PromotionError as error:
        raise _failure(error) from error


def _failure(error: PromotionError) -> HTTPException:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, BusyError) else None
    return HTTPException(status_of(error), str(error), headers=headers)
