"""A policy's page, and what its buttons do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette import status

from image_promotion.errors import LedgerError, PromotionError
from image_promotion.policy.model import Policy
from image_promotion.promotion.run_links import run_path
from image_promotion.web.acting import (
    MAY_NOT_CONNECT,
    MAY_NOT_PAUSE,
    MAY_NOT_RUN,
    Visiting,
    Visitor,
    actions_of,
    connections_of,
    shelved,
    start_run,
    status_of,
)
from image_promotion.web.api.action_models import MAX_RUN_TAGS, ConnectReport, RunRequest
from image_promotion.web.connecting import connect, ends_of
from image_promotion.web.form.posted import posted_pairs
from image_promotion.web.pages import history
from image_promotion.web.pages.access import readable_dags
from image_promotion.web.pages.overview import detail
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import render
from image_promotion.web.pages.running import running
from image_promotion.web.pages.wording import in_path

MAX_RUN_ID_CHARACTERS = 250
SHOWN_PROMOTIONS = 10

_NOT_TAGS = (
    f"A run can be limited to at most {MAX_RUN_TAGS} tags, with blanks between them; a tag has "
    "letters, digits, and . _ - within."
)


class Did(StrEnum):
    """What a button did, as the address says it that follows."""

    PROMOTE = "promote"
    DRY_RUN = "dry_run"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Said:
    """What the page says about the button that was pressed.

    Attributes:
        did: What was done; None for nothing.
        run: Where Airflow's page shows the run that was started.
        run_id: The run's id.
        problem: Why nothing was done, in sentences.
        report: What Connect found.
        tags: What was typed for the tags.
    """

    did: Did | None = None
    run: str | None = None
    run_id: str = ""
    problem: str = ""
    report: ConnectReport | None = None
    tags: str = ""


def policy_page_routes(site: Site) -> APIRouter:
    """Make the routes of a policy's page; each asks Airflow who is there.

    Args:
        site: Where they have what they show and act on.

    Returns:
        The routes; what writes goes through Airflow's own DAGs and DAG runs.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)
    page = _PolicyPage(site)
    _add_reading(router, page)
    _add_dags(router, page)
    _add_connect(router, page)
    return router


def _add_reading(router: APIRouter, page: _PolicyPage) -> None:
    @router.get("/policies/{name}")
    def show_policy(
        request: Request,
        who: Visiting,
        name: str,
        did: str = "",
        run: Annotated[str, Query(max_length=MAX_RUN_ID_CHARACTERS)] = "",
    ) -> Response:
        return page.show(request, who, name, page.after(name, did, run))


def _add_dags(router: APIRouter, page: _PolicyPage) -> None:
    @router.post("/policies/{name}/runs")
    async def start(request: Request, who: Visiting, name: str) -> Response:
        fields = dict(await posted_pairs(request))
        return await run_in_threadpool(page.start, request, who, name, fields)

    @router.post("/policies/{name}/pause")
    def pause(request: Request, who: Visiting, name: str) -> Response:
        return page.switch(request, who, name, Did.PAUSE)

    @router.post("/policies/{name}/resume")
    def resume(request: Request, who: Visiting, name: str) -> Response:
        return page.switch(request, who, name, Did.RESUME)


def _add_connect(router: APIRouter, page: _PolicyPage) -> None:
    @router.post("/policies/{name}/connect")
    async def try_connections(request: Request, who: Visiting, name: str) -> Response:
        refusal = await run_in_threadpool(page.refuse_connect, request, who, name)
        return refusal or await page.connect(request, who, name)


