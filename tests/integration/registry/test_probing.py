"""What the Test button says, against real registries and things that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.probing import probe
from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.ports import refusing_port
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from sandbox.token_service import EVERYTHING, PULL, PUSH, TokenService, User
from tests.integration.registry.raw_http import unfinished_uploads
from tests.support.scripted_server import Reply, ScriptedServer

SECRET = "canary-sesame"
REPOSITORY = "dev/website"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RegistryProcess]:
    """A registry that knows one user by htpasswd."""
    with RegistryProcess.start(tmp_path / "guarded", htpasswd={"robot": SECRET}) as registry:
        yield registry


@pytest.fixture
def web_server() -> Iterator[str]:
    """The URL of a web site, which is no registry."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!doctype html><h1>Welcome to the intranet</h1>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_registry_that_lets_anybody_in_is_greeted(dev: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", dev.url))
    assert result.ok
    assert result.message == f"{dev.host} is a registry and lets anybody in."


async def test_a_password_that_nobody_asked_for_is_not_called_right(dev: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", dev.url, username="robot", password=SECRET))
    assert result.ok
    assert "did not ask who we are" in result.message


async def test_a_login_that_is_right_is_said_to_be_known(guarded: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", guarded.url, username="robot", password=SECRET))
    assert result.ok
    assert result.message == f"{guarded.host} is a registry and knows robot."


# ---- why not


async def test_a_name_that_does_not_exist_is_a_matter_of_dns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        # Not asked for real: the answer would be the network's, and tests use none.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    result = await probe(RegistryEndpoint("c", "https://registry.invalid"))
    assert not result.ok
    assert "registry.invalid cannot be resolved (DNS)" in result.message


async def test_a_port_where_nobody_listens_refuses() -> None:
    with refusing_port() as port:
        result = await probe(RegistryEndpoint("c", f"http://127.0.0.1:{port}"))
    assert not result.ok
    assert f"127.0.0.1:{port} refuses the connection" in result.message


async def test_a_certificate_that_is_not_trusted_is_told_with_the_name_of_its_ca(
    tmp_path: Path,
) -> None:
    authority = CertificateAuthority.create(tmp_path / "ca", name="Example Company CA")
    with RegistryProcess.start(tmp_path / "registry", tls=authority.server()) as registry:
        result = await probe(RegistryEndpoint("c", registry.url))
        trusting = RegistryEndpoint("c", registry.url, ca_certificate=authority.pem)
        assert (await probe(trusting)).ok
        careless = RegistryEndpoint("c", registry.url, skip_tls_verification=True)
        assert (await probe(careless)).ok
    assert not result.ok
    assert "certificate authority that is not trusted" in result.message or (
        "certificate authority is not trusted" in result.message
    )
    assert "issued by CN=Example Company CA" in result.message
    assert "(PEM) into the connection" in result.message


async def test_plain_http_to_a_tls_port_is_told_to_say_https(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path / "ca")
    with RegistryProcess.start(tmp_path / "registry", tls=authority.server()) as registry:
        plain = registry.url.replace("https://", "http://")
        result = await probe(RegistryEndpoint("c", plain))
    assert not result.ok
    assert f"{registry.host} speaks TLS" in result.message


async def test_tls_to_a_plain_port_is_told_to_say_http(dev: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", dev.url.replace("http://", "https://")))
    assert not result.ok
    assert f"{dev.host} does not speak TLS" in result.message
    assert "http://" in result.message


async def test_a_wrong_password_is_a_401(guarded: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", guarded.url, username="robot", password="canary"))
    assert not result.ok
    assert "does not accept the user name and the password" in result.message
    assert "(401)" in result.message
    assert "canary" not in result.message


async def test_a_login_that_is_wanted_and_missing_is_a_401(guarded: RegistryProcess) -> None:
    result = await probe(RegistryEndpoint("c", guarded.url))
    assert not result.ok
    assert "wants a login (401), and the connection has none" in result.message


async def test_an_account_that_is_shut_out_is_a_403() -> None:
    body = {"errors": [{"code": "DENIED", "message": "account suspended"}]}
    async with ScriptedServer().on("GET /v2/", Reply.of_json(body, status=403)) as server:
        result = await probe(RegistryEndpoint("c", server.url, username="r", password=SECRET))
    assert not result.ok
    assert "does not let this account in (403)" in result.message
    assert "account suspended" in result.message
    assert SECRET not in result.message


async def test_a_web_site_is_no_registry(web_server: str) -> None:
    result = await probe(RegistryEndpoint("c", web_server))
    assert not result.ok
    assert "answers, and not as a registry does" in result.message
    assert "Check host and port" in result.message


# ---- what may be done in a repository


async def test_reading_and_writing_are_tried_and_leave_nothing(guarded: RegistryProcess) -> None:
    login = ("robot", SECRET)
    push_image(guarded.url, REPOSITORY, "1.0", layers=[noise_layer(100)], auth=login)

    result = await probe(_endpoint(guarded, *login))

    assert result.ok
    assert f"The connection may read and write {REPOSITORY}." in result.message
    assert unfinished_uploads(guarded) == set()


async def test_a_repository_that_does_not_exist_yet_is_said_to_be_made(
    dev: RegistryProcess,
) -> None:
    result = await probe(_endpoint(dev, None, None))
    assert result.ok
    assert f"{REPOSITORY} does not exist yet; it will be created" in result.message
    assert f"The connection may write {REPOSITORY}." in result.message
    assert unfinished_uploads(dev) == set()


@pytest.mark.parametrize(
    ("grants", "ok", "allowed", "forbidden"),
    [
        ({REPOSITORY: EVERYTHING}, True, "may read and write", ""),
        ({REPOSITORY: PUSH}, True, "may read and write", ""),
        ({REPOSITORY: PULL}, True, "may read", "It may not write"),
        ({"another": PUSH}, False, "", "It may not read"),
    ],
)
async def test_each_right_of_an_account_is_told(
    tmp_path: Path, grants: dict[str, frozenset[str]], ok: bool, allowed: str, forbidden: str
) -> None:
    users = {"robot": User(SECRET, grants)}
    with (
        TokenService.start(tmp_path / "tokens", users=users) as tokens,
        RegistryProcess.start(tmp_path / "registry", token_auth=tokens) as registry,
    ):
        auth = tokens.pusher_auth(REPOSITORY)
        push_image(registry.url, REPOSITORY, "1.0", layers=[noise_layer(100)], auth=auth)

        result = await probe(_endpoint(registry, "robot", SECRET))

    assert result.ok is ok
    assert f"{registry.host} is a registry and knows robot." in result.message
    assert allowed in result.message
    assert forbidden in result.message
    assert ("may not" in result.message) is bool(forbidden)
    # Giving an upload up takes the right to delete: without it, the registry purges it later.
    assert all(
        path.name == "startedat" or not path.stat().st_size for path in unfinished_uploads(registry)
    )


def _endpoint(
    registry: RegistryProcess, username: str | None, password: str | None
) -> RegistryEndpoint:
    return RegistryEndpoint(
        "c",
        registry.url,
        registry_type=RegistryType.OCI,
        username=username,
        password=password,
        test_repository=REPOSITORY,
    )
