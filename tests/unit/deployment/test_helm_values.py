"""What the example of values for Airflow's Helm chart promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from image_promotion.dag_builder import POLICIES_VARIABLE

PROJECT = Path(__file__).resolve().parents[3]
VALUES: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "helm-values.yaml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, path)
    else:
        yield path, value


def test_each_task_is_a_pod_with_the_image_of_this_project() -> None:
    assert VALUES["executor"] == "KubernetesExecutor"
    assert VALUES["images"]["airflow"] == VALUES["images"]["pod_template"]
    built = COMPOSE["services"]["scheduler"]["image"]
    image = VALUES["images"]["airflow"]
    assert f"{image['repository'].rpartition('/')[2]}:{image['tag']}" == built


def test_it_is_for_the_airflow_that_is_pinned() -> None:
    pins = re.findall(
        r"^apache-airflow==\S+", (PROJECT / "requirements.txt").read_text(), re.MULTILINE
    )
    (version,) = (str(each.specifier).removeprefix("==") for each in map(Requirement, pins))
    assert VALUES["airflowVersion"] == version


def test_every_secret_is_named_and_none_is_here() -> None:
    assert {
        name: VALUES[name] for name in ("fernetKeySecretName", "apiSecretKeySecretName")
    } == dict.fromkeys(("fernetKeySecretName", "apiSecretKeySecretName"), "airflow-keys")
    assert VALUES["jwtSecretName"]
    assert VALUES["data"] == {"metadataSecretName": "airflow-metadata"}
    for path, value in leaves(VALUES):
        assert "://" not in str(value) or str(value).startswith(("https://", "s3://")), path
        assert not re.search(r"password|fernetKey$|secretKey$|jwtSecret$", path) or path.endswith(
            ".secret.secretKey"
        )


def test_the_ledger_is_no_file_of_a_pod() -> None:
    (ledger,) = VALUES["secret"]
    assert ledger["envName"] == "IMAGE_PROMOTION_LEDGER"
    assert "IMAGE_PROMOTION_LEDGER" in COMPOSE["services"]["scheduler"]["environment"]


def test_the_default_user_with_the_known_password_is_not_made() -> None:
    assert VALUES["createUserJob"]["defaultUser"]["enabled"] is False


def test_policies_are_read_from_the_volume_that_is_mounted() -> None:
    (variable,), (mount,), (volume,) = VALUES["env"], VALUES["volumeMounts"], VALUES["volumes"]
    assert variable == {"name": POLICIES_VARIABLE, "value": mount["mountPath"]}
    assert mount["name"] == volume["name"]
