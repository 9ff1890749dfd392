"""The command `benchmarks/pipeline`: how long a push takes to QA and, approved, to production.

Three real registries, a real Airflow with its scheduler, four policies. The dev registry tells
Airflow of each push, nobody starts a run by hand. With `--storm` many pushes come at once while
Airflow is restarted and the QA registry is away for a while; in the end everything is counted.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, State
from sandbox.airflow_process import AirflowProcess, AirflowRequestError
from sandbox.image_layers import noise_layer
from sandbox.image_pusher import ImagePusher
from sandbox.ports import free_port
from sandbox.registry_process import Notified, RegistryProcess

PROJECT = Path(__file__).resolve().parents[1]
SECRET = "the-benchmark's-webhook-secret"  # noqa: S105 - of registries that live for a minute
TO_QA, TO_PROD = "website-to-qa", "website-to-prod"
DEADLINE_S = 600.0
POLL_INTERVAL_S = 0.1
LAYER_BYTES = 50_000

Say = Callable[[str], None]

POLICIES: Sequence[Mapping[str, object]] = (
    {
        "name": TO_QA,
        "source": {"connection": "dev_registry", "repository": "dev/website"},
        "target": {"connection": "qa_registry", "repository": "qa/website"},
        "triggers": [{"tag": {"ends_with": "-stable"}}],
        "schedule": "0 4 * * *",
    },
    {
        "name": TO_PROD,
        "source": {"connection": "qa_registry", "repository": "qa/website"},
        "target": {"connection": "prod_registry", "repository": "website"},
        "triggers": [{"tag": {"ends_with": "-stable"}}],
        "requires": [TO_QA],
        "approval": {"approvals": 1},
        "schedule": "0 4 * * *",
    },
    {
        "name": "all-to-qa",
        "source": {"connection": "dev_registry", "repository": "apps/*"},
        "target": {"connection": "qa_registry", "repository": "qa-apps/{name}"},
        "triggers": [{"tag": {"semver": ">=1"}}],
        "schedule": "0 4 * * *",
    },
    {
        "name": "website-nightlies",
        "source": {"connection": "dev_registry", "repository": "dev/website"},
        "target": {"connection": "qa_registry", "repository": "qa/nightly"},
        "triggers": [{"tag": {"starts_with": "nightly-"}}],
        "schedule": "0 4 * * *",
    },
)


@dataclass
class Hops:
    """When one image was where, in seconds since its push had ended.

    Args:
        tag: Its tag.
        seconds: The seconds by what happened.
    """

    tag: str
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Pipeline:
    """Three registries and an Airflow.

    Args:
        folder: Where they keep everything.
        started: What ends them.
        airflow_port: Where Airflow listens, also after a restart.
        say: Takes progress.
    """

    folder: Path
    started: ExitStack
    airflow_port: int
    say: Say

    def __post_init__(self) -> None:
        """Start them."""
        webhook = f"http://127.0.0.1:{self.airflow_port}/image-promotion/webhooks/dev_registry"
        notified = Notified(webhook, f"Bearer {SECRET}")
        self.dev = self._registry("dev", notified=notified)
        self.qa = self._registry("qa")
        self.prod = self._registry("prod")
        (self.folder / "policies").mkdir(exist_ok=True)
        for policy in POLICIES:
            (self.folder / "policies" / f"{policy['name']}.yaml").write_text(yaml.safe_dump(policy))
        self.airflow = self._airflow()
        for policy in POLICIES:
            self.airflow.request("PATCH", f"/api/v2/dags/{policy['name']}", {"is_paused": False})

    def _registry(
        self, name: str, *, port: int | None = None, notified: Notified | None = None
    ) -> RegistryProcess:
        return self.started.enter_context(
            RegistryProcess.start(self.folder / name, name=name, port=port, notified=notified)
        )

    def _airflow(self) -> AirflowProcess:
        connections: dict[str, dict[str, object]] = {
            f"{registry.name}_registry": {
                "conn_type": "container_registry",
                "host": registry.url,
                "port": registry.port,
                "extra": {"registry_type": "oci", "webhook_secret": SECRET},
            }
            for registry in (self.dev, self.qa, self.prod)
        }
        return self.started.enter_context(
            AirflowProcess.start(
                self.folder / "airflow",
                project=PROJECT,
                policies=self.folder / "policies",
                connections=connections,
                port=self.airflow_port,
                say=self.say,
            )
        )

    def restart_airflow(self) -> None:
        """End Airflow and start it again on what it has."""
        self.airflow.stop()
        self.airflow = self._airflow()

    def stop_qa(self) -> None:
        """Take the QA registry away."""
        self.qa.stop()

    def start_qa(self) -> None:
        """Bring the QA registry back, where it was."""
        self.qa = self._registry("qa", port=self.qa.port)

    def push(self, tag: str, repository: str = "dev/website") -> None:
        """Push a new image, by skopeo where there is one and by ourselves else."""
        layers = [noise_layer(LAYER_BYTES, "base"), noise_layer(LAYER_BYTES, tag)]
        skopeo = shutil.which("skopeo")
        with ImagePusher(self.dev.url) as pusher:
            if skopeo is None:
                pusher.push_image(repository, tag, layers=layers)
                return
            pusher.push_image("build/website", tag, layers=layers)
        subprocess.run(
            [
                skopeo,
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                f"docker://{self.dev.host}/build/website:{tag}",
                f"docker://{self.dev.host}/{repository}:{tag}",
            ],
            check=True,
        )

    def promotions(self, policy: str) -> tuple[Promotion, ...]:
        """Read a policy's promotions from the ledger."""
        with Ledger.open(f"sqlite:///{self.airflow.home / 'promotion_ledger.db'}") as ledger:
            entries = ledger.history(policy=policy, limit=100_000)
        found = {each.promotion.id: each.promotion for each in entries if each.promotion}
        return tuple(found.values())

    def state_of(self, policy: str, tag: str) -> State | None:
        """Return where the promotion of a tag stands."""
        return next(
            (each.state for each in self.promotions(policy) if each.source_tag == tag), None
        )

    def runs(self, policy: str) -> list[dict[str, Any]]:
        """List a policy's runs."""
        answer = self.airflow.request("GET", f"/api/v2/dags/{policy}/dagRuns?limit=1000")
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def approve_all(self) -> bool:
        """Approve what waits for an answer; tell whether something did."""
        waiting = self.airflow.request(
            "GET", f"/api/v2/dags/{TO_PROD}/dagRuns/~/hitlDetails?response_received=false"
        )["hitl_details"]
        # Airflow 3.3 loses an answer that comes before the task has come to rest.
        waiting = [each for each in waiting if each["task_instance"]["state"] == "awaiting_input"]
        for each in waiting:
            task = each["task_instance"]
            path = (
                f"/api/v2/dags/{TO_PROD}/dagRuns/{quote(task['dag_run_id'])}/taskInstances/"
                f"{task['task_id']}/{task['map_index']}/hitlDetails"
            )
            chosen = [each["options"][0]]
            self.airflow.request("PATCH", path, {"chosen_options": chosen, "params_input": {}})
        return bool(waiting)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure.

    Args:
        arguments: What follows the program's name; None for this process's own.

    Returns:
        The exit status: 0 when everything arrived, once.
    """
    parser = argparse.ArgumentParser(prog="benchmarks/pipeline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="single pushes (3)")
    parser.add_argument("--storm", type=int, default=0, metavar="N", help="N pushes at once")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", highlight=False, markup=False)

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, ExitStack() as started:
        pipeline = Pipeline(Path(folder), started, free_port(), say)
        rounds = [_one_push(pipeline, f"1.{n}-stable") for n in range(options.rounds)]
        _show(rounds)
        faults = _storm(pipeline, options.storm) if options.storm else []
        for fault in faults:
            say(fault)
    return 1 if faults else 0


def _one_push(pipeline: Pipeline, tag: str) -> Hops:
    """Push one image, and watch it arrive."""
    pipeline.push(tag)
    since = time.monotonic()
    hops = Hops(tag)

    def note(what: str) -> None:
        hops.seconds[what] = time.monotonic() - since
        pipeline.say(f"{tag}: {what} {hops.seconds[what]:.1f} s after the push")

    _wait_until(lambda: pipeline.state_of(TO_QA, tag) is State.VERIFIED)
    note("verified in qa")
    _wait_until(pipeline.approve_all)
    note("approved")

    def is_in_prod() -> bool:
        # A task that failed by an answer that came too early asks again.
        pipeline.approve_all()
        return pipeline.state_of(TO_PROD, tag) is State.VERIFIED

    _wait_until(is_in_prod)
    note("verified in prod")
    return hops


def _show(rounds: Sequence[Hops]) -> None:
    table = Table(title="seconds after the push", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    steps = tuple(rounds[0].seconds) if rounds else ()
    for step in steps:
        table.add_column(step, justify="right")
    for hops in rounds:
        table.add_row(hops.tag, *(f"{hops.seconds[step]:.1f}" for step in steps))
    Console().print(table)


def _storm(pipeline: Pipeline, count: int) -> list[str]:
    """Push many at once while parts fail; return what is wrong in the end."""
    runs_before = len(pipeline.runs(TO_QA))
    tags = [f"storm-{n}-stable" for n in range(count)]
    began = time.monotonic()

    def push(tag: str) -> None:
        layers = [noise_layer(LAYER_BYTES, "base"), noise_layer(1_000, tag)]
        with ImagePusher(pipeline.dev.url) as pusher:
            pusher.push_image("dev/website", tag, layers=layers)

    with ThreadPoolExecutor(4) as pool:
        pushed = [pool.submit(push, tag) for tag in tags]
        pushed[count // 4].result()
        pipeline.stop_qa()
        pipeline.say("the QA registry is down")
        pushed[count // 2].result()
        pipeline.restart_airflow()
        pipeline.say("Airflow is up again")
        for each in pushed:
            each.result()
    pipeline.say(f"{count} images pushed in {time.monotonic() - began:.1f} s")
    pipeline.start_qa()
    pipeline.say("the QA registry is up again")
    wanted = set(tags)

    def arrived() -> bool:
        done = [each for each in pipeline.promotions(TO_QA) if each.source_tag in wanted]
        return sum(each.state is State.VERIFIED for each in done) == count

    _wait_until(arrived)
    pipeline.say(f"all verified in qa {time.monotonic() - began:.1f} s after the first push")
    runs = len(pipeline.runs(TO_QA)) - runs_before
    pipeline.say(f"{runs} runs of {TO_QA}")
    return _faults(pipeline, wanted)


def _faults(pipeline: Pipeline, wanted: set[str]) -> list[str]:
    """Compare the registries and the ledger."""
    with httpx.Client(trust_env=False) as client:

        def digest(url: str, repository: str, tag: str) -> str | None:
            answer = client.head(
                f"{url}/v2/{repository}/manifests/{tag}",
                headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            )
            return answer.headers.get("Docker-Content-Digest")

        wrong = [
            f"{tag} is not in QA as it is in dev"
            for tag in sorted(wanted)
            if digest(pipeline.dev.url, "dev/website", tag)
            != digest(pipeline.qa.url, "qa/website", tag)
        ]
    times = Counter(each.source_tag for each in pipeline.promotions(TO_QA))
    wrong += [f"{tag} was promoted {times[tag]} times" for tag in wanted if times[tag] != 1]
    return wrong


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if is_so():
                return
        except (AirflowRequestError, httpx.TransportError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(str(error)) from error
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to that in time")
        time.sleep(POLL_INTERVAL_S)


if __name__ == "__main__":
    sys.exit(main())
