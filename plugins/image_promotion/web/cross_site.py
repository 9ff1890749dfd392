"""Requests that write come from our own pages, or from programs; never from another site's page.

A browser sends Airflow's cookie along with what any page makes it send. So the browser's own word
on where a request began decides, before anybody asks who it is.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.sdk.configuration import conf
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette import status
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from image_promotion.web.pages.rendering import render

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": 80, "https": 443}

_UNGUARDED = "/webhooks/"
"""Registries prove themselves there by a secret of their own; no cookie counts."""

_API = "/api/"
_SAID = "This request changes something, and does not come from a page of this Airflow."
_ADVICE = (
    "Go back to the Promotions page and press the button there. A program sends a bearer token and "
    "no cookie. Behind a proxy, [api] base_url of Airflow must be the address that people use."
)

Origin = tuple[str, str, int | None]


class SameSiteOnly:
    """Refuses what would write and was begun by a page of another site.

    Args:
        app: The application.

    Source: W3C, Fetch Metadata Request Headers; RFC 6454, section 7.3 (Origin); OWASP, Cross-Site
    Request Forgery Prevention, "Fetch Metadata headers" and "Verifying Origin".
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if path.startswith(_UNGUARDED) or is_of_this_site(scope):
            await self._app(scope, receive, send)
            return
        await _refusal(Request(scope), path)(scope, receive, send)


def is_of_this_site(scope: Scope) -> bool:
    """Say whether a request was begun by a page of this server, or by no page at all.

    Args:
        scope: The request.

    Returns:
        Whether the browser says so; or, where it says nothing, whether there is no cookie that it
        could have sent without being asked to.
    """
    headers = Headers(scope=scope)
    fetched_from = headers.get("sec-fetch-site")
    if fetched_from is not None:
        return fetched_from in _OURS
    # Browsers send the other header to https and to loopback only; this one they send everywhere.
    begun_by = headers.get("origin")
    if begun_by is not None:
        here = {
            _origin(f"{scope.get('scheme', 'http')}://{headers.get('host', '')}"),
            _origin(conf.get("api", "base_url", fallback="") or ""),
        }
        return _origin(begun_by) in here - {None}
    return "cookie" not in headers


def _origin(url: str) -> Origin | None:
    """Return scheme, host and port of an address; None for what has none, such as ``null``."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port


def _refusal(request: Request, path: str) -> Response:
    if path.startswith(_API):
        return JSONResponse({"detail": f"{_SAID} {_ADVICE}"}, status_code=status.HTTP_403_FORBIDDEN)
    return render(
        request,
        "message.html",
        status_code=status.HTTP_403_FORBIDDEN,
        title="Not from here",
        said=_SAID,
        advice=_ADVICE,
    )
