"""Long lists, page by page: the tags of a repository, the repositories of a registry."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from image_promotion.errors import ProtocolViolationError
from image_promotion.registry.answers import Answer
from image_promotion.registry.document import read_fields
from image_promotion.registry.failures import CHECK_ADDRESS, NOT_A_REGISTRY, is_web_page, violation
from image_promotion.registry.paging import Paging
from image_promotion.registry.session import Request, Session

PAGE_LENGTH = 1000

MAX_NAMES = 500_000
"""The most names of one list; fifty times what one repository is made for here."""

MAX_PAGE_BYTES = 32 * 1024 * 1024
"""Registries that do not know pages send everything at once: 250,000 tags of the longest kind."""


async def list_names(session: Session, first: Request, member: str) -> AsyncGenerator[str, None]:
    """Yield the names of a list, asking for the next page when the last one is used up.

    Args:
        session: The registry.
        first: The request for the first page.
        member: The member of each page that holds the names: ``tags`` or ``repositories``.

    Raises:
        ProtocolViolationError: A page is no page, leads to another host, or brings nothing new, so
            that following it would never end; or there is no end to them.
        RegistryError: The registry answers with an error, or not at all.

    Source: OCI Distribution Specification 1.1, "Listing Tags"; RFC 8288, "The Link Header Field".
    """
    request: Request | None = first
    paging = Paging()
    count = 0
    while request is not None:
        with paging.waiting():
            answer = await session.ask(request, limit_bytes=MAX_PAGE_BYTES)
        names = _read_page(request, answer, member)
        count += len(names)
        if count > MAX_NAMES:
            raise violation(
                request.attempt, f"it lists more than {MAX_NAMES} names", status=answer.status
            )
        for name in names:
            yield name
        if answer.next_link is None:
            return
        # Pages are in order, so that each ends with a name at which none has ended before.
        if not names:
            raise violation(request.attempt, "its pages go round in a circle", status=answer.status)
        paging.turn(request.attempt, names[-1], answer.status)
        url = session.located(request.attempt, answer.next_link, answer.status)
        request = replace(request, attempt=replace(request.attempt, url=url))


def _read_page(request: Request, answer: Answer, member: str) -> tuple[str, ...]:
    attempt = request.attempt
    if is_web_page(answer.headers, answer.body):
        raise violation(attempt, NOT_A_REGISTRY, status=answer.status, advice=CHECK_ADDRESS)
    if len(answer.body) > MAX_PAGE_BYTES:
        raise violation(
            attempt, f"a page is larger than {MAX_PAGE_BYTES} bytes", status=answer.status
        )
    try:
        return read_fields(answer.body, "the list").texts(member)
    except ProtocolViolationError as error:
        raise violation(attempt, error.attempted, status=answer.status) from error
