"""JSON interfaces of registries: asked over a session, answers read as models within bounds."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, TypeAdapter, ValidationError

from image_promotion.errors import (
    AuthenticationError,
    InvalidReferenceError,
    ProtocolViolationError,
    Subject,
)
from image_promotion.registry.answers import Answer
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import (
    CHECK_ADDRESS,
    NOT_A_REGISTRY,
    Attempt,
    is_web_page,
    redacted,
    violation,
)
from image_promotion.registry.reference import is_tag
from image_promotion.registry.session import Request, Session

MAX_ANSWER_BYTES = 16 * 1024 * 1024

Model = TypeVar("Model")


def _meant(moment: datetime) -> datetime | None:
    return moment if moment.year > 1 else None


Moment = Annotated[AwareDatetime, AfterValidator(_meant)] | None
"""A time; what is not set is null, or Go's zero time, or absent."""


class ProductApi:
    """One registry's own interface.

    Args:
        session: The host that serves it.
        authorization: What is sent with each request that says nothing else; None for nothing.
            Such interfaces often refuse without asking who we are, so that it is sent at once.
    """

    def __init__(self, session: Session, *, authorization: str | None = None) -> None:
        self._session = session
        self._authorization = authorization

    async def ask(
        self,
        method: str,
        path: str,
        action: str,
        subject: Subject,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        document: Mapping[str, object] | None = None,
        expected: frozenset[int] = frozenset({HTTPStatus.OK}),
        limit_bytes: int = MAX_ANSWER_BYTES,
    ) -> tuple[Attempt, Answer]:
        """Ask for, or send, a JSON document.

        Args:
            method: The HTTP method.
            path: The path from the root on, percent-encoded where it must be.
            action: What it is for, as in "listing the tags".
            subject: What it is about.
            query: Parameters.
            headers: Further header fields.
            document: What is sent, as JSON.
            expected: The statuses that are answers.
            limit_bytes: How large the answer may be.

        Returns:
            The request as errors know it, and its answer.

        Raises:
            AuthenticationError: We are not let in.
            RegistryError: It answers with another error, or not at all.
        """
        attempt = Attempt(action, method, self._session.url(path, **(query or {})), subject)
        return attempt, await self.send(attempt, headers, document, expected, limit_bytes)

    async def send(
        self,
        attempt: Attempt,
        headers: Mapping[str, str] | None = None,
        document: Mapping[str, object] | None = None,
        expected: frozenset[int] = frozenset({HTTPStatus.OK}),
        limit_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Ask at an address that is known already; see ``ask``."""
        fields = {"Accept": "application/json"}
        if self._authorization is not None:
            fields["Authorization"] = self._authorization
        if document is not None:
            fields["Content-Type"] = "application/json"
        request = Request(
            attempt,
            expected=expected,
            headers={**fields, **(headers or {})},
            content=b"" if document is None else json.dumps(document).encode(),
        )
        try:
            answer = await self._session.ask(request, limit_bytes=limit_bytes)
        except ProtocolViolationError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            # A 401 that names no way to log in, where ours was tried already.
            raise AuthenticationError(
                f"{attempt.action} failed: it does not accept who we say we are",
                method=attempt.method,
                url=redacted(attempt.url),
                status=error.status,
                codes=error.codes,
                subject=attempt.subject,
                advice="Check the user name and the password or access token of the connection.",
            ) from error
        if len(answer.body) > limit_bytes:
            raise violation(attempt, f"it is larger than {limit_bytes} bytes", status=answer.status)
        return answer


def read(attempt: Attempt, answer: Answer, adapter: TypeAdapter[Model]) -> Model:
    """Read an answer as a model.

    Args:
        attempt: The request.
        answer: Its answer.
        adapter: The model.

    Returns:
        What the answer means.

    Raises:
        ProtocolViolationError: It is no such document; the error says where, and repeats nothing.
    """
    if is_web_page(answer.headers, answer.body):
        raise violation(attempt, NOT_A_REGISTRY, status=answer.status, advice=CHECK_ADDRESS)
    try:
        return adapter.validate_json(answer.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise violation(
            attempt,
            f"the answer is not as documented: {place[:100]!a} is wrong ({first['type']})",
            status=answer.status,
        ) from None  # the error holds what the registry sent


def known_tag(attempt: Attempt, tag: str) -> str:
    """Return a tag that a registry lists.

    Raises:
        ProtocolViolationError: It is none.
    """
    if not is_tag(tag):
        raise violation(attempt, f"it lists {tag[:128]!a}, which is no tag", status=200)
    return tag


def known_digest(attempt: Attempt, text: str | None) -> Digest | None:
    """Return a digest that a registry lists; None where it lists none.

    Raises:
        ProtocolViolationError: It is none.
    """
    if not text:
        return None
    try:
        return Digest.parse(text)
    except InvalidReferenceError as error:
        raise violation(attempt, error.attempted, status=200) from error


def basic_authorization(endpoint: RegistryEndpoint) -> str | None:
    """Return what logs a user in at once; None when the connection names no user.

    Source: RFC 7617.
    """
    if endpoint.username is None or endpoint.password is None:
        return None
    login = f"{endpoint.username}:{endpoint.password}"
    return "Basic " + b64encode(login.encode()).decode("ascii")
