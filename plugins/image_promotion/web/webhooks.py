"""The address that registries notify: what is let in, and what is answered."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette import status
from starlette.requests import ClientDisconnect

from image_promotion.errors import NotificationError
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.notifications.reading import read_notification
from image_promotion.web.proof import SIGNATURE, claims_to_know, knows_secret, signed_with_secret
from image_promotion.web.watching import AssetBoard, EndpointFinder, Outcome, announce_events

MAX_BODY_BYTES = 1_000_000
"""The largest notification; an event of CNCF distribution has about 1 kB."""

MAX_AT_ONCE = 4
"""How many deliveries are worked on at once, so that a storm leaves the server to people too."""

RETRY_AFTER_S = 5

# What may be asked of a secrets backend on a stranger's word.
_CONNECTION_ID = re.compile(r"[\w.-]{1,250}", re.ASCII)

_UNPROVED = "it does not prove that it knows the connection's secret, or there is none"

_Result = TypeVar("_Result")

log = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """A body that is over the limit."""


def webhook_routes(board: AssetBoard, find_endpoint: EndpointFinder) -> APIRouter:
    """Make the route that registries notify.

    Args:
        board: Airflow's assets.
        find_endpoint: Finds where a connection leads.

    Returns:
        The route ``POST /webhooks/{connection_id}``.
    """
    router = APIRouter()
    door = _Door(board, find_endpoint)

    @router.post("/webhooks/{connection_id}")
    async def receive(connection_id: str, request: Request) -> Response:
        return await door.receive(connection_id, request)

    return router


class _Door:
    """Lets in who knows the secret, and tells everybody else the same nothing."""

    def __init__(self, board: AssetBoard, find_endpoint: EndpointFinder) -> None:
        self._board = board
        self._find_endpoint = find_endpoint
        self._limiter = CapacityLimiter(MAX_AT_ONCE)

    async def receive(self, connection_id: str, request: Request) -> Response:
        """Answer a delivery, and write one line about it."""
        if not (claims_to_know(request.headers) and _CONNECTION_ID.fullmatch(connection_id)):
            return _refused(connection_id, "it brings no proof")
        endpoint = await self._aside(lambda: self._find_endpoint(connection_id))
        secret = endpoint.webhook_secret if endpoint else None
        known = knows_secret(secret, request.headers)
        if not (known or SIGNATURE in request.headers):
            return _refused(connection_id, _UNPROVED)
        try:
            body = await _body_of(request)
        except _TooLargeError:
            return _too_large(connection_id)
        except ClientDisconnect:
            log.info("webhook of %s: the sender hung up before the end", connection_id)
            return Response(status_code=status.HTTP_400_BAD_REQUEST)
        known = known or signed_with_secret(secret, request.headers, body)
        if endpoint is None or not known:
            return _refused(connection_id, _UNPROVED)
        return await self._aside(lambda: self._take(endpoint, body))

    async def _aside(self, work: Callable[[], _Result]) -> _Result:
        """Do what waits for databases where the server's other requests need not wait for it."""
        return await to_thread.run_sync(work, limiter=self._limiter)

    def _take(self, endpoint: RegistryEndpoint, body: bytes) -> Response:
        name = endpoint.connection_id
        try:
            notification = read_notification(body)
        except NotificationError as error:
            log.warning("webhook of %s: refused: %s", name, error)
            return _answer(status.HTTP_422_UNPROCESSABLE_CONTENT, detail=str(error))
        events = notification.events
        try:
            receipt = announce_events(endpoint, events, self._board, self._find_endpoint)
        except SQLAlchemyError as error:
            log.warning(
                "webhook of %s: %s, %d events: Airflow's database did not take them (%s)",
                name,
                notification.product,
                len(events),
                type(error).__name__,
            )
            answer = _answer(
                status.HTTP_503_SERVICE_UNAVAILABLE,
                detail="Airflow's database is busy. Nothing is kept of this; send it again.",
            )
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
            return answer
        assets = {str(outcome): receipt.outcomes.get(outcome, 0) for outcome in Outcome}
        log.info(
            "webhook of %s: %s, %d events, %d repositories that nobody watches; assets: %s",
            name,
            notification.product,
            len(events),
            receipt.unwatched,
            ", ".join(f"{count} {outcome}" for outcome, count in assets.items()),
        )
        return _answer(
            status.HTTP_202_ACCEPTED,
            events=len(events),
            unwatched_repositories=receipt.unwatched,
            assets=assets,
        )


async def _body_of(request: Request) -> bytes:
    """Read the body, and not a byte more than the limit wherever its length is told or not."""
    told = request.headers.get("content-length", "0")
    if told.isascii() and told.isdigit() and int(told[:20]) > MAX_BODY_BYTES:
        raise _TooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLargeError
    return bytes(body)


def _refused(connection_id: str, why: str) -> Response:
    """Refuse; whether there is such a connection is for its owner alone to read, in the log."""
    log.warning("webhook of %a: refused: %s", connection_id[:64], why)
    return _answer(status.HTTP_403_FORBIDDEN, detail="Forbidden")


def _too_large(connection_id: str) -> Response:
    log.warning("webhook of %a: refused: over %d bytes", connection_id[:64], MAX_BODY_BYTES)
    answer = _answer(
        status.HTTP_413_CONTENT_TOO_LARGE, detail=f"At most {MAX_BODY_BYTES} bytes are taken."
    )
    # What is left of the body is not read, so nothing may follow it on this connection.
    answer.headers["Connection"] = "close"
    return answer


def _answer(code: int, **content: object) -> Response:
    return JSONResponse(content, status_code=code)
