"""Connections as Airflow reads them, and as the product reads them with and without Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import Connection
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_promotion.cli import connections as command_line
from image_promotion.errors import ConnectionSettingsError
from image_promotion.hooks.container_registry import ContainerRegistryHook, find_endpoint
from image_promotion.hooks.ledger import open_ledger
from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.certificates import CertificateAuthority
from sandbox.registry_process import RegistryProcess

CANARY = "canary-5ecret"

VARIABLE = "AIRFLOW_CONN_DEV_REGISTRY"


def test_the_provider_is_described_without_importing_anything() -> None:
    """What it imports, every airflow command imports, and what fails there breaks all of them."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from image_promotion.provider import get_provider_info\n"
        "get_provider_info()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed.strip() == "['__future__', 'image_promotion', 'image_promotion.provider']"


def test_airflow_knows_the_hook_of_the_connection_type() -> None:
    # Untyped in Airflow.
    manager = ProvidersManagerTaskRuntime()  # type: ignore[no-untyped-call]
    hook = manager.hooks["container_registry"]

    assert hook is not None
    assert hook.hook_name == "Container registry"
    module, _, name = hook.hook_class_name.rpartition(".")
    assert (module, name) == (ContainerRegistryHook.__module__, ContainerRegistryHook.__name__)
    assert hook.connection_id_attribute_name == "registry_conn_id"


REFUSED = (
    "container_registry://registry.example.com/?namespace=team%2Fsite&skip_tls_verification=true",
    "container-registry://user:pass@http://localhost:5000",
    "container-registry://",
    "container-registry://[::1]:5000",  # Airflow loses the brackets; in JSON they stay
    "http://registry.example.com",
    # A URI's path is no part of the host, for Airflow neither.
    "container-registry://file:///mnt/transfer?registry_type=oci_layout",
)

# Names and values are what people write: printable, and of texts that an environment can hold.
_words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12
).filter(lambda word: word == word.strip())


@pytest.mark.parametrize(
    "text",
    [
        "container-registry://registry.example.com",
        "container-registry://user:pass@registry.example.com:5000",
        "container-registry://r.example.com/?namespace=team%2Fsite&skip_tls_verification=true",
        "container-registry://us%40er:p%2Fa%3As%40s@registry.example.com",
        "container-registry://http://localhost:5000",
        "container-registry://http://user:pass@localhost:5000",
        "container-registry://:token@registry.example.com",
        "container-registry://http%3A%2F%2Flocalhost%3A5000",
        "container-registry://Registry.Example.Com",
        "container-registry://registry.example.com/v2",
        "container-registry://r.example.com/?__extra__=%7B%22namespace%22%3A+%22team%22%7D",
        *REFUSED,
        "container-registry:///?registry_type=docker_hub",
        '{"conn_type": "container_registry", "host": "http://localhost:5000"}',
        '{"conn_type": "container_registry", "host": "r.example.com", "port": "5000"}',
        '{"conn_type": "container_registry", "host": "r.example.com", "port": 5000}',
        '{"conn_type": "container_registry", "host": "r", "extra": {"namespace": "team"}}',
        json.dumps({"conn_type": "container_registry", "host": "r", "extra": '{"namespace": "n"}'}),
        '{"conn_type": "container_registry", "host": "r", "login": "", "extra": ""}',
        '{"conn_type": "container_registry", "host": "r", "login": null, "extra": null}',
        "container-registry://%2Fmnt%2Ftransfer?registry_type=oci_layout",
        json.dumps(
            {
                "conn_type": "container_registry",
                "host": "/mnt/Transfer",
                "extra": {"registry_type": "oci_layout"},
            }
        ),
    ],
)
def test_the_command_line_reads_a_connection_as_airflow_does(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text)

    assert _by_the_command_line(text) == _by_airflow()
    assert (_by_airflow() is None) == (text in REFUSED)


_HOSTS = (
    *("registry.example.com", "localhost", "127.0.0.1:5000", "[::1]:5000"),
    *("http://localhost:5000", "https://R.Example.com:443", "https://registry.example.com/v2/"),
)


