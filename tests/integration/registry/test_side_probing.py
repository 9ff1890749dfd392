"""What Connect says of the ends of a policy, against real registries and things that are none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from image_promotion.policy.repositories import name_in
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.probe_result import Side, Trouble, Use
from image_promotion.registry.side_probing import probe_side
from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.ports import refusing_port
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from sandbox.token_service import PULL, PUSH, TokenService, User
from tests.integration.registry.raw_http import unfinished_uploads
from tests.support.scripted_server import Reply, ScriptedServer

SECRET = "canary-sesame"
REPOSITORY = "dev/website"
READ = Side(Use.READ, REPOSITORY)
WRITE = Side(Use.WRITE, REPOSITORY)


def _some(pattern: str) -> Side:
    return Side(Use.READ, pattern, partial(_fits, pattern))


def _fits(pattern: str, repository: str) -> bool:
    return name_in(pattern, repository) is not None


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryEndpoint]:
    """A registry with one image, whose accounts have different rights."""
    folder = tmp_path_factory.mktemp("guarded")
    users = {
        "puller": User(SECRET, {REPOSITORY: PULL}),
        "pusher": User(SECRET, {REPOSITORY: PUSH, "qa/new": PUSH}),
    }
    with (
        TokenService.start(folder / "tokens", users=users) as tokens,
        RegistryProcess.start(folder / "registry", token_auth=tokens) as registry,
    ):
        auth = tokens.pusher_auth(REPOSITORY)
        push_image(registry.url, REPOSITORY, "1.0", layers=[noise_layer(100)], auth=auth)
        yield RegistryEndpoint("c", registry.url, username="puller", password=SECRET)


async def test_who_may_pull_reads_a_source_and_cannot_write_a_target(
    guarded: RegistryEndpoint,
) -> None:
    reads = await probe_side(guarded, READ)
    writes = await probe_side(guarded, WRITE)

    assert reads.ok
    assert f"The connection may read {REPOSITORY}." in reads.message
    assert writes.trouble is Trouble.RIGHT_MISSING
    assert f"may read {REPOSITORY}. It may not write {REPOSITORY}" in writes.message
    assert SECRET not in writes.message


async def test_who_may_push_writes_also_where_no_repository_is_yet(
    guarded: RegistryEndpoint,
) -> None:
    pusher = replace(guarded, username="pusher")

    assert "may read and write" in (await probe_side(pusher, WRITE)).message
    new = await probe_side(pusher, Side(Use.WRITE, "qa/new"))
    assert new.ok
    assert "does not exist yet; it will be created" in new.message


async def test_a_repository_that_the_account_may_not_see(guarded: RegistryEndpoint) -> None:
    found = await probe_side(guarded, Side(Use.READ, "dev/secret"))

    assert found.trouble is Trouble.RIGHT_MISSING
    assert "It may not read dev/secret" in found.message


async def test_a_wrong_password_is_said_to_be_the_login(guarded: RegistryEndpoint) -> None:
    found = await probe_side(replace(guarded, password="wrong-canary"), READ)

    assert found.trouble is Trouble.LOGIN
    assert "does not accept the user name and the password" in found.message
    assert "wrong-canary" not in found.message


async def test_a_pattern_needs_the_list_of_repositories(guarded: RegistryEndpoint) -> None:
    found = await probe_side(guarded, _some("dev/*"))

    assert found.trouble is Trouble.RIGHT_MISSING
    assert "Write a policy for each repository" in found.message


async def test_an_open_registry_is_read_by_pattern_and_keeps_nothing_of_a_trial(
    dev: RegistryProcess,
) -> None:
    push_image(dev.url, REPOSITORY, "1.0", layers=[noise_layer(100)])
    endpoint = RegistryEndpoint("c", dev.url)

    assert (await probe_side(endpoint, _some("dev/*"))).ok
    assert (await probe_side(endpoint, WRITE)).ok
    none = await probe_side(endpoint, _some("other/*"))
    absent = await probe_side(endpoint, Side(Use.READ, "dev/absent"))

    assert none.trouble is absent.trouble is Trouble.REPOSITORY_MISSING
    assert "It lists no repository that matches other/*" in none.message
    assert "There is no repository dev/absent there" in absent.message
    assert unfinished_uploads(dev) == set()


async def test_an_untrusted_certificate_is_told_with_whose_it_is(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path / "ca", name="Example Company CA")
    with RegistryProcess.start(tmp_path / "registry", tls=authority.server()) as registry:
        found = await probe_side(RegistryEndpoint("c", registry.url), READ)

    assert found.trouble is Trouble.CERTIFICATE
    assert "issued by CN=Example Company CA" in found.message


async def test_where_nobody_listens_it_is_refused() -> None:
    with refusing_port() as port:
        found = await probe_side(RegistryEndpoint("c", f"http://127.0.0.1:{port}"), READ)

    assert found.trouble is Trouble.REFUSED


async def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)

    found = await probe_side(RegistryEndpoint("c", "https://registry.invalid"), READ)

    assert found.trouble is Trouble.NAME_NOT_FOUND


async def test_a_registry_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = RegistryEndpoint("c", f"http://127.0.0.1:{silent.getsockname()[1]}")

        found = await probe_side(endpoint, READ, timeout_s=0.2)

    assert found.trouble is Trouble.TIMED_OUT
    assert "had not answered everything" in found.message


async def test_a_registry_that_asks_to_slow_down() -> None:
    busy = Reply.of_json({"errors": []}, status=429, Retry_After="30")
    async with ScriptedServer().on("GET /v2/", busy) as server:
        found = await probe_side(RegistryEndpoint("c", server.url), READ)

    assert found.trouble is Trouble.RATE_LIMITED
    assert "asks us to slow down. Try again in 30 seconds." in found.message


async def test_a_web_site_is_no_registry() -> None:
    page = Reply(200, b"<!doctype html><h1>Hello</h1>", {"Content-Type": "text/html"})
    async with ScriptedServer().on("GET /v2/", page) as server:
        found = await probe_side(RegistryEndpoint("c", server.url), READ)

    assert found.trouble is Trouble.NOT_A_REGISTRY


READ_ONLY = Path("/proc/self/fdinfo").resolve()
"""A folder in which nobody can make a file, also not root."""


async def test_a_folder_is_read_and_written_as_its_files_may_be(tmp_path: Path) -> None:
    folder = RegistryEndpoint("c", tmp_path.as_uri(), RegistryType.OCI_LAYOUT)
    gone = RegistryEndpoint("c", (tmp_path / "gone").as_uri(), RegistryType.OCI_LAYOUT)
    read_only = RegistryEndpoint("c", READ_ONLY.as_uri(), RegistryType.OCI_LAYOUT)

    assert (await probe_side(folder, WRITE)).ok
    assert (await probe_side(folder, _some("dev/*"))).trouble is Trouble.REPOSITORY_MISSING
    assert (await probe_side(folder, READ)).trouble is Trouble.REPOSITORY_MISSING
    assert (await probe_side(gone, READ)).trouble is Trouble.SETTINGS
    assert (await probe_side(read_only, WRITE)).trouble is Trouble.RIGHT_MISSING
