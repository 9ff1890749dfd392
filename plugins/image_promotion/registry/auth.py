"""Who we are, told to nobody but the registry and the token service that it names.

Three ways in: anonymous, basic, and bearer tokens from a token service. Which one it is, the
registry says with its first 401. Nothing here does I/O: the token service is asked through a
function that the session passes in.

A connection with a password and no user name holds an access token. It is used as a password with
the user name ``<token>``, as registries agree on, both in basic authentication and at the token
service.

Source: CNCF distribution, "Token Authentication Specification"; RFC 7617 (basic) and 6750 (bearer).
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from image_promotion.errors import AuthenticationError, ProtocolViolationError
from image_promotion.registry.address import is_loopback, read_url
from image_promotion.registry.challenge import Challenge, parse_challenges, united
from image_promotion.registry.document import read_fields
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt, redacted, violation

ACCESS_TOKEN_USER = "<token>"  # noqa: S105 - the name of a user, not a secret

DEFAULT_LIFETIME_S = 60
"""How long a token is good for when its service does not say.

Source: CNCF distribution, "Token Authentication Specification", expires_in.
"""

_RENEWED_AFTER = 0.8  # of its lifetime

AskTokenService = Callable[[Attempt, Mapping[str, str]], Awaitable[bytes]]
"""Sends a GET with these header fields and returns the body of the answer, which was a 200."""


@dataclass(frozen=True, slots=True)
class _TokenService:
    realm: httpx.URL
    service: str | None

    def url_for(self, scopes: tuple[str, ...]) -> httpx.URL:
        parameters = self.realm.params
        if self.service is not None:
            parameters = parameters.set("service", self.service)
        for scope in scopes:
            parameters = parameters.add("scope", scope)
        return self.realm.copy_with(params=parameters)


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    renew_at_s: float


class Authorizer:
    """Finds the Authorization field for each request to one registry.

    Args:
        endpoint: The registry, and the credentials.
        ask: How the token service is asked.
        clock: Gives seconds from any fixed moment on; another one in tests.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        ask: AskTokenService,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = httpx.URL(endpoint.url)
        self._basic = _basic_header(endpoint.username, endpoint.password)
        self._ask = ask
        self._clock = clock
        self._way: _TokenService | None = None
        self._takes_basic = False
        self._wanted: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._tokens: dict[httpx.URL, _Token] = {}
        self._fetches: dict[httpx.URL, asyncio.Task[_Token]] = {}

    @property
    def has_credentials(self) -> bool:
        """Whether the connection says who we are."""
        return self._basic is not None

    @property
    def was_asked(self) -> bool:
        """Whether the registry has asked who we are."""
        return self._takes_basic or self._way is not None

    async def header(self, attempt: Attempt, scopes: tuple[str, ...]) -> str | None:
        """Return what to send with a request at first.

        Args:
            attempt: The request.
            scopes: What it needs, as ``pull_scope`` and ``push_scope`` give it.

        Returns:
            The Authorization field; None before the registry has said what it wants.

        Raises:
            RegistryError: A token is needed, and its service does not give one.
        """
        if self._takes_basic:
            return self._basic
        if self._way is None:
            return None
        url = self._way.url_for(self._wanted.get(scopes, scopes))
        return (await self._token(attempt, url, rejected=None)).header

    async def answer(
        self,
        attempt: Attempt,
        www_authenticate: Sequence[str],
        scopes: tuple[str, ...],
        rejected: str | None,
    ) -> str | None:
        """Return what to send instead, after a 401.

        Args:
            attempt: The request that was answered 401.
            www_authenticate: The WWW-Authenticate fields of that answer.
            scopes: What the request needs.
            rejected: The Authorization field that it was sent with.

        Returns:
            Another Authorization field; None when there is nothing better to say.

        Raises:
            AuthenticationError: The registry asks who we are, and the connection does not say.
            ProtocolViolationError: The challenge means nothing, or names a token service to which
                credentials are not sent.
            RegistryError: The token service does not give a token.
        """
        challenges = {c.scheme: c for c in reversed(parse_challenges(www_authenticate))}
        if bearer := challenges.get("bearer"):
            self._way = self._token_service(attempt, bearer)
            asked = bearer.parameters.get("scope", "").split()
            self._wanted[scopes] = united((*scopes, *asked))
            url = self._way.url_for(self._wanted[scopes])
            return (await self._token(attempt, url, rejected)).header
        if "basic" in challenges:
            self._takes_basic = True
            if self._basic is None:
                raise AuthenticationError(
                    f"{attempt.action} failed: it asks who we are, and the connection does not say",
                    method=attempt.method,
                    url=redacted(attempt.url),
                    status=401,
                    subject=attempt.subject,
                    advice="Put a user name and a password into the connection.",
                )
            return None if rejected == self._basic else self._basic
        raise violation(
            attempt, "it wants a login and names no way to log in that is known here", status=401
        )

    async def aclose(self) -> None:
        """Give up what is still being asked of the token service."""
        for fetch in self._fetches.values():
            fetch.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)

    def _token_service(self, attempt: Attempt, challenge: Challenge) -> _TokenService:
        try:
            realm = read_url(challenge.parameters.get("realm", ""))
        except ValueError as error:
            raise violation(
                attempt, "it names no token service to log in at", status=401
            ) from error
        if not self._may_be_asked(realm):
            raise violation(
                attempt,
                f"its token service {redacted(realm)} is not reached by https",
                status=401,
                advice="Nothing was sent there, since it could be read on the way. The registry's "
                "configuration must name its token service with https://.",
            )
        return _TokenService(realm, challenge.parameters.get("service"))

    def _may_be_asked(self, realm: httpx.URL) -> bool:
        """Plain HTTP is for those who chose it: a registry on http, and its very own host.

        Two processes of one machine count as one host, whatever names they have for it.
        """
        if realm.scheme == "https":
            return True
        if self._registry.scheme == "https":
            return False
        same_host = realm.host == self._registry.host
        both_here = is_loopback(realm) and is_loopback(self._registry)
        return same_host or both_here or not self.has_credentials

    async def _token(self, attempt: Attempt, url: httpx.URL, rejected: str | None) -> _Token:
        token = self._tokens.get(url)
        if token is not None and token.header != rejected and self._clock() < token.renew_at_s:
            return token
        fetch = self._fetches.get(url)
        if fetch is None:
            fetch = asyncio.create_task(self._fetch(attempt, url))
            self._fetches[url] = fetch
            fetch.add_done_callback(lambda done: self._forget(url, done))
        # Others wait for the same answer: that one of them gives up must not end it for all.
        return await asyncio.shield(fetch)

    def _forget(self, url: httpx.URL, fetch: asyncio.Task[_Token]) -> None:
        self._fetches.pop(url, None)
        if not fetch.cancelled():
            fetch.exception()  # seen: asyncio need not complain when nobody waits any more

    async def _fetch(self, attempt: Attempt, url: httpx.URL) -> _Token:
        asking = Attempt("asking its token service for a token", "GET", url, attempt.subject)
        asked_at_s = self._clock()
        body = await self._ask(
            asking, {} if self._basic is None else {"Authorization": self._basic}
        )
        try:
            header, lifetime_s = _read_token(body)
        except ProtocolViolationError as error:
            raise violation(asking, error.attempted, status=200) from error
        # Renewed before it expires, so that what begins with it can also end with it.
        token = _Token(header, asked_at_s + lifetime_s * _RENEWED_AFTER)
        self._tokens[url] = token
        return token


def _basic_header(username: str | None, password: str | None) -> str | None:
    if password is None:
        return None
    login = f"{username or ACCESS_TOKEN_USER}:{password}"
    return "Basic " + b64encode(login.encode()).decode("ascii")


def _read_token(body: bytes) -> tuple[str, float]:
    """Return the Authorization field that a token service's answer means, and its lifetime."""
    fields = read_fields(body, "the token service's answer")
    token = fields.optional_text("token") or fields.text("access_token")
    if not (token.isascii() and token.isprintable() and " " not in token):
        fields.refuse("token", "cannot be sent in a header field")
    lifetime_s = fields.whole_number("expires_in") if "expires_in" in fields else DEFAULT_LIFETIME_S
    return f"Bearer {token}", lifetime_s or DEFAULT_LIFETIME_S
