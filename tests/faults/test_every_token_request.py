"""A copy between registries that want tokens, in which one request for a token fails.

As with the requests to the registries, each is made to fail in turn, in each way: those that a copy
makes by itself, and those that it makes because a registry no longer takes the token that it has,
which may happen at any request of the copy.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from image_promotion.errors import PromotionError
from image_promotion.registry import session
from sandbox.fault_proxy import Exchange, FaultProxy
from sandbox.faults import (
    Answer,
    Corrupt,
    CutAnswer,
    CutRequest,
    Disconnect,
    Fault,
    Head,
    Hold,
    LoseAnswer,
    Shorten,
)
from sandbox.registry_process import RegistryProcess
from sandbox.token_service import EVERYTHING, PULL, PUSH, TokenService, User
from tests.support.crossing import SOURCE, Crossing, Planned, can_happen, push_to_copy

PASSWORD = "canary-7Qd-password"
IDENTITY_TOKEN = "canary-7Qd-identity"
SECRETS = (PASSWORD, IDENTITY_TOKEN)

SILENCE_S = 0.3
"""How long a silent token service is waited for here; one that is slow is only asked again."""

BY_PASSWORD = pytest.param(("promoter", PASSWORD), id="by password")

WEB_PAGE = b"<html><h1>Welcome</h1></html>"
HTML = {"Content-Type": "text/html"}
NO_TOKEN = json.dumps({"expires_in": 300}).encode()
NO_TEXT = json.dumps({"token": ["a", "b"]}).encode()
NOT_FOR_A_HEADER = json.dumps({"token": "a\r\nb"}).encode()
UNKNOWN_KEY = json.dumps({"token": "eyJhbGciOiJub25lIn0.e30.", "expires_in": 300}).encode()


@dataclass(frozen=True)
class Detour:
    """What a registry is told of its token service: that it is where the proxy is."""

    realm: str
    service: str
    issuer: str
    root_certificates: Path


class TokenOfTheRepository(httpx.Auth):
    """Sends a token for the repository that is asked for, past the proxy."""

    def __init__(self, tokens: TokenService) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        repository = "/".join(request.url.path.split("/")[2:4])
        token = self._tokens.token({repository: EVERYTHING})
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


@dataclass(frozen=True)
class Place:
    """A crossing between two registries that trust the same token service, behind a proxy too."""

    tokens: TokenService
    crossing: Crossing

    @property
    def proxy(self) -> FaultProxy:
        return self.crossing.proxies["tokens"]

    def seen(self, side: str) -> tuple[Exchange, ...]:
        return self.crossing.proxies[side].exchanges

    async def outcome(
        self, planned: Planned, fault: Fault, *, times: int | None = 1
    ) -> PromotionError | None:
        """Copy with one fault, by clients that have no token yet."""
        async with self.crossing.clients() as clients:
            return await self.crossing.outcome(clients, planned, fault, times=times)

    def challenge(self) -> Answer:
        """What a registry answers to a token that has expired."""
        fields = f'realm="{self.proxy.url}/token",service="{self.tokens.service}"'
        headers = {"WWW-Authenticate": f'Bearer {fields},error="invalid_token"'}
        return Answer(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', headers)


@dataclass(frozen=True)
class Expired(Fault):
    """The service gives a token that no registry accepts any more, and says that it is good."""

    tokens: TokenService

    def instead(self) -> None:
        self.tokens.lifetime_s = -60
        self.tokens.announced_lifetime_s = 300

    def head(self, head: Head) -> Head:
        self.tokens.lifetime_s = 300
        self.tokens.announced_lifetime_s = None
        return head


@dataclass(frozen=True)
class TokenNoLongerTaken(Fault):
    """A registry wants another token, and the request for that one fails, or all from then on."""

    place: Place
    method: str
    fault: Fault
    times: int | None

    def instead(self) -> tuple[Head, bytes]:
        self.place.proxy.on(self.method, "", self.fault, times=self.times)
        return self.place.challenge().instead()


@pytest.fixture(
    scope="module",
    params=[
        BY_PASSWORD,
        pytest.param((None, IDENTITY_TOKEN), id="by access token"),
    ],
)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tokens")
    grants = {"dev/*": PULL, "qa/*": PUSH}
    users = {"promoter": User(PASSWORD, grants, identity_token=IDENTITY_TOKEN)}
    with ExitStack() as started:
        tokens = started.enter_context(TokenService.start(folder, users=users))
        before_tokens = started.enter_context(FaultProxy(tokens.realm.removesuffix("/token")))
        detour = Detour(
            f"{before_tokens.url}/token", tokens.service, tokens.issuer, tokens.root_certificates
        )
        dev, qa = (
            started.enter_context(RegistryProcess.start(folder / name, token_auth=detour))
            for name in ("dev", "qa")
        )
        image = push_to_copy(dev.url, ["linux/amd64"], auth=tokens.pusher_auth(SOURCE))
        proxies = {
            "source": started.enter_context(FaultProxy(dev.url)),
            "target": started.enter_context(FaultProxy(qa.url)),
            "tokens": before_tokens,
        }
        raw = started.enter_context(
            httpx.Client(
                base_url=qa.url,
                auth=TokenOfTheRepository(tokens),
                trust_env=False,
                verify=False,  # noqa: S501 - plain http
            )
        )
        yield Place(tokens, Crossing(image, proxies, raw, login=request.param))


@pytest.fixture(autouse=True)
def no_pause_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.crossing.give_away_pauses(monkeypatch)


@pytest.fixture(scope="module")
def requests(place: Place) -> list[Planned]:
    """Every request that a copy makes when nothing fails, to all three."""
    planned = place.crossing.watch()
    (method,) = {each.exchange.method for each in planned if each.side == "tokens"}
    assert method == ("GET" if place.crossing.login[0] else "POST")
    statuses = [each.exchange.status for each in planned]
    assert statuses.count(HTTPStatus.UNAUTHORIZED) >= 2  # both registries have asked for a token
    return planned


def for_tokens(requests: list[Planned]) -> list[Planned]:
    return [planned for planned in requests if planned.side == "tokens"]


def with_a_token_in_use(requests: list[Planned]) -> list[Planned]:
    """The requests with a token that was not given for this very request."""
    found = []
    asked_who_we_are = False
    for planned in requests:
        if planned.side != "tokens":
            asks = planned.exchange.status == HTTPStatus.UNAUTHORIZED
            if not asks and not asked_who_we_are:
                found.append(planned)
            asked_who_we_are = asks
    assert {each.side for each in found} == {"source", "target"}
    return found


PASSING = [
    pytest.param(Answer(429, b"{}"), id="429"),
    pytest.param(Answer(429, b"{}", {"Retry-After": "7"}), id="429 with Retry-After"),
    pytest.param(Answer(500, b"{}"), id="500"),
    pytest.param(Answer(502, WEB_PAGE, HTML), id="502 with a web page"),
    pytest.param(Answer(503), id="503"),
    pytest.param(Disconnect(), id="broken before the request"),
    pytest.param(CutRequest(1), id="broken within the request"),
    pytest.param(LoseAnswer(), id="broken after the request"),
    pytest.param(CutAnswer(1), id="broken within the answer"),
]

LIES = [
    pytest.param(Shorten(1), id="shorter"),
    pytest.param(Corrupt(), id="other bytes"),
    pytest.param(Answer(200, WEB_PAGE, HTML), id="a web page"),
    pytest.param(Answer(200, NO_TOKEN), id="no token"),
    pytest.param(Answer(200, NO_TEXT), id="a list of tokens"),
    pytest.param(Answer(200, NOT_FOR_A_HEADER), id="a token that is no header"),
    pytest.param(Answer(200, UNKNOWN_KEY), id="a token of somebody else"),
    pytest.param(Answer(401, b"{}"), id="401"),
    pytest.param(Answer(403, b"{}"), id="403"),
    pytest.param(Answer(404, b"{}"), id="404"),
]


def check_that_it_is_clear(place: Place, planned: Planned, error: PromotionError) -> None:
    """Check that an error says for which registry and repository, and no secret."""
    hosts = {place.crossing.proxies[side].host for side in ("source", "target")}
    assert error.subject.registry in hosts, f"{planned}: {error}"
    assert error.subject.repository, f"{planned}: {error}"
    assert not [secret for secret in SECRETS if secret in f"{error} {error!r}"], planned


@pytest.mark.parametrize("fault", PASSING)
async def test_a_failure_that_passes_of_a_request_for_a_token_ends_in_a_right_copy(
    place: Place, requests: list[Planned], fault: Fault
) -> None:
    for planned in for_tokens(requests):
        if can_happen(fault, planned.exchange):
            error = await place.outcome(planned, fault)
            assert error is None, f"{planned}: {error}"


async def test_a_token_service_that_is_silent_once_is_asked_again(
    place: Place, requests: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the session asks of itself are tokens; what the client asks keeps its patience.
    impatient = partial(session.Request, read_timeout_s=SILENCE_S)
    monkeypatch.setattr(session, "Request", impatient)
    for planned in for_tokens(requests):
        silence = Hold()
        error = await place.outcome(planned, silence)
        assert error is None, f"{planned}: {error}"


async def test_a_token_that_is_given_expired_ends_in_a_right_copy_or_in_a_clear_error(
    place: Place, requests: list[Planned]
) -> None:
    for planned in for_tokens(requests):
        async with place.crossing.clients() as clients:
            expired = Expired(place.tokens)
            error = await place.crossing.outcome(clients, planned, expired)
            refused = [each.status for side in ("source", "target") for each in place.seen(side)]
            assert refused.count(HTTPStatus.UNAUTHORIZED) > 1, f"{planned}: it was taken"
            if error is not None:
                check_that_it_is_clear(place, planned, error)
            # It is not kept: whoever tries once more gets another one.
            place.crossing.begin()
            assert await place.crossing.copied(clients, f"after {planned}") is None


@pytest.mark.parametrize("fault", LIES)
async def test_a_lie_of_the_token_service_ends_in_a_right_copy_or_in_a_clear_error(
    place: Place, requests: list[Planned], fault: Fault
) -> None:
    for planned in for_tokens(requests):
        error = await place.outcome(planned, fault)
        if error is not None:
            check_that_it_is_clear(place, planned, error)


@pytest.mark.parametrize("fault", PASSING + LIES)
async def test_a_token_service_that_fails_from_then_on_ends_in_a_clear_error(
    place: Place, requests: list[Planned], fault: Fault
) -> None:
    for planned in for_tokens(requests):
        if can_happen(fault, planned.exchange):
            error = await place.outcome(planned, fault, times=None)
            assert error is not None, planned
            check_that_it_is_clear(place, planned, error)


async def test_a_token_that_expires_at_any_request_is_replaced_and_the_copy_is_right(
    place: Place, requests: list[Planned]
) -> None:
    for planned in with_a_token_in_use(requests):
        error = await place.outcome(planned, place.challenge())
        assert error is None, f"{planned}: {error}"
        asked = len(place.proxy.exchanges)
        assert asked == len(for_tokens(requests)) + 1, f"{planned}: no other token was asked for"


# Which request needs a token has nothing to do with how the token is asked for.
@pytest.mark.parametrize("place", [BY_PASSWORD], indirect=True)
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        pytest.param(Answer(503), 1, id="503"),
        pytest.param(Disconnect(), 1, id="broken"),
        pytest.param(Answer(200, WEB_PAGE, HTML), 1, id="a web page"),
        pytest.param(Answer(503), None, id="503 from then on"),
    ],
)
async def test_a_token_that_expires_at_any_request_and_is_not_replaced_at_once_shows_no_half_image(
    place: Place, requests: list[Planned], fault: Fault, times: int | None
) -> None:
    (method,) = {each.exchange.method for each in for_tokens(requests)}
    for planned in with_a_token_in_use(requests):
        happens = TokenNoLongerTaken(place, method, fault, times)
        error = await place.outcome(planned, happens, times=times)
        asked = [each.fault for each in place.proxy.exchanges]
        assert fault in asked, f"{planned}: no token was asked for"
        if times is None:
            assert error is not None, planned
        elif not isinstance(fault, Answer) or fault.status != HTTPStatus.OK:
            assert error is None, f"{planned}: {error}"
        if error is not None:
            check_that_it_is_clear(place, planned, error)
