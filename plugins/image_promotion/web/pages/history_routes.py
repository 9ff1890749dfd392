"""The addresses of the history: all of it, and what runs and task instances had to do with."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from image_promotion.ledger.records import State
from image_promotion.web.api.models import PromotionPage
from image_promotion.web.api.routes import MAX_TEXT
from image_promotion.web.pages import history
from image_promotion.web.pages.access import Readable, readable_dags
from image_promotion.web.pages.addresses import GROUP
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.rendering import render

PAGE_SIZE = 50

_MAP_INDEX = re.compile(r"[0-9]{1,6}", re.ASCII)


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
    map_index: str = Field("", max_length=MAX_TEXT)
    after: str = Field("", max_length=MAX_TEXT)


class Instance(BaseModel):
    """A task instance of a run, as Airflow's page names it in the address of a tab."""

    task: str = Field("", max_length=MAX_TEXT)
    map_index: str = Field("", max_length=MAX_TEXT)

    @property
    def mapped(self) -> str:
        """Its map index; empty where it is none that is mapped over promotions.

        Of an instance that is not mapped, Airflow's page says ``{MAP_INDEX}``.
        """
        is_mapped = self.task.startswith(GROUP) and _MAP_INDEX.fullmatch(self.map_index)
        return self.map_index if is_mapped else ""


def history_routes(site: Site) -> APIRouter:
    """Make the history's routes; each asks Airflow who is there.

    Args:
        site: Where they have what they show from.

    Returns:
        The routes; all of them only read.
    """
    router = APIRouter(dependencies=[Depends(readable_dags)], include_in_schema=False)

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
        return show_history(request, readable, Form(run=f"{dag_id}/{run_id}"))

    @router.get("/tasks/{dag_id}/{run_id:path}")
    def show_task(
        request: Request,
        readable: Readable,
        dag_id: str,
        run_id: str,
        instance: Annotated[Instance, Query()],
    ) -> Response:
        asked = Form(run=f"{dag_id}/{run_id}", map_index=instance.mapped)
        return show_history(request, readable, asked)

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
        carried=_carried(site, form, problems),
    )
    return problems, history.page(site.ledger(), wanted, after=place, size=PAGE_SIZE)


def _carried(site: Site, form: Form, problems: list[str]) -> frozenset[int] | None:
    if not form.map_index:
        return None
    map_index = int(form.map_index) if _MAP_INDEX.fullmatch(form.map_index) else None
    found = history.carried_by(site, form.run, map_index)
    if found is None:
        problems.append(
            "Which promotions this task instance carried is not known; these are its run's."
            if form.run and map_index is not None
            else "A map index is a number, and is one of a run."
        )
    return found


def _day(text: str, problems: list[str]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"{text} is no date; write it as 2026-03-01.")
        return None
