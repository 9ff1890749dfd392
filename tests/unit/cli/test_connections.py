from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from image_promotion.cli.connections import (
    ConnectionFields,
    connection_fields,
    find_endpoint,
    find_signing_key,
)
from image_promotion.errors import ConnectionSettingsError
from tests.support.attestations import new_pem

CANARY = "p@ss:w/rd?#%1"

TEXTS = [
    '{"conn_type": "container_registry", "host": "https://dev.example.com"}',
    '{"conn_type": "container-registry", "host": "dev.example.com", "port": "5000"}',
    json.dumps(
        {
            "conn_type": "container_registry",
            "host": "http://127.0.0.1:5000",
            "login": "promoter",
            "password": CANARY,
            "extra": {"registry_type": "harbor", "skip_tls_verification": True},
        }
    ),
    json.dumps(
        {
            "conn_type": "container_registry",
            "host": "dev.example.com",
            "port": 5000,
            "extra": json.dumps({"namespace": "team/site", "registry_type": "dtr"}),
        }
    ),
    "container-registry://dev.example.com",
    "container-registry://dev.example.com:5000",
    "container-registry://http://127.0.0.1:5000",
    f"container-registry://promoter:{quote(CANARY, safe='')}@dev.example.com:5000",
    f"container-registry://http://promoter:{quote(CANARY, safe='')}@127.0.0.1:5000",
    f"container-registry://:{quote(CANARY, safe='')}@dev.example.com",
    "container-registry://dev.example.com?registry_type=harbor&namespace=team",
    "container-registry://dev.example.com?"
    + urlencode({"__extra__": json.dumps({"skip_tls_verification": True})}),
    "container-registry://https%3A%2F%2Fdev.example.com",
    "Container-Registry://DEV.example.com",
]

# What Airflow itself reads, in a process of its own: Airflow wants its home and writes to it.
_AIRFLOW = """
import json, os, sys
from airflow.sdk import Connection
for number, text in enumerate(json.load(sys.stdin)):
    read = Connection.from_json if text.startswith("{") else Connection.from_uri
    connection = read(text, conn_id="dev_registry")
    fields = (connection.conn_type, connection.host or None, connection.port,
              connection.login or None, connection.password or None, connection.extra_dejson)
    print("fields", json.dumps(fields))
"""


def test_each_field_is_read_as_airflow_reads_it(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _AIRFLOW],
        input=json.dumps(TEXTS),
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stdout.splitlines() if line.startswith("fields ")]
    theirs = [ConnectionFields(*json.loads(line.removeprefix("fields "))) for line in lines]
    assert [connection_fields(text) for text in TEXTS] == theirs


def test_a_connection_becomes_an_endpoint() -> None:
    endpoint = find_endpoint("dev_registry", {"AIRFLOW_CONN_DEV_REGISTRY": TEXTS[2]})
    assert endpoint.url == "http://127.0.0.1:5000"
    assert (endpoint.username, endpoint.password) == ("promoter", CANARY)
    assert endpoint.registry_type == "harbor"
    assert endpoint.skip_tls_verification


def test_a_connection_may_lead_to_a_folder() -> None:
    text = json.dumps(
        {
            "conn_type": "container_registry",
            "host": "/mnt/Transfer",
            "extra": {"registry_type": "oci_layout"},
        }
    )
    endpoint = find_endpoint("disk", {"AIRFLOW_CONN_DISK": text})
    assert endpoint.folder == Path("/mnt/Transfer")


@pytest.mark.parametrize("environ", [{}, {"AIRFLOW_CONN_DEV_REGISTRY": "  "}])
def test_a_missing_connection_is_told_which_variable_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(ConnectionSettingsError, match="Set AIRFLOW_CONN_DEV_REGISTRY") as refused:
        find_endpoint("dev_registry", environ)
    assert refused.value.connection_id == "dev_registry"
    assert not refused.value.field


@pytest.mark.parametrize(
    "text",
    [
        f'{{"conn_type": "container_registry", "password": "{CANARY}"',
        f'{{"conn_type": "container_registry", "password": "{CANARY}", "port": "many"}}',
        f'{{"conn_type": "container_registry", "password": "{CANARY}", "extra": "no JSON"}}',
        f'{{"conn_type": "container_registry", "password": "{CANARY}", "extra": [1]}}',
        f'{{"conn_type": ["{CANARY}"]}}',
        f"{CANARY} and no URI",
        f"container-registry://promoter:{CANARY}@host:port",
        f"container-registry://host?__extra__={CANARY}",
    ],
)
def test_what_cannot_be_read_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        find_endpoint("dev_registry", {"AIRFLOW_CONN_DEV_REGISTRY": text})
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "text", ['{"host": "dev.example.com"}', '{"conn_type": "http"}', "http://dev.example.com"]
)
def test_a_connection_of_another_type_is_refused_as_in_airflow(text: str) -> None:
    with pytest.raises(ConnectionSettingsError, match="another type") as refused:
        find_endpoint("dev_registry", {"AIRFLOW_CONN_DEV_REGISTRY": text})
    assert refused.value.field == "conn_type"


def test_secrets_are_not_in_what_developers_print() -> None:
    fields = connection_fields(TEXTS[2])
    assert fields.password == CANARY
    assert CANARY not in repr(fields)


def test_a_signing_key_is_read_from_json_and_from_a_uri() -> None:
    pem = new_pem()
    uri = f"signing-key://:{quote(pem, safe='')}@"
    texts = [json.dumps({"conn_type": "signing_key", "password": pem}), uri]

    keys = {find_signing_key("signing", {"AIRFLOW_CONN_SIGNING": text}) for text in texts}

    assert len({each.public for each in keys}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"conn_type": "signing_key"}',
        json.dumps({"conn_type": "signing_key", "password": CANARY}),
        json.dumps({"conn_type": "container_registry", "password": CANARY}),
    ],
)
def test_a_connection_without_a_usable_signing_key_is_named_and_its_secret_is_not(
    text: str,
) -> None:
    with pytest.raises(ConnectionSettingsError) as refused:
        find_signing_key("signing", {"AIRFLOW_CONN_SIGNING": text})

    assert refused.value.connection_id == "signing"
    assert CANARY not in str(refused.value)
