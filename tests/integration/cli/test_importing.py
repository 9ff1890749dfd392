"""`promotion import` as a process of its own, against doubles of DTR and Harbor."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from image_promotion.policy.loading import load_policies
from tests.support.product_doubles import (
    PASSWORD,
    USER,
    DtrPoliciesDouble,
    HarborReplicationDouble,
)
from tests.support.scripted_server import Reply, ScriptedServer

PROMOTION = Path(sys.executable).with_name("promotion")

RULES = [
    {"field": "tag", "operator": "ew", "values": ["-stable"]},
    {"field": "vulnerability_critical", "operator": "eq", "values": ["0"]},
]


async def run(server: ScriptedServer, product: str, folder: Path) -> tuple[int, str, str]:
    """Run the import by a connection to the double; nothing it says holds the password."""
    connection = {
        "conn_type": "container_registry",
        "host": server.url,
        "login": USER,
        "password": PASSWORD,
        "extra": {"registry_type": product},
    }
    process = await asyncio.create_subprocess_exec(
        *(PROMOTION, "import", product, "--connection", "old_registry", "--output", folder),
        env={"PATH": os.environ["PATH"], "AIRFLOW_CONN_OLD_REGISTRY": json.dumps(connection)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    said = output.decode(), errors.decode()
    assert PASSWORD not in "".join(said)
    assert "Traceback" not in said[1]
    return process.returncode, *said


async def test_a_dtr_is_walked_and_its_policies_become_files_that_validate(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        dtr = DtrPoliciesDouble(server)
        dtr.page("0", ["dev/website"], "more")
        dtr.page("more", ["ops/closed"])
        dtr.policies(
            "dev/website",
            promotion=[
                {"id": "1", "targetRepository": "qa/website", "rules": RULES, "enabled": True}
            ],
            poll=[
                {
                    "id": "2",
                    "remoteHost": "https://registry.example.com",
                    "remoteRepository": "team/website",
                    "username": "mirror",
                    "password": PASSWORD,
                }
            ],
        )
        dtr.policies("ops/closed", refusal=Reply(403, b"{}"))
        status, output, errors = await run(server, "dtr", tmp_path / "policies")

    loaded = load_policies(tmp_path / "policies")
    assert not loaded.broken
    assert [each.policy.name for each in loaded.good] == [
        "dev-website-to-qa-website",
        "team-website-to-old-registry-dev-website",
    ]
    assert {each.policy.source.connection for each in loaded.good} == {
        "old_registry",
        "registry_example_com",
    }
    assert "airflow connections add registry_example_com" in output
    assert "airflow connections add old_registry" not in output
    # What may not be read is left out, and so fails the command.
    assert status == 1
    assert errors.count("of ops/closed: the connection may not read them") == 3


async def test_a_harbor_is_asked_for_its_rules_and_registries(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        harbor = HarborReplicationDouble(server)
        harbor.rules(
            1,
            [
                {
                    "id": 1,
                    "name": "to qa",
                    "src_registry": {"id": 0, "name": "Local"},
                    "dest_registry": {"id": 4, "name": "qa"},
                    "dest_namespace": "qa",
                    "dest_namespace_replace_count": 1,
                    "filters": [{"type": "name", "value": "dev/*"}],
                    "trigger": {"type": "event_based"},
                    "enabled": True,
                    "override": True,
                }
            ],
        )
        harbor.registries(
            1, [{"id": 4, "name": "qa", "type": "harbor", "url": "https://qa.example.com"}]
        )
        status, output, errors = await run(server, "harbor", tmp_path / "policies")

    (loaded,) = load_policies(tmp_path / "policies").good
    assert (status, errors) == (0, "")
    assert loaded.policy.target_repository_for("dev/website") == "qa/website"
    assert "airflow connections add qa_example_com" in output
