"""Bodies of requests are held to a size, wherever that is told and wherever it is not."""

from __future__ import annotations

from starlette import status
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1_000_000


class BodyLimit:
    """Refuses what is larger than any form or policy, before it is in memory.

    Args:
        app: The application, within what answers for exceptions.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        is_too_large = told.isascii() and told.isdigit() and int(told[:20]) > MAX_BODY_BYTES
        received = 0

        async def receive_within() -> Message:
            nonlocal received
            if is_too_large:
                raise _refusal()
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _refusal()
            return message

        await self._app(scope, receive_within, send)


def _refusal() -> HTTPException:
    return HTTPException(
        status.HTTP_413_CONTENT_TOO_LARGE, f"At most {MAX_BODY_BYTES} bytes are taken."
    )