@given(
    host=st.sampled_from(_HOSTS) | _words,
    port=st.none() | st.integers(1, 65535),
    login=st.none() | _words,
    password=st.none() | _words,
    namespace=st.none() | st.sampled_from(["team", "team/site"]) | _words,
    as_json=st.booleans(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_airflow_writes_for_a_connection_the_command_line_reads_the_same(
    *,
    host: str,
    port: int | None,
    login: str | None,
    password: str | None,
    namespace: str | None,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Connection(
        conn_id="dev_registry",
        conn_type="container_registry",
        host=host,
        port=port,
        login=login,
        password=password,
        extra=json.dumps({"namespace": namespace}) if namespace else None,
    )
    text = connection.as_json() if as_json else connection.get_uri()
    monkeypatch.setenv(VARIABLE, text)

    assert _by_the_command_line(text) == _by_airflow()


def test_a_connection_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({"conn_type": "http", "host": "registry.example.com"}))

    with pytest.raises(ConnectionSettingsError, match="is of type http"):
        find_endpoint("dev_registry")


def test_a_connection_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    with pytest.raises(ConnectionSettingsError, match="connection dev_registry") as caught:
        find_endpoint("dev_registry")

    assert "AIRFLOW_CONN_DEV_REGISTRY" in caught.value.advice


def test_the_test_button_reaches_a_registry_by_a_certificate_of_its_own_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = CertificateAuthority.create(tmp_path / "tls", name="Our Own CA")
    with RegistryProcess.start(
        tmp_path / "registry", tls=authority.server(), htpasswd={"user": CANARY}
    ) as registry:
        fields = {
            "conn_type": "container_registry",
            "host": registry.url,
            "login": "user",
            "password": CANARY,
        }

        def press(**extra: object) -> tuple[bool, str]:
            monkeypatch.setenv(VARIABLE, json.dumps({**fields, "extra": extra}))
            return ContainerRegistryHook("dev_registry").test_connection()

        trusted = press(ca_certificate=authority.pem, test_repository="dev/website")
        unknown = press()
        skipped = press(skip_tls_verification=True)

    assert trusted[0], trusted[1]
    assert "may read and write dev/website" in trusted[1] or "may write dev/website" in trusted[1]
    assert not unknown[0]
    assert "certificate" in unknown[1]
    assert "issued by CN=Our Own CA" in unknown[1]
    assert skipped[0], skipped[1]
    assert all(CANARY not in message for _, message in (trusted, unknown, skipped))


def test_the_test_button_tries_a_folder_of_layouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(folder: Path) -> tuple[bool, str]:
        fields = {"conn_type": "container_registry", "host": str(folder), "port": 443}
        document = {**fields, "extra": {"registry_type": "oci_layout"}}
        monkeypatch.setenv(VARIABLE, json.dumps(document))
        return ContainerRegistryHook("dev_registry").test_connection()

    assert press(tmp_path) == (
        True,
        f"{tmp_path} is a folder with 0 image layouts in it. The connection may read and write it.",
    )
    assert not press(tmp_path / "missing")[0]


def test_the_ledger_is_where_an_airflow_connection_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_PROMOTION_LEDGER", raising=False)
    path = tmp_path / "ledger.db"
    monkeypatch.setattr(
        "image_promotion.hooks.ledger.BaseHook.get_connection",
        lambda name: Connection(conn_id=name, conn_type="sqlite", host=str(path)),
    )

    open_ledger().close()

    assert path.exists()


def test_without_a_connection_the_ledger_lies_beside_airflows_own_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))

    open_ledger().close()

    assert (tmp_path / "promotion_ledger.db").exists()


def _by_airflow() -> RegistryEndpoint | None:
    """Give where Airflow's hook says that the connection leads; None when it refuses it."""
    try:
        return find_endpoint("dev_registry")
    except ConnectionSettingsError:
        return None


def _by_the_command_line(text: str) -> RegistryEndpoint | None:
    """Give where the command line says that it leads; None when it refuses it."""
    try:
        return command_line.find_endpoint("dev_registry", {VARIABLE: text})
    except ConnectionSettingsError:
        return None
