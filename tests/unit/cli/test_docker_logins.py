from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from image_promotion.cli import docker_logins
from image_promotion.cli.docker_logins import DockerLogin, find_login
from image_promotion.errors import ConnectionSettingsError

SECRET = "canary-5hR-secret"
HOST = "registry.example.com:5000"


def coded(user: str = "promoter", password: str = SECRET) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Docker:
    """A folder with Docker's configuration, and another one on PATH for helpers."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "docker"
        self.programs = folder / "programs"
        self.config.mkdir()
        self.programs.mkdir()
        self.environment = {
            "DOCKER_CONFIG": str(self.config),
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }

    def write(self, document: object) -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        (self.config / "config.json").write_text(text)

    def install(self, name: str, script: str) -> None:
        program = self.programs / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def login(self, registry: str = HOST) -> DockerLogin | None:
        return find_login(registry, self.environment)

    def refusal(self, registry: str = HOST) -> str:
        with pytest.raises(ConnectionSettingsError) as refused:
            self.login(registry)
        assert refused.value.__suppress_context__, "a traceback would show the cause"
        assert SECRET not in str(refused.value)
        return str(refused.value)


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def says(username: str, secret: str = SECRET) -> str:
    answer = json.dumps({"ServerURL": "", "Username": username, "Secret": secret})
    return f"cat > \"$0.asked\"; echo '{answer}'"


@pytest.mark.parametrize(
    "key",
    [HOST, f"https://{HOST}", f"http://{HOST}/", f"https://{HOST}/v2/", f"{HOST}/v1/"],
)
def test_a_login_is_found_by_any_key_that_docker_has_written(docker: Docker, key: str) -> None:
    docker.write({"auths": {"other.example.com": {"auth": coded("other")}, key: {"auth": coded()}}})
    assert docker.login() == DockerLogin("promoter", SECRET)


def test_a_login_for_another_port_or_host_is_not_ours(docker: Docker) -> None:
    keys = ["registry.example.com", "registry.example.com:5001", f"evil.com/{HOST}", f"x{HOST}"]
    docker.write({"auths": {key: {"auth": coded()} for key in keys}})
    assert docker.login() is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_is_known_by_its_old_names(docker: Docker, key: str) -> None:
    docker.write({"auths": {key: {"auth": coded()}}})
    assert docker.login("docker.io") == DockerLogin("promoter", SECRET)


def test_an_identity_token_comes_before_a_password(docker: Docker) -> None:
    docker.write({"auths": {HOST: {"auth": coded(password="old"), "identitytoken": SECRET}}})
    assert docker.login() == DockerLogin(None, SECRET)


def test_a_password_may_hold_colons_and_old_padding_goes(docker: Docker) -> None:
    docker.write({"auths": {HOST: {"auth": coded(password="a:b:c\0\0")}}})
    assert docker.login() == DockerLogin("promoter", "a:b:c")


def test_a_token_is_told_by_its_user_name(docker: Docker) -> None:
    docker.write({"auths": {HOST: {"username": "<token>", "password": SECRET}}})
    assert docker.login() == DockerLogin(None, SECRET)


@pytest.mark.parametrize(
    "document",
    ["{}", '{"auths": {}}', {"auths": {HOST: {}}}, {"auths": None}, {"credHelpers": {}}],
)
def test_no_login_is_no_error(docker: Docker, document: object) -> None:
    docker.write(document)
    assert docker.login() is None


def test_no_file_is_no_error(docker: Docker) -> None:
    assert docker.login() is None
    assert find_login(HOST, {}) is None


def test_the_home_folder_is_where_it_is_by_default(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(
        json.dumps({"auths": {HOST: {"auth": coded()}}})
    )
    assert find_login(HOST, {"HOME": str(tmp_path)}) == DockerLogin("promoter", SECRET)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (f'{{"auths": "{SECRET}', "is not JSON"),
        (f'["{SECRET}"]', "is not an object"),
        ("[" * 100_000, "is not JSON"),
        (f'{{"auths": "{SECRET}"}}', "something else than an object"),
        ({"auths": {HOST: {"auth": "!" + SECRET}}}, "cannot be read"),
        ({"auths": {HOST: {"auth": base64.b64encode(SECRET.encode()).decode()}}}, "cannot be read"),
        ({"credHelpers": {HOST: "../" + SECRET}}, "cannot be one"),
        ({"credHelpers": {HOST: [SECRET]}}, "cannot be one"),
        ({"credsStore": "missing-7c1"}, "no program docker-credential-missing-7c1"),
        (" " * (1024 * 1024 + 1), "too large"),
    ],
)
def test_a_broken_file_is_refused_and_never_quoted(
    docker: Docker, document: object, said: str
) -> None:
    docker.write(document)
    assert said in docker.refusal()


def test_a_folder_in_its_place_is_refused(docker: Docker) -> None:
    (docker.config / "config.json").mkdir()
    assert "cannot be read (IsADirectoryError)" in docker.refusal()


def test_a_helper_is_asked_for_the_registry_and_its_answer_counts(docker: Docker) -> None:
    docker.install("ours", says("promoter"))
    docker.write({"credHelpers": {HOST: "ours"}, "auths": {HOST: {"auth": coded("old", "old")}}})
    assert docker.login() == DockerLogin("promoter", SECRET)
    assert (docker.programs / "docker-credential-ours.asked").read_text() == HOST


def test_a_helper_of_one_registry_comes_before_the_one_for_all(docker: Docker) -> None:
    docker.install("ours", says("ours"))
    docker.install("all", says("all"))
    docker.write({"credHelpers": {HOST: "ours"}, "credsStore": "all"})
    assert docker.login() == DockerLogin("ours", SECRET)
    assert docker.login("other.example.com") == DockerLogin("all", SECRET)


def test_a_helper_is_asked_for_docker_hub_by_the_name_that_docker_uses(docker: Docker) -> None:
    docker.install("all", says("<token>"))
    docker.write({"credsStore": "all"})
    assert docker.login("docker.io") == DockerLogin(None, SECRET)
    asked = (docker.programs / "docker-credential-all.asked").read_text()
    assert asked == "https://index.docker.io/v1/"


def test_a_helper_that_does_not_know_the_registry_leaves_it_to_the_file(docker: Docker) -> None:
    docker.install("all", "echo 'credentials not found in native keychain'; exit 1")
    docker.write({"credsStore": "all"})
    assert docker.login() is None
    docker.write({"credsStore": "all", "auths": {HOST: {"auth": coded()}}})
    assert docker.login() == DockerLogin("promoter", SECRET)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "failed with the status 3"),
        (f"echo {SECRET}", "no login"),
        (f"echo '[\"{SECRET}\"]'", "no login"),
        (f'echo \'{{"Username": 1, "Secret": "{SECRET}"}}\'', "no login"),
        (f'echo \'{{"Username": "{SECRET}"}}\'', "no login"),
        ("head -c 70000 /dev/zero | tr '\\0' ' '", "no login"),
        ("printf '\\377'", "cannot be asked"),
    ],
)
def test_a_helper_that_fails_is_named_and_never_quoted(
    docker: Docker, script: str, said: str
) -> None:
    docker.install("ours", script)
    docker.write({"credsStore": "ours"})
    text = docker.refusal()
    assert said in text
    assert "docker-credential-ours" in text


def test_a_helper_that_never_answers_is_given_up(
    docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_logins, "HELPER_TIMEOUT_S", 0.1)
    docker.install("ours", "exec sleep 600")
    docker.write({"credsStore": "ours"})
    assert "TimeoutExpired" in docker.refusal()


def test_a_login_does_not_show_its_secret() -> None:
    assert SECRET not in repr(DockerLogin("promoter", SECRET))
