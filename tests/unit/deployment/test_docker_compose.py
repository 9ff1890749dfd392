from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()

AIRFLOW_SERVICES = sorted(name for name, service in SERVICES.items() if "build" in service)
SECRET = re.compile(r"PASSWORD|SECRET|FERNET|LEDGER|SQL_ALCHEMY_CONN")
REQUIRED_VARIABLE = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")


def test_airflow_has_all_its_programs() -> None:
    programs = {" ".join(map(str, SERVICES[name]["command"])) for name in AIRFLOW_SERVICES}
    for program in ("db migrate", "api-server", "scheduler", "dag-processor", "triggerer"):
        assert any(re.search(rf"airflow {program}\s*$", each) for each in programs), program


@pytest.mark.parametrize("service", AIRFLOW_SERVICES)
@pytest.mark.parametrize(
    "setting",
    [
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL",
        "IMAGE_PROMOTION_LEDGER",
    ],
)
def test_the_services_of_airflow_agree(service: str, setting: str) -> None:
    environment = SERVICES[service]["environment"]
    assert environment[setting] == SERVICES["scheduler"]["environment"][setting]


def test_the_test_button_of_connections_works() -> None:
    assert SERVICES["api-server"]["environment"]["AIRFLOW__CORE__TEST_CONNECTION"] == "Enabled"


def test_tasks_reach_the_server_by_the_name_and_port_it_has() -> None:
    url = SERVICES["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert url == "http://api-server:8080/execution/"
    assert [port.rpartition(":")[2] for port in SERVICES["api-server"]["ports"]] == ["8080"]


def test_no_secret_has_a_value_here_or_a_default() -> None:
    for name, service in SERVICES.items():
        for setting, value in service.get("environment", {}).items():
            if SECRET.search(setting) and not setting.endswith(("_FILE", "_URL")):
                assert REQUIRED_VARIABLE.search(value), f"{name}: {setting}"


def test_the_example_of_the_environment_file_names_all_variables_and_gives_no_value() -> None:
    asked = set(REQUIRED_VARIABLE.findall((PROJECT / "docker-compose.yaml").read_text()))
    lines = (PROJECT / ".env.example").read_text().splitlines()
    named = [line for line in lines if line and not line.startswith("#")]
    assert {f"{name}=" for name in asked} == set(named)
    assert "/.env" in (PROJECT / ".gitignore").read_text().splitlines()


def test_every_folder_that_is_mounted_is_in_the_project_or_a_declared_volume() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (PROJECT / source).is_dir(), f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_every_configuration_that_is_mounted_is_declared_and_the_connections_are_json() -> None:
    for service in SERVICES.values():
        for configuration in service.get("configs", []):
            assert configuration["source"] in COMPOSE["configs"]
    connections = json.loads(COMPOSE["configs"]["sample-connections"]["content"])
    for connection in connections.values():
        host, _, port = connection["host"].removeprefix("http://").partition(":")
        assert connection["conn_type"] == "container_registry"
        assert SERVICES[host]["ports"][0].rpartition(":")[2] == port
        assert SERVICES[host]["profiles"] == ["samples"]


def test_every_service_that_is_waited_for_is_there() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            waited_for = SERVICES[other]
            assert how["condition"] != "service_healthy" or "healthcheck" in waited_for
            assert how["condition"] != "service_completed_successfully" or (
                waited_for["restart"] == "no"
            )


def test_ports_are_open_on_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for image in images:
        assert re.search(r":\d+(\.\d+)+$", image), image


def test_the_image_is_of_the_airflow_that_is_pinned() -> None:
    pins = re.findall(
        r"^apache-airflow==\S+", (PROJECT / "requirements.txt").read_text(), re.MULTILINE
    )
    (version,) = (str(each.specifier).removeprefix("==") for each in map(Requirement, pins))
    assert f"FROM apache/airflow:{version}\n" in DOCKERFILE


def test_all_that_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for sources in re.findall(r"^COPY --chown=\S+ (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (PROJECT / source).exists(), source
            assert f"!{source}" in ignored, source


def test_the_packages_of_the_image_are_checked_by_their_hashes() -> None:
    assert "--require-hashes --requirement /opt/image-promotion/requirements.txt" in DOCKERFILE
