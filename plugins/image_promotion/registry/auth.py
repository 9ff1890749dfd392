"""Who we are, told to nobody but the registry and the token service that it names.

Three ways in: anonymous, basic, and bearer tokens from a token service. Which one it is, the
registry says with its first 401. Nothing here does I/O: the token service is asked through a
function that the session passes in.

A connection with a password and no user name holds an access token. In basic authentication it is
a password with the user name ``<token>``, as registries agree on. To a token service it is first
offered as what OAuth2 calls a refresh token, since that is what Docker's own tools mean by this
name, and where that is not taken, as such a password again. A refresh token that a token service
gives us by itself is used from then on in place of the password, and kept in memory only.

Source: CNCF distribution, "Token Authentication Specification" and "OAuth2 Token Authentication";
RFC 7617 (basic), 6749 (OAuth2) and 6750 (bearer).
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlencode

import httpx

from image_promotion.errors import (
    AuthenticationError,
    ProtocolViolationError,
    RegistryCode,
    RegistryError,
)
from image_promotion.registry.address import is_loopback, read_url
from image_promotion.registry.challenge import Challenge, parse_challenges, united
from image_promotion.registry.destinations import DestinationError
from image_promotion.registry.document import read_fields
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt, redacted, violation

ACCESS_TOKEN_USER = "<token>"  # noqa: S105 - the name of a user, not a secret

DEFAULT_LIFETIME_S = 60
"""How long a token is good for when its service does not say.

Source: CNCF distribution, "Token Authentication Specification", expires_in.
"""

_RENEWED_AFTER = 0.8  # of its lifetime

CLIENT_ID = "image-promotion"
"""What OAuth2 wants to know of whoever asks for a token: a name, registered nowhere."""

AskTokenService = Callable[[Attempt, Mapping[str, str], bytes], Awaitable[bytes]]
"""Sends a request with header fields and a body; returns the answer's body, which was a 200."""

# What token services without OAuth2 answer to a POST; and those with it, to a secret that they do
# not know as a refresh token.
_NOT_BY_REFRESH_TOKEN = frozenset({400, 401, 403, 404, 405, 415, 422, 501})


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

    def form(self, scopes: tuple[str, ...], **grant: str) -> bytes:
        fields = {**grant, "client_id": CLIENT_ID}
        if self.service is not None:
            fields["service"] = self.service
        if scopes:
            fields["scope"] = " ".join(scopes)
        return urlencode(fields).encode("ascii")


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    renew_at_s: float