class _PolicyPage:
    """Shows a policy, and does what its buttons say.

    Args:
        site: Where it has what it shows and acts on.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(
        self,
        request: Request,
        who: Visitor,
        name: str,
        said: Said,
        status_code: int = status.HTTP_200_OK,
    ) -> Response:
        """Show the policy, and what came of a button; blocks."""
        policy = self._policy(who, name)
        found = detail(self._site, who.readable, name) if policy else None
        if policy is None or found is None:
            return _nothing(request, name)
        asked = history.wanted(who.readable, policy=name)
        return render(
            request,
            "policy.html",
            status_code=status_code,
            policy=found,
            actions=actions_of(self._site, who, policy),
            said=said,
            page=history.page(self._site.ledger(), asked, after=None, size=SHOWN_PROMOTIONS),
            running=running(self._site, who.readable, policy=name),
        )

    def after(self, name: str, did: str, run_id: str) -> Said:
        """Say what an address tells of a button; what it makes up is not said."""
        try:
            done = Did(did)
        except ValueError:
            return Said()
        if done not in (Did.PROMOTE, Did.DRY_RUN):
            return Said(did=done)
        if not run_id or not self._site.dags.has_run(name, run_id):
            return Said()
        return Said(did=done, run=run_path(f"{name}/{run_id}", ""), run_id=run_id)

    def start(self, request: Request, who: Visitor, name: str, fields: dict[str, str]) -> Response:
        """Have the policy's DAG run."""
        if self._policy(who, name) is None:
            return _nothing(request, name)
        if name not in who.runnable:
            return _refused(request, MAY_NOT_RUN)
        tags = fields.get("tags", "")
        did = Did.DRY_RUN if fields.get("do") == Did.DRY_RUN else Did.PROMOTE
        try:
            asked = RunRequest(
                tags=tuple(tags.split()),
                dry_run=did is Did.DRY_RUN,
                decide_again="decide_again" in fields,
            )
        except ValidationError:
            problem = Said(problem=_NOT_TAGS, tags=tags)
            return self.show(request, who, name, problem, status.HTTP_400_BAD_REQUEST)
        try:
            run = start_run(self._site, who, name, asked)
        except PromotionError as error:
            problem = Said(problem=str(error), tags=tags)
            return self.show(request, who, name, problem, status_of(error))
        return _see(request, name, did, run.run_id)

    def switch(self, request: Request, who: Visitor, name: str, did: Did) -> Response:
        """Pause the policy's DAG, or have it run by itself again."""
        if self._policy(who, name) is None:
            return _nothing(request, name)
        if name not in who.pausable:
            return _refused(request, MAY_NOT_PAUSE)
        try:
            self._site.dags.pause(name, is_paused=did is Did.PAUSE, user_name=who.name)
        except PromotionError as error:
            return self.show(request, who, name, Said(problem=str(error)), status_of(error))
        return _see(request, name, did)

    def refuse_connect(self, request: Request, who: Visitor, name: str) -> Response | None:
        """Refuse whoever may not try the policy's connections."""
        policy = self._policy(who, name)
        if policy is None:
            return _nothing(request, name)
        if not who.connections.may_edit(*connections_of(policy)):
            return _refused(request, MAY_NOT_CONNECT)
        return None

    async def connect(self, request: Request, who: Visitor, name: str) -> Response:
        """Try the policy's connections, and show what was found."""
        policy = await run_in_threadpool(self._policy, who, name)
        if policy is None:
            return _nothing(request, name)
        code = status.HTTP_200_OK
        try:
            report = await connect(self._site, ends_of(policy), who=who.name, what=name)
            said = Said(report=report)
        except LedgerError:
            raise
        except PromotionError as error:
            said, code = Said(problem=str(error)), status_of(error)
        return await run_in_threadpool(self.show, request, who, name, said, code)

    def _policy(self, who: Visitor, name: str) -> Policy | None:
        found = shelved(self._site, who, name)
        return found.policy if found else None


def _see(request: Request, name: str, did: Did, run_id: str = "") -> Response:
    """Lead from a button to the page, so that loading it again does nothing again."""
    root = str(request.scope.get("root_path", "")).rstrip("/")
    asked = urlencode({"did": did.value, **({"run": run_id} if run_id else {})})
    return RedirectResponse(
        f"{root}/policies/{in_path(name)}?{asked}", status_code=status.HTTP_303_SEE_OTHER
    )


def _refused(request: Request, said: str) -> Response:
    return render(
        request,
        "message.html",
        status_code=status.HTTP_403_FORBIDDEN,
        title="Not for you",
        said=said,
        advice="Ask whoever runs Airflow for the right to.",
    )


def _nothing(request: Request, name: str) -> Response:
    return render(
        request,
        "message.html",
        status_code=status.HTTP_404_NOT_FOUND,
        title="Nothing here",
        said=f"{name} is no promotion policy that you may see.",
        advice="",
    )
