"""One registry over HTTP: requests are authorised, redirected, retried, and their failures told.

It knows HTTP and who we are, and nothing of manifests, tags and blobs; ``client`` puts those on
top. Nothing but the project's own errors leaves it. It is longer than other modules because what
it does to a request it does in one pass, and no request may get round a part of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from urllib.request import getproxies

import httpx

from image_promotion.errors import AuthenticationError, RateLimitedError, RegistryError
from image_promotion.registry import retry, tls
from image_promotion.registry.address import is_loopback, read_url, same_origin
from image_promotion.registry.answers import (
    FAILURES,
    Answer,
    OpenAnswer,
    beginning_of,
    pieces_of,
    read_answer,
)
from image_promotion.registry.auth import Authorizer
from image_promotion.registry.challenge import parse_challenges
from image_promotion.registry.destinations import DestinationError, Destinations
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import (
    MAX_ERROR_BODY_BYTES,
    Attempt,
    from_exception,
    from_response,
    violation,
)
from image_promotion.registry.pace import NO_LIMIT, AdaptiveLimit, Pace, Pacer
from image_promotion.registry.retry import Persistence, RetryRules
from image_promotion.registry.transport import PooledTransport, hosts_of

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the registry.

    Args:
        attempt: What it is for, method, URL and subject.
        scopes: What a token for it must allow.
        expected: The statuses that are answers; every other one is an error.
        headers: Further header fields.
        content: The body, when it is short enough to be kept for another attempt.
        follows_redirects: Whether the answer may be found elsewhere. Only what is read may.
        read_timeout_s: How long the registry may be silent, in seconds.
    """

    attempt: Attempt
    scopes: tuple[str, ...] = ()
    expected: frozenset[int] = frozenset({200})
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)
    follows_redirects: bool = False
    read_timeout_s: float = READ_TIMEOUT_S


