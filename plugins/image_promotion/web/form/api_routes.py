"""The form in the API: what it means, and what a policy is in it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from starlette import status

from image_promotion.web.api.models import Problem
from image_promotion.web.form.answers import (
    MAX_NAME,
    FormPreview,
    FormQuestion,
    OpenedForm,
    preview_of,
)
from image_promotion.web.form.desk import OpenedPolicy, beside_existing, beside_new, open_policy
from image_promotion.web.form.view import meaning_of
from image_promotion.web.pages.access import ConnectionEditor, Readable
from image_promotion.web.pages.page_sources import Site

MAY_NOT_EDIT = "You may not edit connections, which making and changing policies takes."

_ANSWERS: dict[int | str, dict[str, Any]] = {
    status.HTTP_403_FORBIDDEN: {
        "model": Problem,
        "description": "You may not edit connections, or the request is from another site.",
    },
    status.HTTP_404_NOT_FOUND: {
        "model": Problem,
        "description": "There is no such policy that you may see.",
    },
}


def form_api_routes(site: Site) -> APIRouter:
    """Make the API's routes about the form.

    Args:
        site: Where they have what they answer from.

    Returns:
        The routes, without the API's prefix; none writes.
    """
    router = APIRouter(responses=_ANSWERS)

    @router.post("/form/preview")
    def preview_form(
        readable: Readable, editor: ConnectionEditor, question: FormQuestion
    ) -> FormPreview:
        """What a form means: its YAML, or what is wrong with it; nothing is written."""
        _require(editor)
        form, name = question.form, question.policy
        beside = (
            beside_existing(site, _opened(site, readable, name))
            if name
            else beside_new(site, form.name.strip())
        )
        return preview_of(meaning_of(form, beside, site.now()))

    @router.get("/policies/{name}/form")
    def get_form(
        readable: Readable,
        editor: ConnectionEditor,
        name: Annotated[str, Path(max_length=MAX_NAME)],
    ) -> OpenedForm:
        """A policy as the form has it."""
        _require(editor)
        opened = _opened(site, readable, name)
        return OpenedForm(form=opened.form, file=opened.file)

    return router


def _require(editor: bool) -> None:
    if not editor:
        raise HTTPException(status.HTTP_403_FORBIDDEN, MAY_NOT_EDIT)


def _opened(site: Site, readable: frozenset[str], name: str) -> OpenedPolicy:
    opened = open_policy(site, readable, name)
    if opened is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no policy that you may see")
    return opened
