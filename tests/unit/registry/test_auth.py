"""Who we are, and who is told."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import parse_qsl

import httpx
import pytest

from image_promotion.errors import (
    AuthenticationError,
    ProtocolViolationError,
    RegistryCode,
    RegistryError,
    UnreachableError,
)
from image_promotion.registry.auth import Authorizer
from image_promotion.registry.challenge import pull_scope, push_scope
from image_promotion.registry.destinations import Destinations
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.failures import Attempt

PASSWORD = "canary-password"
REGISTRY = "https://registry.example"
REALM = "https://auth.example/token"
BEARER = f'Bearer realm="{REALM}",service="registry.example"'
BASIC = 'Basic realm="Registry"'
ATTEMPT = Attempt("listing the tags", "GET", httpx.URL(REGISTRY))
PULL = (pull_scope("a/b"),)


class Service:
    """A token service that gives numbered tokens, or fails, and notes who asked for what."""

    def __init__(self, **answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[httpx.URL, Mapping[str, str]]] = []
        self.forms: list[dict[str, str]] = []
        self.refused: frozenset[str] = frozenset()
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None
        self.now_s = 1000.0

    async def __call__(self, attempt: Attempt, headers: Mapping[str, str], content: bytes) -> bytes:
        if content:
            form = dict(parse_qsl(content.decode(), strict_parsing=True))
            self.forms.append(form)
            if form["grant_type"] in self.refused:
                raise AuthenticationError("no", status=401)
        elif "GET" in self.refused:
            raise RegistryError("no", status=405)
        self.asked.append((attempt.url, headers))
        number = len(self.asked)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return json.dumps({"token": f"t{number}", **self.answer}).encode()

    def scopes(self) -> list[list[str]]:
        return [url.params.get_list("scope") for url, _ in self.asked]


def authorizer(
    service: Service,
    *,
    url: str = REGISTRY,
    username: str | None = "robot",
    password: str | None = PASSWORD,
) -> Authorizer:
    endpoint = RegistryEndpoint("c", url, username=username, password=password)
    check = Destinations(httpx.URL(endpoint.url)).check
    return Authorizer(endpoint, service, check=check, clock=lambda: service.now_s)


def login_in(header: str | None) -> str:
    assert header is not None
    scheme, _, encoded = header.partition(" ")
    assert scheme == "Basic"
    return b64decode(encoded).decode()


async def test_nothing_is_told_before_the_registry_asks() -> None:
    service = Service()
    assert await authorizer(service).header(ATTEMPT, PULL) is None
    assert service.asked == []


async def test_basic_credentials_answer_a_basic_challenge_and_are_kept() -> None:
    auth = authorizer(Service())
    answer = await auth.answer(ATTEMPT, [BASIC], PULL, rejected=None)
    assert login_in(answer) == f"robot:{PASSWORD}"
    assert await auth.header(ATTEMPT, PULL) == answer


async def test_basic_credentials_that_were_refused_are_not_sent_again() -> None:
    auth = authorizer(Service())
    first = await auth.answer(ATTEMPT, [BASIC], PULL, rejected=None)
    assert await auth.answer(ATTEMPT, [BASIC], PULL, rejected=first) is None


async def test_a_login_that_is_wanted_and_not_there_is_said_so() -> None:
    auth = authorizer(Service(), username=None, password=None)
    with pytest.raises(AuthenticationError, match="does not say"):
        await auth.answer(ATTEMPT, [BASIC], PULL, rejected=None)


async def test_an_access_token_without_a_name_has_a_fixed_one() -> None:
    auth = authorizer(Service(), username=None)
    assert login_in(await auth.answer(ATTEMPT, [BASIC], PULL, None)) == f"<token>:{PASSWORD}"


async def test_a_bearer_challenge_is_answered_with_a_token_of_its_service() -> None:
    service = Service()
    auth = authorizer(service)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, None) == "Bearer t1"
    url, headers = service.asked[0]
    assert str(url.copy_with(query=None)) == REALM
    assert url.params["service"] == "registry.example"
    assert url.params.get_list("scope") == ["repository:a/b:pull"]
    assert login_in(headers["Authorization"]) == f"robot:{PASSWORD}"


async def test_an_anonymous_token_is_asked_for_without_a_name() -> None:
    service = Service()
    auth = authorizer(service, username=None, password=None)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, None) == "Bearer t1"
    assert service.asked[0][1] == {}


async def test_the_parameters_of_the_realm_are_kept() -> None:
    service = Service()
    await authorizer(service).answer(ATTEMPT, [f'Bearer realm="{REALM}?tenant=7"'], PULL, None)
    assert service.asked[0][0].params["tenant"] == "7"


async def test_bearer_is_preferred_when_both_are_offered() -> None:
    answer = await authorizer(Service()).answer(ATTEMPT, [BASIC, BEARER], PULL, None)
    assert answer == "Bearer t1"


async def test_what_the_registry_asks_for_is_added_to_what_we_know_to_need() -> None:
    service = Service()
    auth = authorizer(service)
    challenge = f'{BEARER},scope="repository:a/b:pull,push repository:c:pull"'
    await auth.answer(ATTEMPT, [challenge], PULL, None)
    await auth.header(ATTEMPT, PULL)
    assert service.scopes() == [["repository:a/b:pull,push", "repository:c:pull"]]


async def test_a_token_is_used_until_shortly_before_it_expires() -> None:
    service = Service(expires_in=100)
    auth = authorizer(service)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    service.now_s += 79
    assert await auth.header(ATTEMPT, PULL) == "Bearer t1"
    service.now_s += 2
    assert await auth.header(ATTEMPT, PULL) == "Bearer t2"


@pytest.mark.parametrize("answer", [{}, {"expires_in": None}, {"expires_in": 0}])
async def test_a_token_that_does_not_say_how_long_is_good_for_a_minute(
    answer: dict[str, object],
) -> None:
    service = Service(**answer)
    auth = authorizer(service)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    service.now_s += 47
    assert await auth.header(ATTEMPT, PULL) == "Bearer t1"
    service.now_s += 2
    assert await auth.header(ATTEMPT, PULL) == "Bearer t2"


async def test_each_repository_and_action_has_a_token_of_its_own() -> None:
    service = Service()
    auth = authorizer(service)
    for scopes in (PULL, (push_scope("a/b"),), (pull_scope("c"),), PULL):
        await auth.answer(ATTEMPT, [BEARER], scopes, None)
    assert len(service.asked) == 3


async def test_a_mount_asks_for_both_repositories_in_one_token() -> None:
    service = Service()
    await authorizer(service).answer(
        ATTEMPT, [BEARER], (push_scope("target"), pull_scope("source")), None
    )
    assert service.scopes() == [["repository:source:pull", "repository:target:pull,push"]]


async def test_a_rejected_token_is_replaced_by_a_fresh_one() -> None:
    auth = authorizer(Service())
    first = await auth.answer(ATTEMPT, [BEARER], PULL, None)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, first) == "Bearer t2"


async def test_who_was_rejected_late_takes_the_token_that_another_one_got() -> None:
    service = Service()
    auth = authorizer(service)
    first = await auth.answer(ATTEMPT, [BEARER], PULL, None)
    await auth.answer(ATTEMPT, [BEARER], PULL, first)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, first) == "Bearer t2"
    assert len(service.asked) == 2


async def test_requests_at_once_share_one_token() -> None:
    service = Service()
    service.gate = asyncio.Event()
    auth = authorizer(service)
    waiting = [asyncio.create_task(auth.answer(ATTEMPT, [BEARER], PULL, None)) for _ in range(9)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the first one, who asked for all
    await asyncio.sleep(0)
    service.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert set(map(str, answers[1:])) == {"Bearer t1"}
    assert len(service.asked) == 1


async def test_a_token_service_that_failed_once_is_asked_again() -> None:
    service = Service()
    service.failures.append(UnreachableError("down"))
    auth = authorizer(service)
    with pytest.raises(UnreachableError):
        await auth.answer(ATTEMPT, [BEARER], PULL, None)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, None) == "Bearer t2"


async def test_closing_ends_what_is_still_asked() -> None:
    service = Service()
    service.gate = asyncio.Event()
    auth = authorizer(service)
    waiting = asyncio.create_task(auth.answer(ATTEMPT, [BEARER], PULL, None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert service.asked
    await auth.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("registry", "realm", "password", "asked"),
    [
        ("https://registry.example", "https://other.example/token", PASSWORD, True),
        ("https://registry.example", "http://registry.example/token", PASSWORD, False),
        ("https://registry.example", "http://registry.example/token", None, False),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5001/token", PASSWORD, False),
        ("http://registry.example", "http://registry.example:5001/token", PASSWORD, True),
        ("http://registry.example", "http://other.example/token", PASSWORD, False),
        ("http://registry.example", "http://127.0.0.1/token", PASSWORD, False),
        ("http://registry.example", "http://other.example/token", None, True),
        ("http://registry.example", "https://other.example/token", PASSWORD, True),
        ("http://127.0.0.1:5000", "http://localhost:5001/token", PASSWORD, True),
        ("http://127.0.0.1:5000", "http://other.example/token", PASSWORD, False),
    ],
)
async def test_credentials_go_to_another_host_by_https_only(
    registry: str, realm: str, password: str | None, asked: bool
) -> None:
    service = Service()
    auth = authorizer(service, url=registry, password=password)
    if asked:
        await auth.answer(ATTEMPT, [f'Bearer realm="{realm}"'], PULL, None)
    else:
        with pytest.raises(ProtocolViolationError, match=r"https|this machine itself"):
            await auth.answer(ATTEMPT, [f'Bearer realm="{realm}"'], PULL, None)
    assert len(service.asked) == asked


@pytest.mark.parametrize(
    "challenge",
    [
        "Bearer",
        'Bearer realm=""',
        'Bearer realm="/token"',
        'Bearer realm="ftp://auth.example/"',
        'Bearer realm="https://[/"',
        "Negotiate",
        "",
    ],
)
async def test_a_challenge_that_leads_nowhere_is_a_violation(challenge: str) -> None:
    with pytest.raises(ProtocolViolationError):
        await authorizer(Service()).answer(ATTEMPT, [challenge], PULL, None)


@pytest.mark.parametrize(
    "answer",
    [{"token": None}, {"token": 5}, {"token": "a\r\nb"}, {"token": "ä"}, {"expires_in": "soon"}],
)
async def test_a_token_service_that_talks_nonsense_is_a_violation(
    answer: dict[str, object],
) -> None:
    with pytest.raises(ProtocolViolationError):
        await authorizer(Service(**answer)).answer(ATTEMPT, [BEARER], PULL, None)


async def test_oauths_name_of_the_token_is_read_too() -> None:
    service = Service(token=None, access_token="by-oauth")
    assert await authorizer(service).answer(ATTEMPT, [BEARER], PULL, None) == "Bearer by-oauth"


# ---- OAuth2


async def test_a_secret_without_a_name_is_offered_as_a_refresh_token_in_a_form() -> None:
    service = Service()
    auth = authorizer(service, username=None)
    assert await auth.answer(ATTEMPT, [BEARER], PULL, None) == "Bearer t1"
    url, headers = service.asked[0]
    assert str(url) == REALM
    assert "Authorization" not in headers
    assert service.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": PASSWORD,
            "client_id": "image-promotion",
            "service": "registry.example",
            "scope": "repository:a/b:pull",
        }
    ]


async def test_an_access_token_that_is_no_refresh_token_is_used_as_a_password_from_then_on() -> (
    None
):
    service = Service()
    service.refused = frozenset({"refresh_token"})
    auth = authorizer(service, username=None)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    await auth.answer(ATTEMPT, [BEARER], (push_scope("a/b"),), None)
    assert len(service.forms) == 1
    assert [login_in(headers["Authorization"]) for _, headers in service.asked] == [
        f"<token>:{PASSWORD}"
    ] * 2


@pytest.mark.parametrize("username", ["robot", None])
async def test_a_refresh_token_that_the_service_gives_takes_the_place_of_the_password(
    username: str | None,
) -> None:
    service = Service(refresh_token="canary-refresh")
    auth = authorizer(service, username=username)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    await auth.answer(ATTEMPT, [BEARER], (push_scope("a/b"),), None)
    assert service.forms[-1]["refresh_token"] == "canary-refresh"
    assert service.forms[-1]["scope"] == "repository:a/b:pull,push"
    assert "canary" not in repr(vars(auth)["_tokens"])


async def test_a_refresh_token_is_for_the_service_that_gave_it() -> None:
    service = Service(refresh_token="canary-refresh")
    auth = authorizer(service)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    await auth.answer(ATTEMPT, ['Bearer realm="https://other.example/token"'], PULL, None)
    assert service.forms == []


async def test_a_refresh_token_that_has_expired_is_replaced_by_the_password() -> None:
    service = Service(refresh_token="canary-refresh")
    auth = authorizer(service)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    service.refused = frozenset({"refresh_token"})
    await auth.answer(ATTEMPT, [BEARER], (push_scope("a/b"),), None)
    assert login_in(service.asked[-1][1]["Authorization"]) == f"robot:{PASSWORD}"


async def test_an_anonymous_connection_keeps_no_refresh_token() -> None:
    service = Service(refresh_token="somebody")
    auth = authorizer(service, username=None, password=None)
    await auth.answer(ATTEMPT, [BEARER], PULL, None)
    await auth.answer(ATTEMPT, [BEARER], (push_scope("a/b"),), None)
    assert service.forms == []


async def test_a_token_service_that_takes_forms_alone_gets_the_password_in_one() -> None:
    service = Service()
    service.refused = frozenset({"GET"})
    assert await authorizer(service).answer(ATTEMPT, [BEARER], PULL, None) == "Bearer t1"
    (form,) = service.forms
    assert (form["grant_type"], form["username"], form["password"]) == (
        "password",
        "robot",
        PASSWORD,
    )


@pytest.mark.parametrize("challenge", [BASIC, "Negotiate"])
async def test_a_login_that_is_missing_is_told_with_what_the_registry_said(challenge: str) -> None:
    auth = authorizer(Service(), username=None, password=None)
    codes = (RegistryCode("UNAUTHORIZED", "sign in first"),)
    with pytest.raises(RegistryError) as caught:
        await auth.answer(ATTEMPT, [challenge], PULL, None, codes=codes)
    assert caught.value.codes == codes
