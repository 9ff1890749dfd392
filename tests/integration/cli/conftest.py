from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import yaml

from sandbox.image_layers import Layer
from sandbox.image_pusher import OCI_INDEX, OCI_MANIFEST, PushedImage
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image

PROMOTION = Path(sys.executable).with_name("promotion")
USER, PASSWORD = "promoter", "canary-Zq7-password"
SOURCE, TARGET = "dev/website", "qa/website"
NAME = "website-stable-to-qa"

TIMEOUT_S = 300.0
"""Only a command that hangs takes so long."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the command left."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> object:
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder of policies, a ledger that is not there yet, two registries, and the command."""

    folder: Path
    source: RegistryProcess
    target: RegistryProcess
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def policies(self) -> Path:
        return self.folder / "policies"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    def write_policy(self, name: str = NAME, **changes: object) -> Path:
        document: dict[str, object] = {
            "name": name,
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "target": {"connection": "qa_registry", "repository": TARGET},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
        path = self.policies / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**document, **changes}))
        return path

    def push(self, tag: str, text: str) -> PushedImage:
        layers = [Layer.from_files({"index.html": text.encode()})]
        return push_image(self.source.url, SOURCE, tag, layers=layers, auth=(USER, PASSWORD))

    def promotion(self, *arguments: str, **environment: str) -> Result:
        """Run the command to its end; its output must never hold the password."""
        done = subprocess.run(
            [PROMOTION, *arguments],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def delete(self, repository: str, digest: str) -> None:
        """Delete an image of the source, with its tags."""
        url = f"{self.source.url}/v2/{repository}/manifests/{digest}"
        with httpx.Client(auth=(USER, PASSWORD), trust_env=False) as client:
            client.delete(url).raise_for_status()

    def target_tags(self) -> Mapping[str, str]:
        """Ask the target, by plain HTTP, which tags it holds and the digest of each."""
        with httpx.Client(base_url=f"{self.target.url}/v2/", trust_env=False) as client:
            repositories = client.get("_catalog").json()["repositories"]
            tags = {}
            for repository in repositories:
                for tag in client.get(f"{repository}/tags/list").json()["tags"] or ():
                    answer = client.get(
                        f"{repository}/manifests/{tag}",
                        headers={"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}"},
                    )
                    tags[f"{repository}:{tag}"] = answer.headers["Docker-Content-Digest"]
            return tags


def connection(url: str, **fields: object) -> str:
    return json.dumps({"conn_type": "container_registry", "host": url, **fields})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A source that wants a password, an empty target, and the policy of the examples."""
    (tmp_path / "policies").mkdir()
    with (
        RegistryProcess.start(tmp_path / "dev", htpasswd={USER: PASSWORD}) as source,
        RegistryProcess.start(tmp_path / "qa") as target,
    ):
        workplace = Workplace(
            tmp_path,
            source,
            target,
            {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path / "home"),
                "AIRFLOW_CONN_DEV_REGISTRY": connection(source.url, login=USER, password=PASSWORD),
                "AIRFLOW_CONN_QA_REGISTRY": f"container-registry://{target.url}",
                "IMAGE_PROMOTION_POLICIES": str(tmp_path / "policies"),
                "IMAGE_PROMOTION_LEDGER": f"sqlite:///{tmp_path}/ledger.db",
            },
        )
        workplace.write_policy()
        yield workplace
