"""From values to HTML: the templates, which take everything for text."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from image_promotion.web.pages import wording
from image_promotion.web.pages.addresses import MOUNTED_AT

_STATIC = {
    "page.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "form.js": "text/javascript; charset=utf-8",
    "running.js": "text/javascript; charset=utf-8",
    "trying.js": "text/javascript; charset=utf-8",
}

MAKES_POLICIES = "makes_policies"
"""What a request's state has where whoever asks may make policies."""


@cache
def environment() -> Environment:
    """Return the templates' environment: every value is escaped, a missing one is an error."""
    made = Environment(
        loader=PackageLoader("image_promotion.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": wording.moment,
        "size": wording.size,
        "duration": wording.duration,
        "short": wording.short,
        "blocks": wording.blocks,
        "in_path": wording.in_path,
    }
    return made


def render(
    request: Request,
    template: str,
    *,
    status_code: int = 200,
    **values: Any,  # noqa: ANN401 - templates take what they name
) -> Response:
    """Render a page.

    Args:
        request: What is answered; it says behind which prefix we are.
        template: The template's name.
        status_code: The status.
        values: What the template names.

    Returns:
        The page.
    """
    root = str(request.scope.get("root_path", "")).rstrip("/")
    content = environment().get_template(template)
    return HTMLResponse(
        content.render(
            root=root,
            airflow=root.removesuffix(MOUNTED_AT),
            makes_policies=getattr(request.state, MAKES_POLICIES, False),
            **values,
        ),
        status_code=status_code,
    )


@cache
def static_file(name: str) -> tuple[bytes, str] | None:
    """Return a file that pages load.

    Args:
        name: Its name.

    Returns:
        Its content and its type; None when there is none.
    """
    kind = _STATIC.get(name)
    if kind is None:
        return None
    return files("image_promotion.web").joinpath("static", name).read_bytes(), kind
