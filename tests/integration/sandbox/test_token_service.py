from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import pytest

from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushRefusedError
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from sandbox.token_service import PULL, PUSH, TokenRequest, TokenService, User

_PULL = "repository:dev/website:pull"
_PUSH = "repository:dev/website:pull,push"


@dataclass(frozen=True)
class Place:
    """A registry and the token service it trusts."""

    tokens: TokenService
    registry: RegistryProcess

    def ask(
        self, *scopes: str, user: tuple[str, str] | None = None, service: str | None = None
    ) -> httpx.Response:
        params = [("service", service or self.tokens.service)]
        params += [("scope", scope) for scope in scopes]
        url = httpx.URL(self.tokens.realm, params=params)
        return httpx.get(url, auth=user, trust_env=False)

    def list_tags(self, token: str) -> int:
        url = f"{self.registry.url}/v2/dev/website/tags/list"
        return httpx.get(
            url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ).status_code

    def begin_upload(self, token: str) -> int:
        url = f"{self.registry.url}/v2/dev/website/blobs/uploads/"
        return httpx.post(
            url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ).status_code


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    users = {
        "reader": User("r", {"dev/*": PULL}),
        "writer": User("w", {"dev/website": PUSH}, identity_token="w-identity"),
    }
    folder = tmp_path_factory.mktemp("place")
    with (
        TokenService.start(folder / "tokens", users=users) as tokens,
        RegistryProcess.start(folder / "registry", token_auth=tokens) as registry,
    ):
        push_image(
            registry.url,
            "dev/website",
            "1.0",
            layers=[noise_layer(10)],
            auth=tokens.pusher_auth("dev/website"),
        )
        yield Place(tokens, registry)


def test_the_registry_sends_clients_to_the_service(place: Place) -> None:
    answer = httpx.get(f"{place.registry.url}/v2/dev/website/tags/list", trust_env=False)
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert f'realm="{place.tokens.realm}"' in challenge
    assert f'service="{place.tokens.service}"' in challenge
    assert f'scope="{_PULL}"' in challenge


def test_the_registry_accepts_a_token_for_what_the_user_may_do(place: Place) -> None:
    reader = place.ask(_PULL, user=("reader", "r")).json()
    writer = place.ask(_PUSH, user=("writer", "w")).json()
    assert place.list_tags(reader["token"]) == 200
    assert place.begin_upload(writer["access_token"]) == 202


def test_asking_for_more_than_is_granted_gives_a_token_for_less(place: Place) -> None:
    answer = place.ask(_PUSH, user=("reader", "r"))
    token = answer.json()["token"]
    assert answer.status_code == 200
    assert place.list_tags(token) == 200
    assert place.begin_upload(token) == 401


def test_nobody_in_particular_may_do_nothing_until_granted(place: Place) -> None:
    assert place.list_tags(place.ask(_PULL).json()["token"]) == 401
    place.tokens.anonymous_grants = {"dev/*": PULL}
    token = place.ask(_PULL).json()["token"]
    assert place.list_tags(token) == 200
    assert place.begin_upload(token) == 401


def test_the_catalog_is_granted_by_its_own_name(place: Place) -> None:
    place.tokens.anonymous_grants = {"registry:catalog": ["*"]}
    token = place.ask("registry:catalog:*").json()["token"]
    answer = httpx.get(
        f"{place.registry.url}/v2/_catalog",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.json() == {"repositories": ["dev/website"]}


@pytest.mark.parametrize("user", [("reader", "wrong"), ("stranger", "r"), ("reader", "")])
def test_a_wrong_password_is_refused(place: Place, user: tuple[str, str]) -> None:
    assert place.ask(_PULL, user=user).status_code == 401


def test_a_token_that_is_over_is_refused_by_the_registry(place: Place) -> None:
    place.tokens.lifetime_s = -1
    token = place.ask(_PULL, user=("reader", "r")).json()["token"]
    assert place.list_tags(token) == 401


def test_the_announced_life_of_a_token_may_be_a_lie(place: Place) -> None:
    assert place.ask(_PULL).json()["expires_in"] == 300
    place.tokens.announced_lifetime_s = 1
    assert place.ask(_PULL).json()["expires_in"] == 1
    place.tokens.announced_lifetime_s = 0
    assert "expires_in" not in place.ask(_PULL).json()


def test_a_token_of_another_service_is_refused_by_the_registry(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with TokenService.start(tmp_path_factory.mktemp("other")) as other:
        assert place.list_tags(other.token({"dev/website": PULL})) == 401


def test_the_service_can_be_told_to_deny(place: Place) -> None:
    place.tokens.deny_with = HTTPStatus.SERVICE_UNAVAILABLE
    assert place.ask(_PULL, user=("reader", "r")).status_code == 503
    place.tokens.deny_with = None
    assert place.ask(_PULL, user=("reader", "r")).status_code == 200


def test_a_request_for_another_registry_is_refused(place: Place) -> None:
    assert place.ask(_PULL, service="another").status_code == 400


def test_every_request_is_kept_without_its_secret(place: Place) -> None:
    place.ask(_PULL, "repository:b:push", user=("reader", "wrong"))
    place.ask(f"{_PULL} repository:b:push")
    service = place.tokens.service
    scopes = (_PULL, "repository:b:push")
    assert place.tokens.requests == (
        TokenRequest("GET", service, scopes, "reader", 401),
        TokenRequest("GET", service, scopes, None, 200),
    )
    assert place.tokens.request_count == 2
    place.tokens.forget_requests()
    assert place.tokens.request_count == 0
    assert "w-identity" not in repr(place.tokens.users)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "writer", "password": "w"}, 200),
        ({"grant_type": "password", "username": "writer", "password": "wrong"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "w-identity"}, 200),
        ({"grant_type": "refresh_token", "refresh_token": "guess"}, 401),
    ],
)
def test_oauth2_gives_the_same_tokens(place: Place, form: dict[str, str], status: int) -> None:
    asked = form | {"service": place.tokens.service, "scope": _PUSH, "client_id": "test"}
    answer = httpx.post(place.tokens.realm, data=asked, trust_env=False)
    assert answer.status_code == status
    if status == 200:
        assert place.begin_upload(answer.json()["access_token"]) == 202


def test_any_other_address_of_the_service_does_not_exist(place: Place) -> None:
    assert httpx.get(f"{place.tokens.realm}/else", trust_env=False).status_code == 404


def test_filling_a_registry_needs_a_token_for_that_repository(place: Place) -> None:
    with pytest.raises(PushRefusedError, match="UNAUTHORIZED"):
        push_image(
            place.registry.url,
            "dev/other",
            "1.0",
            layers=[noise_layer(10)],
            auth=place.tokens.pusher_auth("dev/website"),
        )


def test_the_service_may_speak_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tls")
    authority = CertificateAuthority.create(folder)
    with TokenService.start(folder, tls=authority.server()) as tokens:
        assert tokens.realm.startswith("https://")
        params = {"service": tokens.service}
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(tokens.realm, params=params, trust_env=False)
        trusting = authority.client_context()
        answer = httpx.get(tokens.realm, params=params, verify=trusting, trust_env=False)
        assert answer.status_code == 200
