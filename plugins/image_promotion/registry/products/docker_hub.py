"""Docker Hub: tags by its web interface, which is another host than the registry, and its limits.

Images come from registry-1.docker.io; the tags with digests and times of push are listed by
hub.docker.com. The connection's credentials are sent there only to be changed into a token of short
life, only when there are any, and only over https.

Source: Docker Hub API, "Repositories", "Authentication" and "Rate Limiting"; Docker documentation,
"Docker Hub pull usage and limits".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx
from pydantic import BaseModel, TypeAdapter

from image_promotion.errors import (
    AuthenticationError,
    ConnectionSettingsError,
    InvalidReferenceError,
    RateLimitedError,
    Subject,
)
from image_promotion.registry import retry
from image_promotion.registry.address import is_loopback
from image_promotion.registry.answers import Answer
from image_promotion.registry.challenge import pull_scope
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt, redacted
from image_promotion.registry.manifest import MANIFEST_MEDIA_TYPES
from image_promotion.registry.paging import Paging
from image_promotion.registry.products.api import (
    Moment,
    ProductApi,
    known_digest,
    known_tag,
    read,
)
from image_promotion.registry.products.catalogue import TagRecord
from image_promotion.registry.retry import DEFAULT_RULES, RetryRules
from image_promotion.registry.session import Request, Session

HUB_URL = "https://hub.docker.com"

PAGE_LENGTH = 100
"""The longest page that the interface gives."""

_PULLS = re.compile(r"(\d{1,9})(?:;w=(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often one may still ask.

    Args:
        limit: How often within the whole window.
        remaining: How often still.
        window_s: The window, in seconds; None where it is not said.
        resets_at_s: When the rest is renewed, in seconds since 1970; None where it is not said.
    """

    limit: int
    remaining: int
    window_s: int | None = None
    resets_at_s: int | None = None

    def __str__(self) -> str:
        window = "" if self.window_s is None else f" in {self.window_s / 3600:g} h"
        return f"{self.remaining} of {self.limit}{window} left"


class _Tag(BaseModel):
    name: str
    digest: str | None = None
    tag_last_pushed: Moment = None
    last_updated: Moment = None


class _Page(BaseModel):
    next: str | None = None
    results: list[_Tag]


class _Token(BaseModel):
    access_token: str


_PAGE = TypeAdapter(_Page)
_TOKEN = TypeAdapter(_Token)


def hub_endpoint(registry: RegistryEndpoint, url: str = HUB_URL) -> RegistryEndpoint:
    """Return where the web interface is, for a session: without credentials.

    Args:
        registry: The connection to the registry.
        url: The interface's address; another one in tests.
    """
    return replace(registry, url=url, username=None, password=None, test_repository=None)


