from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import sandbox.registry_process
from sandbox.certificates import CertificateAuthority
from sandbox.image_layers import noise_layer
from sandbox.ports import LOOPBACK, free_port, is_free
from sandbox.registry_process import RegistryProcess, RegistryUnavailableError, registry_command
from sandbox.sample_images import push_image


def test_a_registry_answers_once_it_is_started_and_not_after_it_is_stopped(tmp_path: Path) -> None:
    with RegistryProcess.start(tmp_path / "registry") as registry:
        assert registry.host == f"{LOOPBACK}:{registry.port}"
        assert httpx.get(f"{registry.url}/v2/", trust_env=False).status_code == 200
        assert registry.running
    assert not registry.running
    registry.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{registry.url}/v2/", trust_env=False)


def test_a_second_start_on_a_folder_keeps_content_and_port(tmp_path: Path) -> None:
    with RegistryProcess.start(tmp_path) as first:
        pushed = push_image(first.url, "dev/website", "1.0", layers=[noise_layer(1000)])
    with RegistryProcess.start(tmp_path, keep_port=True) as second:
        assert second.port == first.port
        again = push_image(second.url, "dev/website", "1.0", layers=[noise_layer(1000)])
    assert again.digest == pushed.digest
    assert again.sent_bytes == 0


def test_the_port_of_the_last_start_is_left_to_whoever_has_it_now(tmp_path: Path) -> None:
    with RegistryProcess.start(tmp_path / "first") as first:
        port = first.port
    with (
        RegistryProcess.start(tmp_path / "other", port=port),
        RegistryProcess.start(tmp_path / "first", keep_port=True) as again,
    ):
        assert again.port != port


def test_a_port_lost_to_somebody_else_is_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RegistryProcess.start(tmp_path / "first") as first:
        offered = iter([first.port, free_port()])
        monkeypatch.setattr(sandbox.registry_process, "free_port", lambda: next(offered))
        with RegistryProcess.start(tmp_path / "second") as second:
            assert second.port != first.port


def test_a_given_port_that_is_taken_is_an_error_with_the_log(tmp_path: Path) -> None:
    with (
        RegistryProcess.start(tmp_path / "first") as first,
        pytest.raises(RegistryUnavailableError, match=r"(?s)dev does not start.*address already"),
    ):
        RegistryProcess.start(tmp_path / "second", name="dev", port=first.port)


def test_a_machine_without_a_registry_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryUnavailableError, match="apt-get install docker-registry"):
        registry_command()


def test_a_registry_with_htpasswd_lets_in_whom_it_knows(tmp_path: Path) -> None:
    with RegistryProcess.start(tmp_path, htpasswd={"dev": "sesame"}) as registry:
        url = f"{registry.url}/v2/"
        assert httpx.get(url, trust_env=False).status_code == 401
        assert httpx.get(url, auth=("dev", "wrong"), trust_env=False).status_code == 401
        assert httpx.get(url, auth=("dev", "sesame"), trust_env=False).status_code == 200
        pushed = push_image(
            registry.url, "a", "1", layers=[noise_layer(10)], auth=("dev", "sesame")
        )
    assert pushed.is_new


def test_a_registry_with_tls_is_trusted_by_who_trusts_its_ca(tmp_path: Path) -> None:
    authority = CertificateAuthority.create(tmp_path / "ca")
    with RegistryProcess.start(tmp_path / "registry", tls=authority.server()) as registry:
        assert registry.url.startswith("https://")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{registry.url}/v2/", trust_env=False)
        pushed = push_image(registry.url, "a", "1", layers=[noise_layer(10)], verify=authority.path)
    assert pushed.is_new


@pytest.mark.parametrize("issue", [CertificateAuthority.expired, CertificateAuthority.wrong_host])
def test_a_registry_starts_with_a_certificate_that_nobody_should_trust(
    tmp_path: Path, issue: Callable[[CertificateAuthority], object]
) -> None:
    authority = CertificateAuthority.create(tmp_path / "ca")
    files = authority.expired() if issue is CertificateAuthority.expired else authority.wrong_host()
    with (
        RegistryProcess.start(tmp_path / "registry", tls=files) as registry,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        push_image(registry.url, "a", "1", layers=[], verify=authority.path)


@pytest.mark.parametrize(("enabled", "status"), [(True, 202), (False, 405)])
def test_manifests_can_be_deleted_where_that_is_enabled(
    tmp_path: Path, enabled: bool, status: int
) -> None:
    with RegistryProcess.start(tmp_path, delete_enabled=enabled) as registry:
        pushed = push_image(registry.url, "a", "1", layers=[noise_layer(10)])
        url = f"{registry.url}/v2/a/manifests/{pushed.digest}"
        assert httpx.delete(url, trust_env=False).status_code == status


def test_variables_of_our_environment_do_not_change_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", str(tmp_path / "elsewhere"))
    with RegistryProcess.start(tmp_path / "registry") as registry:
        push_image(registry.url, "a", "1", layers=[noise_layer(10)])
        assert registry.content.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_registry_knows_one_way_to_authenticate_at_a_time(tmp_path: Path) -> None:
    class SomeService:
        realm = issuer = service = "https://tokens.invalid"
        root_certificates = tmp_path

    with pytest.raises(ValueError, match="not both"):
        RegistryProcess.start(tmp_path, htpasswd={}, token_auth=SomeService())


def test_a_registry_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    started = (
        "import pathlib, time\n"
        "from sandbox.registry_process import RegistryProcess\n"
        f"registry = RegistryProcess.start(pathlib.Path({str(tmp_path)!r}))\n"
        "print(registry.port, flush=True)\n"
        "time.sleep(1000)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", started], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert not is_free(port)
    finally:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + 60
    while not is_free(port):
        assert time.monotonic() < deadline, "the registry outlived its parent"
        time.sleep(0.01)


def test_what_the_demo_starts_needs_nothing_that_only_tests_have(tmp_path: Path) -> None:
    started = (
        "import pathlib, sys\n"
        "sys.modules.update(dict.fromkeys(['cryptography', 'bcrypt', 'jwt', 'pytest']))\n"
        "from sandbox.registry_process import RegistryProcess\n"
        "from sandbox.sample_images import fill_dev_registry\n"
        f"with RegistryProcess.start(pathlib.Path({str(tmp_path)!r})) as registry:\n"
        "    print(registry.url)\n"
        "assert 'image_promotion' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", started], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