class Session:
    """A pool of connections to one registry.

    Args:
        endpoint: The registry, and who we are.
        connections: How many at most.
        rules: How failed requests are tried again.
        pace: The most that is asked of the registry; None for no limit.
        sleep: How pauses are waited for; another one in tests.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        *,
        connections: int,
        rules: RetryRules,
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._root = httpx.URL(endpoint.url)
        self._rules = rules
        self._sleep = sleep
        self._pacer = Pacer(pace or NO_LIMIT, sleep=sleep)
        # For requests without a stream: one that fills an upload may wait for one that reads, and
        # must not hold the place that this one needs.
        self._at_once = AdaptiveLimit(connections)
        # The proxy of the environment is for the world outside of this machine.
        proxies = {} if is_loopback(self._root) else getproxies()
        self._destinations = Destinations(self._root, chosen=hosts_of(proxies))
        self.authorizer = Authorizer(
            endpoint, self._ask_token_service, check=self._destinations.check
        )
        self._fields = {
            "User-Agent": _user_agent(),
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self._root.scheme == "https" or endpoint.ca_certificate is not None:
            tls.context_for(endpoint)  # what cannot be read is said now
        # The only line that knows who makes the connections.
        self._transport: httpx.AsyncBaseTransport = PooledTransport(
            tls=partial(tls.context_for, endpoint),
            connections=connections,
            proxies=proxies,
            admitted=self._destinations.admitted,
        )

    def url(self, path: str, **query: str) -> httpx.URL:
        """Return the URL of something in the registry.

        Args:
            path: From the root on, such as ``/v2/``.
            query: Parameters.
        """
        if query:
            return self._root.copy_with(path=path, params=query)
        return self._root.copy_with(path=path)

    def located(self, attempt: Attempt, location: str, status: int) -> httpx.URL:
        """Read where an answer says that something of this registry is.

        Args:
            attempt: The request that was answered.
            location: An absolute or relative URL, from a Location or Link field.
            status: The answer's status.

        Returns:
            The absolute URL, which is on this registry.

        Raises:
            ProtocolViolationError: It is none, or on another host, where no request of ours and
                no credential has any business.
        """
        url = _joined(attempt, location, status)
        if not same_origin(url, self._root):
            raise violation(
                attempt,
                f"it points to {url.scheme}://{url.netloc.decode('ascii')}, which is another place",
                status=status,
                advice="A proxy in front of the registry must tell it by which scheme and host it "
                "is reached (X-Forwarded-Proto, Host).",
            )
        return url

    def persistence(self) -> Persistence:
        """Return what counts the failures of something that is continued where it broke."""
        return Persistence(self._rules, sleep=self._sleep)

    async def ask(self, request: Request, *, limit_bytes: int = MAX_ERROR_BODY_BYTES) -> Answer:
        """Send a request and read its answer, again and again where that may help.

        Args:
            request: What is asked; it must be safe to repeat.
            limit_bytes: How much of the body is read; one more byte shows that there is more.

        Raises:
            RegistryError: The registry does not answer, or with another status than expected.
        """

        async def once() -> Answer:
            return await read_answer(
                await self._respond(request, None), request.attempt, limit_bytes
            )

        return await retry.call(self._rules, once, sleep=self._sleep)

    async def send(self, request: Request, content: AsyncIterator[bytes]) -> Answer:
        """Send a request with a body that can be read once, so without another attempt.

        Args:
            request: What is asked.
            content: The body. An error that it raises breaks the request off, and passes.

        Raises:
            RegistryError: The registry does not answer, or with another status than expected.
        """
        response = await self._respond(request, self._paced(content))
        return await read_answer(response, request.attempt, MAX_ERROR_BODY_BYTES)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[OpenAnswer]:
        """Send a request whose answer is read piece by piece.

        Opening is tried again where that may help; reading is not, since pieces may be used.

        Args:
            request: What is asked.

        Raises:
            RegistryError: As from ``ask``; from the pieces too, when the connection breaks.
        """

        async def once() -> httpx.Response:
            return await self._respond(request, None)

        response = await retry.call(self._rules, once, sleep=self._sleep)
        try:
            async with aclosing(pieces_of(response, request.attempt)) as pieces:
                yield OpenAnswer(response.status_code, response.headers, self._paced(pieces))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.authorizer.aclose()
        await self._transport.aclose()

    async def _paced(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for piece in pieces:
            # In small ones, where there is a limit: a second's worth must not go at once.
            for part in self._pacer.cut(piece):
                await self._pacer.before_bytes(len(part))
                yield part

    async def _respond(
        self, request: Request, content: AsyncIterator[bytes] | None
    ) -> httpx.Response:
        """Respond in turn; see ``_respond_at_once``."""
        if content is not None:
            return await self._respond_at_once(request, content)
        entered_at = await self._at_once.enter()
        try:
            response = await self._respond_at_once(request, None)
        except RegistryError as error:
            if isinstance(error, RateLimitedError):
                self._at_once.slow_down(entered_at)
            elif not error.retryable:
                self._at_once.went_well()
            raise
        else:
            self._at_once.went_well()
            return response
        finally:
            self._at_once.leave()

    async def _respond_at_once(
        self, request: Request, content: AsyncIterator[bytes] | None
    ) -> httpx.Response:
        """Return an expected answer, its body not read yet; raise for every other one."""
        attempt = request.attempt
        authorization = await self.authorizer.header(attempt, request.scopes)
        response = await self._follow(request, content, authorization)
        if response.status_code in request.expected:
            return response
        error = await self._failure(request, response)
        if not self._asks_who_we_are(response):
            raise error
        challenges = response.headers.get_list("www-authenticate")
        better = await self.authorizer.answer(
            attempt, challenges, request.scopes, authorization, codes=error.codes
        )
        if better is not None and content is None:
            response = await self._follow(request, None, better)
            if response.status_code in request.expected:
                return response
            raise await self._failure(request, response)
        # A stream is used up by now; but whoever can open it again will be let in the next time.
        error.retryable = better is not None and isinstance(error, AuthenticationError)
        raise error

    async def _failure(self, request: Request, response: httpx.Response) -> RegistryError:
        """Read an answer that was not expected, to the end of what an error may say."""
        attempt = replace(request.attempt, url=response.request.url)
        return from_response(
            attempt,
            response.status_code,
            response.headers,
            await beginning_of(response, attempt),
            understood_as=self._meaning(response),
        )

    def _asks_who_we_are(self, response: httpx.Response) -> bool:
        """Tell whether the registry itself asks, and not somebody it has redirected us to.

        A storage that named a token service of its own would be sent the registry's credentials.
        """
        return response.status_code == HTTPStatus.UNAUTHORIZED and same_origin(
            response.request.url, self._root
        )

    def _meaning(self, response: httpx.Response) -> int:
        """Tell a 401 that means 403: we are known, and our token does not allow this.

        Source: RFC 6750, "Error Codes", insufficient_scope, which asks for 403; CNCF distribution
        sends 401 with it.
        """
        challenges = parse_challenges(response.headers.get_list("www-authenticate"))
        lacks_scope = any(c.parameters.get("error") == "insufficient_scope" for c in challenges)
        if lacks_scope and self.authorizer.has_credentials:
            return HTTPStatus.FORBIDDEN
        return response.status_code

    async def _follow(
        self, request: Request, content: AsyncIterator[bytes] | None, authorization: str | None
    ) -> httpx.Response:
        """Send a request, and again to where it is redirected, if it may be.

        Credentials stay with the registry: a redirect to any other origin goes without them.
        """
        attempt = request.attempt
        response = await self._transmit(request, attempt, content, authorization)
        redirects = 0
        while request.follows_redirects and response.status_code in _REDIRECTS:
            await beginning_of(response, attempt)
            redirects += 1
            status = response.status_code
            if redirects > MAX_REDIRECTS:
                raise violation(
                    attempt, f"it was redirected more than {MAX_REDIRECTS} times", status=status
                )
            target = _joined(attempt, response.headers.get("location", ""), status)
            if attempt.url.scheme == "https" and target.scheme != "https":
                raise violation(
                    attempt, "it was redirected from https to plain http", status=status
                )
            self._check_destination(attempt, target, status)
            attempt = replace(attempt, url=target)
            kept = authorization if same_origin(target, self._root) else None
            response = await self._transmit(request, attempt, None, kept)
        return response

    def _check_destination(self, attempt: Attempt, target: httpx.URL, status: int) -> None:
        try:
            self._destinations.check(target)
        except DestinationError as error:
            raise violation(attempt, f"it was redirected, and {error}", status=status) from error

    async def _transmit(
        self,
        request: Request,
        attempt: Attempt,
        content: AsyncIterator[bytes] | None,
        authorization: str | None,
    ) -> httpx.Response:
        headers = {**self._fields, **request.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        await self._pacer.before_request()
        try:
            message = httpx.Request(
                attempt.method,
                attempt.url,
                headers=headers,
                content=(request.content or None) if content is None else content,
                extensions={"timeout": _timeouts(request.read_timeout_s)},
            )
            return await self._transport.handle_async_request(message)
        except FAILURES as error:
            raise from_exception(error, attempt) from error

    async def _ask_token_service(
        self, attempt: Attempt, headers: Mapping[str, str], content: bytes
    ) -> bytes:
        """Ask once: what needs the token is what is tried again."""
        request = Request(attempt, headers=headers, content=content)
        response = await self._transmit(request, attempt, None, None)
        body = await beginning_of(response, attempt)
        if response.status_code != HTTPStatus.OK:
            raise from_response(attempt, response.status_code, response.headers, body)
        return body


def _joined(attempt: Attempt, location: str, status: int) -> httpx.URL:
    try:
        return read_url(location, attempt.url)
    except ValueError as error:
        raise violation(
            attempt, f"where it points to cannot be followed: {error}", status=status
        ) from error


def _timeouts(read_timeout_s: float) -> dict[str, float | None]:
    return {
        "connect": CONNECT_TIMEOUT_S,
        "read": read_timeout_s,
        "write": read_timeout_s,
        # Waiting for a connection of our own pool is no failure, however long it takes.
        "pool": None,
    }


@cache
def _user_agent() -> str:
    try:
        return f"image-promotion/{version('image-promotion')}"
    except PackageNotFoundError:
        return "image-promotion"
