"""The demo: three registries, a real Airflow, one run of one policy, and what came of it.

`scripts/demo` makes the environment this needs and starts it. What it promotes is kept in its
folder, so that a second run finds nothing new.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from sandbox.airflow_process import AirflowProcess, AirflowRequestError, AirflowUnavailableError
from sandbox.image_pusher import PushedImage, PushRefusedError
from sandbox.registry_process import Notified, RegistryProcess, RegistryUnavailableError
from sandbox.sample_evidence import EVIDENCE_REPOSITORY, fill_with_evidence
from sandbox.sample_images import DEV_REPOSITORY, fill_dev_registry

PROJECT = Path(__file__).resolve().parents[1]
POLICY = "website-stable-to-qa"

DONE, FAILED, INTERRUPTED = 0, 1, 130

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_POLL_INTERVAL_S = 0.3
_IMAGES_PER_LINE = 5
_LATEST_RUNS = 50
_ENDED = frozenset({"success", "failed"})


class DemoFailedError(Exception):
    """The demo cannot go on; says why and what to do."""


def show(text: str = "") -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Progress:
    """Prints lines with the seconds since the demo began; from any thread.

    Args:
        started_at: When it began, in seconds since 1970.
    """

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Print a line."""
        with self._lock:
            show(f"{time.time() - self._started_at:6.1f} s  {line}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        arguments: What follows the program's name; None for this process's own.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="leave everything up until Ctrl-C")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".sandbox" / "demo")
    parser.add_argument("--started-at", type=float, default=time.time(), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for number in _INTERRUPTS:
        signal.signal(number, _interrupt)
    progress = Progress(options.started_at)
    try:
        with _sole_demo(options.folder), ExitStack() as started:
            started.callback(progress.say, "everything that was started has ended")
            with _deaf_at_the_end(progress):
                return _Demo(options.folder, progress, started).run(serve=options.serve)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (
        AirflowRequestError,
        AirflowUnavailableError,
        DemoFailedError,
        OSError,
        PushRefusedError,
        RegistryUnavailableError,
        httpx.HTTPError,
    ) as error:
        sys.stderr.write(f"scripts/demo: {error}\n")
        return FAILED


class _Demo:
    """One demo.

    Args:
        folder: Where it keeps everything.
        progress: Where it says what it does.
        started: What it starts is put here, to be ended.
    """

    def __init__(self, folder: Path, progress: Progress, started: ExitStack) -> None:
        self._folder = folder
        self._say = progress.say
        self._started = started
        self._began_at = datetime.now(UTC)

    def run(self, *, serve: bool) -> int:
        """Run it and, to serve, wait for the interrupt."""
        dev = self._start_registry("dev")
        qa = self._start_registry("qa")
        prod = self._start_registry("prod")
        connections = {
            f"{registry.name}_registry": {
                "conn_type": "container_registry",
                "description": f"The demo's {registry.name} registry",
                "host": registry.url,
                # In the list of connections, Airflow 3.3's Test button refuses those without it.
                "port": registry.port,
                "extra": {"registry_type": "oci"},
            }
            for registry in (dev, qa, prod)
        }
        webhook_secret = secrets.token_hex(32)
        if serve:
            connections["dev_registry"]["extra"] = {
                "registry_type": "oci",
                "webhook_secret": webhook_secret,
            }
        with ThreadPoolExecutor(1) as aside:
            filled = aside.submit(self._fill, dev)
            airflow = self._started.enter_context(
                AirflowProcess.start(
                    self._folder / "airflow",
                    project=PROJECT,
                    connections=connections,
                    # Unless its pages are to be looked at, the demo's own run is the only one.
                    environment={"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(serve)},
                    triggerer=serve,
                    say=self._say,
                )
            )
            filled.result()
        succeeded = self._run_policy(airflow)
        self._show(connections)
        if not succeeded:
            self._say("the run failed: see above which image needs attention")
        if serve:
            self._start_notifying(dev, airflow, webhook_secret)
            self._serve(airflow, connections)
        return DONE if succeeded else FAILED

    def _start_registry(self, name: str) -> RegistryProcess:
        registry = self._started.enter_context(
            RegistryProcess.start(self._folder / name, name=name, keep_port=True)
        )
        self._say(f"the {name} registry is at {registry.url}")
        return registry

    def _start_notifying(
        self, dev: RegistryProcess, airflow: AirflowProcess, webhook_secret: str
    ) -> None:
        """Start the dev registry again where it is, so that from now on it tells of its pushes."""
        notified = Notified(
            f"{airflow.url}/image-promotion/webhooks/dev_registry", f"Bearer {webhook_secret}"
        )
        dev.stop()
        self._started.enter_context(
            RegistryProcess.start(dev.folder, name=dev.name, port=dev.port, notified=notified)
        )
        self._say("a push to the dev registry now starts its policies at once")

    def _fill(self, dev: RegistryProcess) -> None:
        sent_bytes = 0

        def on_progress(image: PushedImage, done: int, total: int) -> None:
            nonlocal sent_bytes
            sent_bytes += image.sent_bytes
            if done % _IMAGES_PER_LINE == 0 or done == total:
                self._say(
                    f"{done} of {total} sample images are in dev ({sent_bytes / 1e6:.1f} MB sent)"
                )

        fill_dev_registry(dev.url, on_progress)
        scanned = fill_with_evidence(dev.url)
        self._say(f"{len(scanned)} images of {EVIDENCE_REPOSITORY} are there, some with reports")

    def _run_policy(self, airflow: AirflowProcess) -> bool:
        """Run the policy's DAG; tell whether its runs succeeded."""
        dag = f"/api/v2/dags/{POLICY}"
        try:
            airflow.request("PATCH", dag, {"is_paused": False})
        except AirflowRequestError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            raise DemoFailedError(
                f"Airflow has no DAG {POLICY}: `promotion validate` says what is wrong with its "
                "policy"
            ) from None
        run_id = airflow.request("POST", f"{dag}/dagRuns", {"logical_date": None})["dag_run_id"]
        self._say(f"running {POLICY}: {airflow.url}/dags/{POLICY}/runs/{quote(run_id)}")
        told: dict[tuple[str, str, int], str] = {}
        while True:
            # The runs' states first: when they have ended, the tasks' states are the last ones.
            runs = self._runs(airflow)
            tasks = [
                task
                for run in runs
                for task in airflow.request(
                    "GET", f"{dag}/dagRuns/{run['dag_run_id']}/taskInstances?limit=1000"
                )["task_instances"]
            ]
            self._tell(tasks, told)
            if all(run["state"] in _ENDED for run in runs):
                break
            if not airflow.running:
                raise DemoFailedError(f"Airflow has ended; its logs are in {airflow.home}")
            time.sleep(_POLL_INTERVAL_S)
        for task in tasks:
            if task["state"] == "failed":
                self._tell_error(airflow, task)
        for run in runs:
            self._say(f"{run['dag_run_id']} ended: {run['state']}")
        return all(run["state"] == "success" for run in runs)

    def _runs(self, airflow: AirflowProcess) -> list[dict[str, Any]]:
        """Give the policy's runs since the demo began: ours, and those that its schedule makes."""
        latest = airflow.request(
            "GET", f"/api/v2/dags/{POLICY}/dagRuns?order_by=-id&limit={_LATEST_RUNS}"
        )["dag_runs"]
        return [
            run
            for run in reversed(latest)
            if run["state"] not in _ENDED
            or datetime.fromisoformat(run["queued_at"]) >= self._began_at
        ]

    def _tell(
        self, tasks: Sequence[Mapping[str, Any]], told: dict[tuple[str, str, int], str]
    ) -> None:
        for task in tasks:
            key = task["dag_run_id"], task["task_id"], task["map_index"]
            # A task that waits for its turn has no state, or one that nobody learns from.
            state = task["state"]
            if state in {None, "scheduled", "queued"} or told.get(key) == state:
                continue
            told[key] = state
            name = task["task_id"].removeprefix("promote.")
            image = task["rendered_map_index"] or ""
            took = (
                f" in {task['duration']:.1f} s" if state != "running" and task["duration"] else ""
            )
            self._say(f"  {state:<8} {name} {image}".rstrip() + took)

    def _tell_error(self, airflow: AirflowProcess, task: Mapping[str, Any]) -> None:
        path = (
            f"/api/v2/dags/{POLICY}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
            f"/logs/{task['try_number']}"
        )
        try:
            log = airflow.request("GET", f"{path}?map_index={task['map_index']}")["content"]
        except AirflowRequestError:
            return
        errors = [each["event"] for each in log if each.get("level") in {"error", "critical"}]
        if errors:
            self._say(f"  {task['task_id']}: {errors[0]}")

    def _show(self, connections: Mapping[str, Mapping[str, object]]) -> None:
        """Print the table, and in one line what this demo did."""
        environment = _command_environment(self._folder / "airflow", connections)
        command = [sys.executable, "-m", "image_promotion.cli.main", "plan", POLICY]
        show()
        # Once for people, straight to the terminal, whose width and colours it looks at; once for
        # the count. Its status tells of conflicts, which the table shows.
        with subprocess.Popen(command, env=environment, cwd=PROJECT):
            asked = subprocess.run(
                [*command, "--json"],
                env=environment,
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        show()
        if not asked.stdout:
            raise DemoFailedError("the plan cannot be read")
        rows: list[dict[str, Any]] = json.loads(asked.stdout)
        verified = [row for row in rows if row["state"] == "verified"]
        new = [row for row in verified if datetime.fromisoformat(row["at"]) >= self._began_at]
        if new:
            self._say(
                f"{len(new)} of {len(rows)} images of {DEV_REPOSITORY} were promoted to QA now"
            )
        else:
            self._say(f"nothing new: {len(verified)} images were promoted before")

    def _serve(
        self, airflow: AirflowProcess, connections: Mapping[str, Mapping[str, object]]
    ) -> None:
        for dag in airflow.request("GET", "/api/v2/dags?limit=1000&exclude_stale=true")["dags"]:
            airflow.request("PATCH", f"/api/v2/dags/{dag['dag_id']}", {"is_paused": False})
        lines = [f"{fields['description']}: {fields['host']}" for fields in connections.values()]
        settings = _write_settings(self._folder, connections)
        show(
            "\n".join(
                [
                    f"\nAirflow is at {airflow.url}",
                    f"  user name {airflow.username}, password {airflow.password}",
                    *lines,
                    f"For the command line, in another terminal: . {settings}",
                    "Ctrl-C ends it all.",
                ]
            )
        )
        try:
            while airflow.running:
                time.sleep(_POLL_INTERVAL_S)
        except KeyboardInterrupt:
            return
        raise DemoFailedError(f"Airflow has ended; its logs are in {airflow.home}")


def _command_environment(
    home: Path, connections: Mapping[str, Mapping[str, object]]
) -> dict[str, str]:
    """Give the command line what Airflow's tasks have: the same ledger, the same connections."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "IMAGE_PROMOTION_"))
    }
    variables["AIRFLOW_HOME"] = str(home)
    return variables | _connection_variables(connections)


def _connection_variables(connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {
        f"AIRFLOW_CONN_{connection_id.upper()}": json.dumps(fields)
        for connection_id, fields in connections.items()
    }


def _write_settings(folder: Path, connections: Mapping[str, Mapping[str, object]]) -> str:
    """Write what `promotion` needs to find the demo's ledger and registries; return where."""
    path = folder / "environment.sh"
    home = folder / "airflow"
    variables = _connection_variables(connections) | {
        "AIRFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:$PATH",
    }
    path.write_text(
        "# For `promotion` in a shell: the demo's ledger, its registries, the program itself.\n"
        + "".join(f"export {name}={_quoted(value)}\n" for name, value in sorted(variables.items()))
    )
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def _quoted(value: str) -> str:
    """Quote for a shell, all but the way to what PATH held before."""
    before, path, rest = value.partition(":$PATH")
    return shlex.quote(before) + (f'"{path}"' if path else "") + rest


@contextmanager
def _sole_demo(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel takes from whoever ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DemoFailedError(
                f"another demo runs in {folder} (process {lock.read().strip() or 'unknown'}): "
                "end it, or give this one another folder with --folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _deaf_at_the_end(progress: Progress) -> Iterator[None]:
    """Ignore interrupts once the end has begun: what was started must end, however impatient."""
    try:
        yield
    finally:
        for number in _INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        progress.say("ending everything")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's own
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
