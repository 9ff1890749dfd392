"""A policy's DAG, run in this process by Airflow, between two real registries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from image_promotion.dag_builder import build_dags
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import PushedImage
from sandbox.sample_images import push_image
from tests.support.onlooker import Onlooker

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

PROJECT = Path(__file__).resolve().parents[2]

LAYER_BYTES = 20_000


@dataclass(frozen=True)
class FinishedRun:
    """What became of a DAG's run.

    Attributes:
        run_id: Airflow's name of it.
        state: ``success`` or ``failed``.
        tasks: The task instances by task id, and by map index where they are mapped.
    """

    run_id: str
    state: str
    tasks: Mapping[tuple[str, int], TaskInstance]

    def states(self) -> dict[str, str]:
        """Give the states of the tasks that are not mapped, or mapped over nothing."""
        return {
            task_id: str(task.state) for (task_id, index), task in self.tasks.items() if index < 0
        }

    def images(self, stage: str) -> dict[str, str]:
        """Give the states of a stage's mapped instances, by what Airflow calls them."""
        return {
            str(task.rendered_map_index): str(task.state)
            for (task_id, index), task in self.tasks.items()
            if task_id == f"promote.{stage}" and index >= 0
        }


@dataclass
class PolicyRuns:
    """A policy with its folder, its two repositories and its ledger, which nobody else has.

    Attributes:
        name: The policy's name, and the DAG's id.
        folder: The folder of policies; Airflow's DAG files read it.
        ledger_url: Where the ledger is.
        dev_url: The registry that images are pushed to.
        qa_url: The registry that they are looked for in.
    """

    name: str
    folder: Path
    ledger_url: str
    dev_url: str
    qa_url: str
    monkeypatch: pytest.MonkeyPatch = field(repr=False)

    @property
    def source(self) -> str:
        """The source repository."""
        return f"dev/{self.name}"

    @property
    def target(self) -> str:
        """The target repository."""
        return f"qa/{self.name}"

    def connect(self, connection_id: str, url: str, **fields: object) -> None:
        """Define a connection to a registry, as the environment does."""
        document = {"conn_type": "container_registry", "host": url, **fields}
        self.monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(document))

    def write(self, *, target: Mapping[str, object] | None = None, **changes: object) -> None:
        """Write the policy's file: what ends with -stable is promoted."""
        document: dict[str, object] = {
            "source": {"connection": "dev_registry", "repository": self.source},
            **({} if "targets" in changes else {"target": self._target(target)}),
            **changes,
        }
        self.write_another(self.name, **document)

    def _target(self, changes: Mapping[str, object] | None) -> dict[str, object]:
        return {"connection": "qa_registry", "repository": self.target, **(changes or {})}

    def write_another(self, name: str, **changes: object) -> None:
        """Write the file of one more policy."""
        document = {
            "name": name,
            "source": {"connection": "dev_registry", "repository": f"dev/{name}"},
            "target": {"connection": "qa_registry", "repository": f"qa/{name}"},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            **changes,
        }
        if "targets" in changes:
            del document["target"]
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def push(self, tag: str, content: str = "", repository: str = "") -> PushedImage:
        """Push an image to the source, or to another repository beside it."""
        layers = [noise_layer(LAYER_BYTES, f"{self.name} {tag} {content}"), noise_layer(500)]
        return push_image(self.dev_url, repository or self.source, tag, layers=layers)

    def occupy(self, tag: str) -> str:
        """Let somebody else set a tag of the target; return its digest."""
        layers = [noise_layer(500, f"{self.name} somebody else's")]
        return push_image(self.qa_url, self.target, tag, layers=layers).digest

    def lose(self, tag: str) -> None:
        """Let somebody delete an image of the target."""
        with Onlooker(self.qa_url) as registry:
            registry.delete_tag(self.target, tag)

    def run(self, **conf: object) -> FinishedRun:
        """Run the policy's DAG, as if somebody had triggered it with this configuration."""
        dag = build_dags(self.folder)[self.name]
        run = dag.test(run_conf=dict(conf))
        return FinishedRun(
            run_id=run.run_id,
            state=str(run.state),
            tasks={(each.task_id, each.map_index): each for each in run.get_task_instances()},
        )

    def promoted(self) -> dict[str, str]:
        """Read the target to its last blob: the digest of each tag."""
        with Onlooker(self.qa_url) as registry:
            return registry.visible(self.target)

    def history(self) -> tuple[HistoryEntry, ...]:
        """Read what the ledger has of the policy, newest first."""
        with Ledger.open(self.ledger_url) as ledger:
            return ledger.history(policy=self.name)
