"""One running Airflow for all tests that need one, and what they ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import HistoryEntry
from sandbox.airflow_process import AirflowProcess
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import fill_dev_registry, push_image
from tests.support.distribution import WITH_AIRFLOW
from tests.support.onlooker import Onlooker

PROJECT = Path(__file__).resolve().parents[2]

WEBSITE = "website-stable-to-qa"

NEVER_RUN, WAITS = "website-never-run", "website-needs-a-report"
"""Two more policies of the website, which nobody lets run; what they decide can be tried."""

USER, PASSWORD = "promoter", "canary-5ecret-Pa55phrase"
"""Who may enter the QA registry. Wherever the password is found, somebody has leaked it."""

VIEWER = "vera"
"""Who may see everything, and change nothing."""

_FINISHED = ("success", "failed")
_DEADLINE_S = 300.0
_POLL_INTERVAL_S = 0.2

_POLICY = """\
name: {name}
description: {description}
source:
  connection: dev_registry
  repository: dev/{repository}
target:
  connection: qa_registry
  repository: qa/{repository}
triggers:
  - tag: {{ends_with: -stable}}
"""

_BROKEN = {
    "typing-error.yaml": _POLICY.replace("ends_with", "ends_wiht").format(
        name="typing-error", description="Says ends_wiht.", repository="website"
    ),
    "no-legal-tag.yaml": _POLICY.replace(
        "  repository: qa/", '  tag: "%n:%Y"\n  repository: qa/'
    ).format(name="no-legal-tag", description="Has a colon in its tag.", repository="website"),
}

Json = dict[str, Any]


@dataclass(frozen=True)
class RunningAirflow:
    """An Airflow with policies between two registries.

    Attributes:
        process: The Airflow.
        dev: The registry that images come from; it lets anybody in.
        qa: The registry that they go to; it wants a password.
        policies: The folder of policies; two of its files are broken.
    """

    process: AirflowProcess
    dev: RegistryProcess
    qa: RegistryProcess
    policies: Path

    def add_policy(self, name: str, document: Mapping[str, object]) -> None:
        """Write a policy's file, and wait until Airflow has its DAG."""
        (self.policies / f"{name}.yaml").write_text(yaml.safe_dump(document))
        self.read_policy(name)

    def read_policy(self, name: str) -> None:
        """Have the DAG files read again, and wait until there is the DAG of a policy."""
        # Else they are read again after half a minute.
        token = self.get(f"/api/v2/dags/{WEBSITE}")["file_token"]
        self.process.request("PUT", f"/api/v2/parseDagFile/{token}")

        def found() -> str | None:
            dags = self.get("/api/v2/dags?limit=1000&exclude_stale=true")["dags"]
            return next((dag["dag_id"] for dag in dags if dag["dag_id"] == name), None)

        wait_for(found, f"reading the policy {name}")

    def add_connection(self, connection_id: str, url: str, **more: object) -> None:
        """Make a connection to a registry, which lets anybody in unless the fields say who asks."""
        fields = registry_connection(url, **more)
        body = {"connection_id": connection_id, **fields}
        self.process.request("POST", "/api/v2/connections", body)

    @property
    def ledger_url(self) -> str:
        """Where its tasks keep the ledger."""
        return f"sqlite:///{self.process.home / 'promotion_ledger.db'}"

    def get(self, path: str) -> Json:
        """Ask Airflow's API."""
        return self.process.request("GET", path)

    def push(self, repository: str, *tags: str) -> dict[str, str]:
        """Push an image under each tag to the dev registry; return the digests."""
        return {
            tag: push_image(
                self.dev.url,
                f"dev/{repository}",
                tag,
                layers=[noise_layer(50_000, "shared"), noise_layer(20_000, f"{repository} {tag}")],
            ).digest
            for tag in tags
        }

    def pushed(self, repository: str) -> dict[str, str]:
        """Read the dev registry to its last blob: the digest of each tag."""
        with Onlooker(self.dev.url) as registry:
            return registry.visible(f"dev/{repository}")

    def promoted(self, repository: str) -> dict[str, str]:
        """Read the QA registry to its last blob: the digest of each tag."""
        with Onlooker(self.qa.url, auth=(USER, PASSWORD)) as registry:
            return registry.visible(f"qa/{repository}")

    def holds(self, repository: str, digest: str) -> bool:
        """Say whether the QA registry holds an image, under whatever tag or none."""
        with Onlooker(self.qa.url, auth=(USER, PASSWORD)) as registry:
            return registry.holds(f"qa/{repository}", digest)

    def lose(self, repository: str, tag: str) -> None:
        """Delete an image of the QA registry."""
        with Onlooker(self.qa.url, auth=(USER, PASSWORD)) as registry:
            registry.delete_tag(f"qa/{repository}", tag)

    def history(self, policy: str) -> tuple[HistoryEntry, ...]:
        """Read what the ledger has of a policy."""
        with Ledger.open(self.ledger_url) as ledger:
            return ledger.history(policy=policy)

    def trigger(self, dag_id: str, **conf: object) -> str:
        """Start a run as somebody who presses the button; return its id."""
        self.process.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        body = {"logical_date": None, "conf": conf}
        run: str = self.process.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)[
            "dag_run_id"
        ]
        return run

    def ask(self, dag_id: str, run_id: str, task_id: str = "approve") -> Json:
        """Wait until a task waits for people; return what it asks."""
        path = f"{_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails"

        def waits() -> str | None:
            (task,) = self.tasks(dag_id, run_id, task_id)
            state: str | None = task["state"]
            return state if state in ("awaiting_input", *_FINISHED) else None

        assert wait_for(waits, f"{task_id} of {dag_id}") == "awaiting_input"
        return self.get(path)

    def answer(
        self,
        user: str,
        dag_id: str,
        run_id: str,
        task_id: str = "approve",
        *,
        button: str = "Approve",
        fields: Mapping[str, object] | None = None,
    ) -> Json:
        """Answer a task that waits for people, as one of the users."""
        path = f"{_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails"
        body = {"chosen_options": [button], "params_input": fields or {}}
        return self.process.request_as(user, "PATCH", path, body)

    def outcome_of_answer(self, dag_id: str, run_id: str, task_id: str = "approve") -> str:
        """Wait until a task has taken an answer: its end state, or that it asks again."""
        path = f"{_path(dag_id, run_id)}/taskInstances/{task_id}/-1/hitlDetails"

        def outcome() -> str | None:
            (task,) = self.tasks(dag_id, run_id, task_id)
            if task["state"] in _FINISHED:
                state: str = task["state"]
                return state
            asks = task["state"] == "awaiting_input" and not self.get(path)["response_received"]
            return "asked again" if asks else None

        return wait_for(outcome, f"{task_id} of {dag_id}")

    def wait(self, dag_id: str, run_id: str) -> str:
        """Wait until a run is over; return its state."""
        path = _path(dag_id, run_id)

        def state() -> str | None:
            now: str = self.get(path)["state"]
            return now if now in _FINISHED else None

        return wait_for(state, f"the run {run_id} of {dag_id}")

    def tasks(self, dag_id: str, run_id: str, task_id: str | None = None) -> list[Json]:
        """List a run's task instances as the API has them, or those of one task by map index."""
        answer = self.get(f"{_path(dag_id, run_id)}/taskInstances?limit=1000")
        found: list[Json] = answer["task_instances"]
        if task_id is not None:
            found = [each for each in found if each["task_id"] == task_id]
        return sorted(found, key=lambda each: (each["task_id"], each["map_index"]))

    def log(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, attempt: int = 1
    ) -> str:
        """Read a task instance's log as the page shows it."""
        path = f"{_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{attempt}"
        answer = self.get(f"{path}?map_index={map_index}&full_content=true")
        return "\n".join(str(entry) for entry in answer["content"])

    def clear(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> list[Json]:
        """Clear one instance of a task and what comes after it; return what was cleared."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [[task_id, map_index]],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        answer = self.process.request("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)
        cleared: list[Json] = answer["task_instances"]
        return cleared


@dataclass(frozen=True)
class FinishedRun:
    """A run that is over."""

    dag_id: str
    run_id: str
    state: str


@contextmanager
def start(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[RunningAirflow]:
    """Start an Airflow, two registries, good and broken policies; end them with the context.

    Args:
        folder: Where all of them keep what they keep.
        environment: Further variables for Airflow.

    Yields:
        The Airflow.
    """
    policies = folder / "policies"
    policies.mkdir()
    for name, text in _policy_files().items():
        (policies / name).write_text(text)
    with (
        RegistryProcess.start(folder / "dev", name="dev") as dev,
        RegistryProcess.start(folder / "qa", name="qa", htpasswd={USER: PASSWORD}) as qa,
    ):
        fill_dev_registry(dev.url)
        with AirflowProcess.start(
            folder / "home",
            project=PROJECT,
            policies=policies,
            environment={"IMAGE_PROMOTION_PAGE_MAY_SAVE": "yes", **(environment or {})},
            more_users={"alice": "user", "bob": "user", "mallory": "user", VIEWER: "viewer"},
            connections={
                "dev_registry": registry_connection(dev.url, port=dev.port),
                "qa_registry": registry_connection(
                    qa.url, port=qa.port, login=USER, password=PASSWORD
                ),
            },
        ) as process:
            yield RunningAirflow(process, dev, qa, policies)


_started = ExitStack()
_users: set[str] = set()


def _uses_airflow(item: pytest.Item) -> bool:
    return "airflow" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Know who will use it, and that they all come to one process."""
    users = [item.nodeid for item in session.items if _uses_airflow(item)]
    strays = [user for user in users if user.partition("::")[0] not in WITH_AIRFLOW]
    if strays:
        raise pytest.UsageError(f"not in tests.support.distribution.WITH_AIRFLOW: {strays}")
    _users.update(users)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End it with the last test that uses it: idle, it still takes a part of a processor."""
    yield
    if item.nodeid in _users:
        _users.discard(item.nodeid)
        if not _users:
            _started.close()


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    """The running Airflow that all tests share."""
    with _started:
        yield _started.enter_context(start(tmp_path_factory.mktemp("airflow")))


@pytest.fixture(scope="session")
def website_run(airflow: RunningAirflow) -> FinishedRun:
    """The first run of the website's policy, over; to be looked at and left as it is."""
    run_id = airflow.trigger(WEBSITE)
    return FinishedRun(WEBSITE, run_id, airflow.wait(WEBSITE, run_id))


def registry_connection(url: str, **fields: object) -> Mapping[str, object]:
    """Give the fields of a connection as the form sends them."""
    return {"conn_type": "container_registry", "host": url, **fields}


def wait_for(condition: Callable[[], str | None], what: str) -> str:
    """Wait until a condition gives something, and return that."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(_POLL_INTERVAL_S)
    raise TimeoutError(f"{what} is not over after {_DEADLINE_S:.0f} s")


def _policy_files() -> Mapping[str, str]:
    good = {
        WEBSITE: ("Stable builds of the website go to QA.", "website"),
        "shop-to-qa": ("Stable builds of the shop go to QA.", "shop"),
        "mail-to-qa": ("Stable builds of the mail service go to QA.", "mail"),
    }
    files = {
        f"{name}.yaml": _POLICY.format(name=name, description=description, repository=repository)
        for name, (description, repository) in good.items()
    }
    never_run = {
        NEVER_RUN: _POLICY,
        WAITS: _POLICY.replace(
            "  - tag: {{ends_with: -stable}}", "  - license: {{is_one_of: [MIT]}}"
        ),
    }
    files |= {
        f"{name}.yaml": text.replace("qa/", "qa/never-").format(
            name=name, description="Is tried and never run.", repository="website"
        )
        for name, text in never_run.items()
    }
    return files | _BROKEN


def _path(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
