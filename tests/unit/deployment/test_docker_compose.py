from __future__ import annotations

import ast
import json
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from packaging.requirements import Requirement

from sandbox import sample_images

PROJECT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()

AIRFLOW_SERVICES = sorted(
    name
    for name, service in SERVICES.items()
    if "airflow" in map(str, service.get("command", [])) or name == "api-server"
)
SECRET = re.compile(r"PASSWORD|SECRET|FERNET|LEDGER|SQL_ALCHEMY_CONN|BROKER_URL")
REQUIRED_VARIABLE = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")
SCHEMA = Path(str(resources.files("check_jsonschema"))) / "builtin_schemas/vendor/compose-spec.json"


def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    # The schema that the specification's project publishes, as the package check-jsonschema has it.
    schema = json.loads(SCHEMA.read_text())
    assert schema["title"] == "Compose Specification"
    faults = [each.message for each in Draft7Validator(schema).iter_errors(COMPOSE)]
    assert faults == []


def test_tasks_run_on_celery_workers_of_which_there_may_be_any_number() -> None:
    worker = SERVICES["worker"]
    assert SERVICES["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert worker["command"] == ["airflow", "celery", "worker"]
    assert worker["deploy"]["replicas"] == "${AIRFLOW_WORKERS:-2}"
    # Two containers cannot have one name, or one port of the host.
    assert not {"container_name", "ports", "hostname"} & worker.keys()


def test_what_workers_load_before_any_task_is_there_to_be_loaded() -> None:
    extra = SERVICES["worker"]["environment"]["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"]
    modules = json.loads(extra)["imports"]
    assert "image_promotion.operators.execution" in modules
    assert all(find_spec(module) for module in modules)


def test_every_service_that_stays_is_watched() -> None:
    staying = {name for name, service in SERVICES.items() if service["restart"] != "no"}
    assert {name for name in staying if "healthcheck" not in SERVICES[name]} == set()


def test_redis_asks_for_the_password_that_airflow_has() -> None:
    url = SERVICES["scheduler"]["environment"]["AIRFLOW__CELERY__BROKER_URL"]
    assert REQUIRED_VARIABLE.findall(url) == ["REDIS_PASSWORD"]
    assert COMPOSE["secrets"]["redis-password"] == {"environment": "REDIS_PASSWORD"}
    assert "requirepass" in SERVICES["redis"]["command"][-1]
    assert "/run/secrets/redis-password" in SERVICES["redis"]["command"][-1]


def test_a_service_is_given_exactly_the_secrets_whose_files_it_reads() -> None:
    for name, service in SERVICES.items():
        scripts = [
            COMPOSE["configs"][each["source"]]["content"] for each in service.get("configs", [])
        ]
        text = " ".join([yaml.safe_dump(service, width=10_000), *scripts])
        read = set(re.findall(r"/run/secrets/([a-z-]+)", text))
        assert read == set(service.get("secrets", [])), name
        assert read <= COMPOSE["secrets"].keys()


def test_the_dev_registry_is_filled_by_the_sandbox() -> None:
    job = SERVICES["sample-images"]
    source, target, _ = job["volumes"][0].split(":")
    assert Path(target).parent == Path(job["environment"]["PYTHONPATH"])
    program = ast.parse(job["command"][-1]).body
    assert isinstance(program[0], ast.ImportFrom)
    module = str(program[0].module).replace(".", "/")
    assert (PROJECT / source / f"{module.removeprefix('sandbox/')}.py").is_file()
    assert hasattr(sample_images, program[0].names[0].name)
    assert 'fill_dev_registry("http://dev-registry:5000")' in job["command"][-1]


def test_airflow_has_all_its_programs() -> None:
    programs = {" ".join(map(str, SERVICES[name]["command"])) for name in AIRFLOW_SERVICES}
    for program in (
        "db migrate",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "celery worker",
    ):
        assert any(re.search(rf"airflow {program}\s*$", each) for each in programs), program


@pytest.mark.parametrize("service", AIRFLOW_SERVICES)
@pytest.mark.parametrize(
    "setting",
    [
        "AIRFLOW__CELERY__BROKER_URL",
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
            if SECRET.search(setting) and not setting.endswith("_FILE"):
                assert REQUIRED_VARIABLE.search(value), f"{name}: {setting}"


def test_the_example_of_the_environment_file_names_all_variables_and_gives_no_value() -> None:
    asked = set(REQUIRED_VARIABLE.findall((PROJECT / "docker-compose.yaml").read_text()))
    asked |= {secret["environment"] for secret in COMPOSE["secrets"].values()}
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