class DockerHubCatalogue:
    """Docker Hub's own listing; implements ``catalogue.Catalogue``.

    Args:
        hub: A session of ``hub_endpoint``.
        endpoint: The connection to the registry.
        hub_url: The interface's address, as in the session.
        registry: A session of the registry itself, which says how many pulls are left.
        rules: How often it is asked again when it asks for patience.
        sleep: How the pauses are waited for; another one in tests.
        now: Gives the seconds since 1970; another one in tests.

    Raises:
        ConnectionSettingsError: Credentials would be sent over plain http.
    """

    def __init__(
        self,
        hub: Session,
        endpoint: RegistryEndpoint,
        *,
        hub_url: str = HUB_URL,
        registry: Session | None = None,
        rules: RetryRules = DEFAULT_RULES,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        address = httpx.URL(hub_url)
        if endpoint.password is not None and address.scheme != "https" and not is_loopback(address):
            raise ConnectionSettingsError(
                "the credentials would be sent to Docker Hub's interface over plain http",
                connection_id=endpoint.connection_id,
            )
        self._session = hub
        self._registry = registry
        self._endpoint = endpoint
        self._rules = rules
        self._sleep = sleep
        self._now = now
        self._api = ProductApi(hub)
        self._token: str | None = None
        self.allowance: Allowance | None = None
        """How often the interface may still be asked, as its last answer said."""

    async def list_tags(self, repository: str) -> AsyncGenerator[TagRecord, None]:
        """Yield each tag with its digest and the time of its last push.

        Source: Docker Hub API, "List repository tags".
        """
        namespace, name, subject = self._parts(repository)
        url = self._session.url(
            f"/v2/namespaces/{namespace}/repositories/{name}/tags", page_size=str(PAGE_LENGTH)
        )
        attempt = Attempt("listing the tags", "GET", url, subject)
        paging = Paging(str(attempt.url))
        listed: set[str] = set()
        while True:
            with paging.waiting():
                answer = await self._ask(attempt)
            page = read(attempt, answer, _PAGE)
            for tag in page.results:
                # What is pushed meanwhile shifts the pages, so that some come twice.
                if tag.name not in listed:
                    listed.add(tag.name)
                    yield TagRecord(
                        known_tag(attempt, tag.name),
                        known_digest(attempt, tag.digest),
                        tag.tag_last_pushed or tag.last_updated,
                    )
            if not page.next:
                return
            url = self._session.located(attempt, page.next, answer.status)
            paging.turn(attempt, str(url), answer.status)
            attempt = replace(attempt, url=url)

    async def ensure_repository(self, repository: str) -> bool:
        """Do nothing: Docker Hub creates a repository by the first push into one's namespace."""
        self._parts(repository)
        return False

    async def has_immutable_tags(self, repository: str) -> bool | None:
        """Say that it depends on the tag: a repository's rules may match some of them."""
        self._parts(repository)
        return None

    async def remove_tag(self, repository: str, tag: str, digest: Digest) -> bool | None:
        """Say nothing: Docker Hub's documented interface does not remove tags."""
        del repository, tag, digest
        return None

    async def allowances(self, repository: str, tag: str) -> tuple[str, ...]:
        """Return how many pulls are left, and how many questions to the interface.

        Source: Docker documentation, "Docker Hub pull usage and limits": a HEAD counts as no pull.
        """
        pulls = None
        if self._registry is not None:
            full = self._endpoint.full_repository(repository)
            subject = Subject(self._endpoint.host, full, tag)
            url = self._registry.url(f"/v2/{full}/manifests/{tag}")
            attempt = Attempt("looking at the limit of pulls", "HEAD", url, subject)
            headers = {"Accept": ", ".join(MANIFEST_MEDIA_TYPES)}
            answer = await self._registry.ask(
                Request(attempt, (pull_scope(full),), headers=headers)
            )
            pulls = pull_allowance(answer.headers)
        known = {"Docker Hub's pulls": pulls, "questions to Docker Hub": self.allowance}
        return tuple(f"{name}: {left}" for name, left in known.items() if left is not None)

    async def _ask(self, attempt: Attempt) -> Answer:
        """Ask with a token where there are credentials; with a new one where it has expired."""
        if self._endpoint.username is None or self._endpoint.password is None:
            return await self._ask_patiently(attempt, None)
        is_new = self._token is None
        token = self._token or await self._log_in(attempt.subject)
        try:
            return await self._ask_patiently(attempt, token)
        except AuthenticationError:
            if is_new:
                raise
        return await self._ask_patiently(attempt, await self._log_in(attempt.subject))

    async def _log_in(self, subject: Subject) -> str:
        """Change user name and password or access token into a token of short life.

        Source: Docker Hub API, "Create access token".
        """
        endpoint = self._endpoint
        attempt = Attempt("logging in", "POST", self._session.url("/v2/auth/token"), subject)
        answer = await self._ask_patiently(
            attempt, None, {"identifier": endpoint.username, "secret": endpoint.password}
        )
        self._token = read(attempt, answer, _TOKEN).access_token
        return self._token

    async def _ask_patiently(
        self, attempt: Attempt, token: str | None, document: Mapping[str, object] | None = None
    ) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        expected = frozenset({HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS})

        async def once() -> Answer:
            answer = await self._api.send(attempt, headers, document, expected)
            self.allowance = _allowance(answer.headers) or self.allowance
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise RateLimitedError(
                    f"{attempt.action} failed: it asks us to slow down",
                    retry_after_s=self._pause_s(answer.headers),
                    method=attempt.method,
                    url=redacted(attempt.url),
                    status=answer.status,
                    subject=attempt.subject,
                )
            return answer

        return await retry.call(self._rules, once, sleep=self._sleep)

    def _pause_s(self, headers: Mapping[str, str]) -> float | None:
        """Read when one may ask again, which Docker Hub says as a moment.

        Source: Docker Hub API, "Rate Limiting", X-Retry-After.
        """
        moment_s = _number(headers.get("x-retry-after"))
        return None if moment_s is None else max(0.0, moment_s - self._now())

    def _parts(self, repository: str) -> tuple[str, str, Subject]:
        full = self._endpoint.full_repository(repository)
        namespace, slash, name = full.partition("/")
        if not slash or "/" in name:
            raise InvalidReferenceError(
                f"{full[:255]!a} cannot be a repository of Docker Hub",
                text=full,
                advice="Docker Hub's repositories are a namespace, a slash and a name.",
            )
        return namespace, name, Subject(self._endpoint.host, full)


def pull_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """Read how many images may still be pulled, from an answer of the registry itself.

    Args:
        headers: The header fields of a manifest's answer; names are looked up in lower case.

    Returns:
        The allowance; None where pulls are not limited, or nothing is said.

    Source: Docker documentation, "Docker Hub pull usage and limits", ratelimit-limit and
    ratelimit-remaining.
    """
    limit = _PULLS.fullmatch(headers.get("ratelimit-limit", ""))
    remaining = _PULLS.fullmatch(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    return Allowance(int(limit[1]), int(remaining[1]), int(limit[2]) if limit[2] else None)


def _allowance(headers: Mapping[str, str]) -> Allowance | None:
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    if limit is None or remaining is None:
        return None
    return Allowance(limit, remaining, resets_at_s=_number(headers.get("x-ratelimit-reset")))


def _number(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if text is not None and is_number else None


_MOST_DIGITS = 12