class Authorizer:
    """Finds the Authorization field for each request to one registry.

    Args:
        endpoint: The registry, and the credentials.
        ask: How the token service is asked.
        check: Raises a DestinationError for a token service that is not asked wherever it is.
        clock: Gives seconds from any fixed moment on; another one in tests.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        ask: AskTokenService,
        *,
        check: Callable[[httpx.URL], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = httpx.URL(endpoint.url)
        self._basic = _basic_header(endpoint.username, endpoint.password)
        self._login = None
        if endpoint.username is not None and endpoint.password is not None:
            self._login = (endpoint.username, endpoint.password)
        is_token = endpoint.username in (None, ACCESS_TOKEN_USER)
        self._offered = endpoint.password if is_token else None
        # By token service: what one of them gave is nobody else's business.
        self._refresh_tokens: dict[httpx.URL, str | None] = {}
        self._ask = ask
        self._check = check
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
        wanted = self._wanted.get(scopes, scopes)
        return (await self._token(attempt, self._way, wanted, rejected=None)).header

    async def answer(
        self,
        attempt: Attempt,
        www_authenticate: Sequence[str],
        scopes: tuple[str, ...],
        rejected: str | None,
        *,
        codes: tuple[RegistryCode, ...] = (),
    ) -> str | None:
        """Return what to send instead, after a 401.

        Args:
            attempt: The request that was answered 401.
            www_authenticate: The WWW-Authenticate fields of that answer.
            scopes: What the request needs.
            rejected: The Authorization field that it was sent with.
            codes: What the registry said in that answer, for errors.

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
            return (await self._token(attempt, self._way, self._wanted[scopes], rejected)).header
        if "basic" in challenges:
            self._takes_basic = True
            if self._basic is None:
                raise AuthenticationError(
                    f"{attempt.action} failed: it asks who we are, and the connection does not say",
                    method=attempt.method,
                    url=redacted(attempt.url),
                    status=401,
                    codes=codes,
                    subject=attempt.subject,
                    advice="Put a user name and a password into the connection.",
                )
            return None if rejected == self._basic else self._basic
        raise violation(
            attempt,
            "it wants a login and names no way to log in that is known here",
            status=401,
            codes=codes,
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
        try:
            self._check(realm)
        except DestinationError as error:
            raise violation(
                attempt, f"its token service is not asked: {error}", status=401
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

    async def _token(
        self,
        attempt: Attempt,
        way: _TokenService,
        scopes: tuple[str, ...],
        rejected: str | None,
    ) -> _Token:
        url = way.url_for(scopes)
        token = self._tokens.get(url)
        if token is not None and token.header != rejected and self._clock() < token.renew_at_s:
            return token
        fetch = self._fetches.get(url)
        if fetch is None:
            fetch = asyncio.create_task(self._fetch(attempt, way, scopes))
            self._fetches[url] = fetch
            fetch.add_done_callback(lambda done: self._forget(url, done))
        # Others wait for the same answer: that one of them gives up must not end it for all.
        return await asyncio.shield(fetch)

    def _forget(self, url: httpx.URL, fetch: asyncio.Task[_Token]) -> None:
        self._fetches.pop(url, None)
        if not fetch.cancelled():
            fetch.exception()  # seen: asyncio need not complain when nobody waits any more

    async def _fetch(self, attempt: Attempt, way: _TokenService, scopes: tuple[str, ...]) -> _Token:
        asked_at_s = self._clock()
        url = way.url_for(scopes)
        asking = Attempt("asking its token service for a token", "GET", url, attempt.subject)
        body = await self._ask_by_refresh_token(asking, way, scopes)
        if body is None:
            body = await self._ask_by_login(asking, way, scopes)
        try:
            answer = _read_token(body)
        except ProtocolViolationError as error:
            raise violation(asking, error.attempted, status=200) from error
        if answer.refresh_token is not None and self.has_credentials:
            self._refresh_tokens[way.realm] = answer.refresh_token
        # Renewed before it expires, so that what begins with it can also end with it.
        token = _Token(answer.header, asked_at_s + answer.lifetime_s * _RENEWED_AFTER)
        self._tokens[url] = token
        return token

    async def _ask_by_refresh_token(
        self, asking: Attempt, way: _TokenService, scopes: tuple[str, ...]
    ) -> bytes | None:
        """Use a refresh token, if there is one; None where it is not taken, from then on.

        Source: CNCF distribution, "OAuth2 Token Authentication", grant_type refresh_token.
        """
        refresh_token = self._refresh_tokens.get(way.realm, self._offered)
        if refresh_token is None:
            return None
        form = way.form(scopes, grant_type="refresh_token", refresh_token=refresh_token)
        try:
            return await self._post(asking, way, form)
        except RegistryError as error:
            if error.status not in _NOT_BY_REFRESH_TOKEN:
                raise
            self._refresh_tokens[way.realm] = None
            return None

    async def _ask_by_login(
        self, asking: Attempt, way: _TokenService, scopes: tuple[str, ...]
    ) -> bytes:
        headers = {} if self._basic is None else {"Authorization": self._basic}
        try:
            return await self._ask(asking, headers, b"")
        except RegistryError as error:
            if error.status != HTTPStatus.METHOD_NOT_ALLOWED or self._login is None:
                raise
        # It speaks OAuth2 alone.
        username, password = self._login
        form = way.form(scopes, grant_type="password", username=username, password=password)
        return await self._post(asking, way, form)

    async def _post(self, asking: Attempt, way: _TokenService, form: bytes) -> bytes:
        attempt = replace(asking, method="POST", url=way.realm)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._ask(attempt, headers, form)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a token service gives.

    Args:
        header: The Authorization field that its token means.
        lifetime_s: For how long, in seconds.
        refresh_token: What to ask it with from now on; None for nothing new.
    """

    header: str = field(repr=False)
    lifetime_s: float
    refresh_token: str | None = field(repr=False)


def _basic_header(username: str | None, password: str | None) -> str | None:
    if password is None:
        return None
    login = f"{username or ACCESS_TOKEN_USER}:{password}"
    return "Basic " + b64encode(login.encode()).decode("ascii")


def _read_token(body: bytes) -> _Answer:
    fields = read_fields(body, "the token service's answer")
    token = fields.optional_text("token") or fields.text("access_token")
    if not (token.isascii() and token.isprintable() and " " not in token):
        fields.refuse("token", "cannot be sent in a header field")
    lifetime_s = fields.whole_number("expires_in") if "expires_in" in fields else DEFAULT_LIFETIME_S
    return _Answer(
        f"Bearer {token}",
        lifetime_s or DEFAULT_LIFETIME_S,
        fields.optional_text("refresh_token") or None,
    )
