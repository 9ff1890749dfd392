from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from image_promotion.cli.endpoints import Transport, endpoint_of
from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.endpoint import RegistryType
from sandbox.certificates import CertificateAuthority

SECRET = "canary-8sQ-secret"
HOST = "registry.example.com"
NOTHING_SAID = Transport()


def connection(host: str, **fields: object) -> str:
    return json.dumps({"conn_type": "container_registry", "host": host, **fields})


def docker(folder: Path, *registries: str) -> dict[str, str]:
    """Write Docker's configuration with a login at each registry."""
    auth = base64.b64encode(f"docker-user:{SECRET}".encode()).decode()
    auths = {registry: {"auth": auth} for registry in registries}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.mark.parametrize(
    ("registry", "transport", "url"),
    [
        (HOST, NOTHING_SAID, f"https://{HOST}"),
        (f"{HOST}:5000", NOTHING_SAID, f"https://{HOST}:5000"),
        (f"{HOST}:443", NOTHING_SAID, f"https://{HOST}"),
        ("10.0.0.1:5000", NOTHING_SAID, "https://10.0.0.1:5000"),
        ("localhost:5000", NOTHING_SAID, "http://localhost:5000"),
        ("127.0.0.1:5000", NOTHING_SAID, "http://127.0.0.1:5000"),
        ("[::1]:5000", NOTHING_SAID, "http://[::1]:5000"),
        ("localhost.example.com", NOTHING_SAID, "https://localhost.example.com"),
        ("localhost:5000", Transport(skip_tls_verification=True), "https://localhost:5000"),
        (HOST, Transport(plain_http=True), f"http://{HOST}"),
        ("docker.io", Transport(plain_http=True), "https://registry-1.docker.io"),
    ],
)
def test_https_is_the_rule_and_this_machine_the_exception(
    registry: str, transport: Transport, url: str
) -> None:
    endpoint = endpoint_of(registry, transport, {})
    assert endpoint.url == url
    assert (endpoint.username, endpoint.password) == (None, None)


def test_a_weakening_meant_for_another_registry_does_not_reach_docker_hub() -> None:
    endpoint = endpoint_of("docker.io", Transport(True, None, True), {})
    assert endpoint.skip_tls_verification is False
    assert endpoint.registry_type is RegistryType.DOCKER_HUB


def test_certificate_authorities_are_read_from_their_file(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path)
    endpoint = endpoint_of("localhost:5000", Transport(ca_certificate=authority.path), {})
    assert endpoint.url == "https://localhost:5000"
    assert endpoint.ca_certificate is not None
    assert endpoint.ca_certificate.strip() == authority.pem.strip()


@pytest.mark.parametrize("content", [None, b"no certificate", b"\xff"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConnectionSettingsError) as refused:
        endpoint_of(HOST, Transport(ca_certificate=path), {})
    assert refused.value.field == "ca_certificate"


def test_the_connection_of_the_registry_says_who_we_are_and_how_it_is_reached(
    tmp_path: Path,
) -> None:
    environment = {
        **docker(tmp_path, "localhost:5000"),
        "AIRFLOW_CONN_OTHER": connection("https://localhost:5001", login="x", password="y"),
        "AIRFLOW_CONN_DEV_REGISTRY": connection(
            "https://localhost:5000",
            login="promoter",
            password=SECRET,
            extra={"namespace": "team", "skip_tls_verification": True},
        ),
        "AIRFLOW_CONN_DATABASE": "postgres://user@localhost:5000/x",
    }
    endpoint = endpoint_of("localhost:5000", NOTHING_SAID, environment)
    assert endpoint.connection_id == "dev_registry"
    assert endpoint.url == "https://localhost:5000"
    assert (endpoint.username, endpoint.password) == ("promoter", SECRET)
    assert endpoint.skip_tls_verification
    assert endpoint.full_repository("a/b") == "a/b", "a reference has the whole name already"


def test_docker_hub_is_the_same_registry_by_every_name() -> None:
    environment = {"AIRFLOW_CONN_HUB": connection("index.docker.io", login="x", password=SECRET)}
    assert endpoint_of("docker.io", NOTHING_SAID, environment).password == SECRET


def test_two_connections_to_one_registry_are_not_guessed_between() -> None:
    environment = {
        "AIRFLOW_CONN_READS": connection(HOST, login="a", password=SECRET),
        "AIRFLOW_CONN_WRITES": connection(f"https://{HOST}:443", login="b", password=SECRET),
    }
    with pytest.raises(ConnectionSettingsError) as refused:
        endpoint_of(HOST, NOTHING_SAID, environment)
    assert "reads, writes" in str(refused.value)
    assert "conn://reads/" in str(refused.value)


def test_a_broken_connection_counts_where_it_may_be_meant_and_nowhere_else() -> None:
    broken = connection(HOST, login="promoter")
    assert endpoint_of("localhost:5000", NOTHING_SAID, {"AIRFLOW_CONN_DEV": broken})
    with pytest.raises(ConnectionSettingsError) as refused:
        endpoint_of(HOST, NOTHING_SAID, {"AIRFLOW_CONN_DEV": broken})
    assert (refused.value.connection_id, refused.value.field) == ("dev", "password")
    assert endpoint_of(HOST, NOTHING_SAID, {"AIRFLOW_CONN_DEV": "{broken", "AIRFLOW_CONN_X": ""})


def test_a_password_that_is_meant_for_https_does_not_travel_readable() -> None:
    environment = {"AIRFLOW_CONN_DEV": connection(HOST, login="a", password=SECRET)}
    with pytest.raises(ConnectionSettingsError, match="https"):
        endpoint_of(HOST, Transport(plain_http=True), environment)


def test_without_a_connection_dockers_login_is_used(tmp_path: Path) -> None:
    environment = docker(tmp_path, HOST, "https://index.docker.io/v1/")
    for registry in (HOST, "docker.io"):
        endpoint = endpoint_of(registry, NOTHING_SAID, environment)
        assert (endpoint.username, endpoint.password) == ("docker-user", SECRET)
    assert endpoint_of("other.example.com", NOTHING_SAID, environment).password is None
    assert endpoint.registry_type is RegistryType.DOCKER_HUB


def test_a_connection_without_a_login_is_anonymous_whatever_docker_says(tmp_path: Path) -> None:
    environment = {**docker(tmp_path, HOST), "AIRFLOW_CONN_DEV": connection(HOST)}
    assert endpoint_of(HOST, NOTHING_SAID, environment).password is None


def test_an_identity_token_is_a_token_and_no_password_of_a_user(tmp_path: Path) -> None:
    auths = {HOST: {"auth": "cHJvbW90ZXI6", "identitytoken": SECRET}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    endpoint = endpoint_of(HOST, NOTHING_SAID, {"DOCKER_CONFIG": str(tmp_path)})
    assert (endpoint.username, endpoint.password) == (None, SECRET)
