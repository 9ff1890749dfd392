"""A real Airflow on loopback: SQLite, LocalExecutor, this project's DAGs, plugins and policies.

It starts the programs that `airflow standalone` starts, each on a leash of its own, since
standalone outlives an interrupt and its programs outlive it. It keeps everything in one folder:
database, logs, passwords. A second start on the same folder finds the history of the first.
"""

from __future__ import annotations

import base64
import json as json_format
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from sandbox.leash import LeashedProcess
from sandbox.ports import LOOPBACK, free_port

POLICIES_VARIABLE = "IMAGE_PROMOTION_POLICIES"
"""What tells the DAG files of another folder of policies than include/policies."""

USERNAME = "admin"

Say = Callable[[str], None]
"""Takes a line of progress."""

_POLICY_ERRORS = "policy_errors.py"
_ATTEMPTS = 3
_START_TIMEOUT_S = 240.0
_POLL_INTERVAL_S = 0.1
_ANSWER_TIMEOUT_S = 90.0
_LOG_TAIL_LINES = 25
# SQLite lets one writer in at a time, and Python's default of 5 s is too short for a start at which
# four programs and the first runs all write.
_DATABASE_TIMEOUT_S = 40
_BUSY_DATABASE_ATTEMPTS = 5
_REPEATABLE = frozenset({"GET", "PATCH", "PUT", "DELETE"})

# What a program may need of its surroundings. All else stays out: AIRFLOW__*, AIRFLOW_CONN_* and
# IMAGE_PROMOTION_* of whoever starts this, and proxies that do not know our loopback.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Program:
    """A program of Airflow's.

    Attributes:
        arguments: The arguments of the command ``airflow``.
        environment: Variables that it alone gets.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


_PROGRAMS = {
    "api-server": Program(("api-server",)),
    "scheduler": Program(("scheduler", "--skip-serve-logs")),
    "dag-processor": Program(("dag-processor",)),
    "triggerer": Program(("triggerer", "--skip-serve-logs")),
}


class AirflowUnavailableError(Exception):
    """Airflow does not start, or one of its programs has ended."""


class AirflowRequestError(Exception):
    """Airflow refused a request.

    Args:
        response: What it answered.
    """

    def __init__(self, response: httpx.Response) -> None:
        request = response.request
        super().__init__(
            f"{request.method} {request.url} was answered {response.status_code}: "
            f"{response.text[:500]}"
        )
        self.status = response.status_code


class AirflowProcess:
    """A running Airflow; make it with ``start``, use it as a context manager or ``stop`` it.

    Args:
        home: Its AIRFLOW_HOME.
        port: The port of its server on 127.0.0.1.
        password: The password of its users.
    """

    def __init__(self, home: Path, *, port: int, password: str) -> None:
        self.home = home
        self.port = port
        self.username = USERNAME
        self.password = password
        self._started_at = datetime.now(UTC)
        self._programs: dict[str, LeashedProcess] = {}
        self._launched: dict[str, tuple[Program, Mapping[str, str]]] = {}
        # The environment's proxies would be asked for loopback too.
        self._client = httpx.Client(base_url=self.url, timeout=_ANSWER_TIMEOUT_S, trust_env=False)

    @classmethod
    def start(
        cls,
        home: Path,
        *,
        project: Path,
        policies: Path | None = None,
        environment: Mapping[str, str] | None = None,
        connections: Mapping[str, Mapping[str, object]] | None = None,
        more_users: Mapping[str, str] | None = None,
        port: int | None = None,
        triggerer: bool = False,
        workers: Mapping[str, Program] | None = None,
        say: Say | None = None,
    ) -> Self:
        """Start Airflow and wait until it is healthy and has read the policies.

        Args:
            home: Its AIRFLOW_HOME; made when it is missing, and its content is kept.
            project: The root of this repository, whose dags/ and plugins/ it gets.
            policies: The folder of policies; None for the project's include/policies.
            environment: Variables on top of those made here. Nothing else is inherited from us but
                what a program needs anywhere.
            connections: The fields of connections by their ids, as the API has them (``conn_type``,
                ``host``, ``login``, ``password``; ``extra`` may be a mapping); made or changed in
                its database, where its pages show them.
            more_users: The roles of further users by their names, such as ``viewer``, ``user`` or
                ``admin``; they have the password of the first.
            port: The port of its server on 127.0.0.1; a free one by default.
            triggerer: Whether it gets a triggerer, which deferred tasks and asset watchers need.
            workers: Further programs of Airflow's, by what they are called here.
            say: Takes progress, a line each.

        Returns:
            Airflow, ready for requests.

        Raises:
            AirflowUnavailableError: It does not start; with the tail of the log that says why.
            AirflowRequestError: It refused a connection.
        """
        home = home.resolve()
        project = project.resolve()
        policies = (policies or project / "include" / "policies").resolve()
        home.mkdir(parents=True, exist_ok=True)
        secret = _kept_secrets(home)
        for attempt in range(_ATTEMPTS if port is None else 1):
            airflow = cls(home, port=port or free_port(), password=secret["password"])
            variables = airflow._variables(project, policies, secret) | dict(environment or {})
            variables |= airflow._add_users(more_users or {})
            try:
                programs = {
                    name: program
                    for name, program in _PROGRAMS.items()
                    if triggerer or name != "triggerer"
                }
                airflow._run_until_ready(
                    variables, {**programs, **(workers or {})}, say=say or _say_nothing
                )
                airflow._set_connections(connections or {})
                airflow._wait_for_policies(policies, say or _say_nothing)
            except AirflowUnavailableError:
                airflow.stop()
                if airflow._lost_its_port() and attempt + 1 < _ATTEMPTS and port is None:
                    continue
                raise
            except BaseException:
                airflow.stop()
                raise
            return airflow
        raise AssertionError  # the last attempt has returned or raised

    @property
    def url(self) -> str:
        """Its URL: ``http://127.0.0.1:40123``."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of its programs by name; each leads a session of its own."""
        return {name: program.pid for name, program in self._programs.items()}

    @property
    def running(self) -> bool:
        """Whether none of its programs has ended."""
        return bool(self._programs) and all(each.running for each in self._programs.values())

    def request(
        self, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Send a request as the user; one that may be repeated is, while the database is busy.

        Args:
            method: The HTTP method.
            path: The path from the root, with its query: ``/api/v2/dags?limit=5``.
            json: The body.

        Returns:
            The answer's JSON object as it came; empty when there is none.

        Raises:
            AirflowRequestError: The status is 400 or above.
            httpx.HTTPError: There is no answer.
        """
        response = self._send(method, path, json)
        if response.status_code == httpx.codes.UNAUTHORIZED:  # tokens last a day
            self._sign_in()
            response = self._send(method, path, json)
        # The only 500 that a healthy Airflow on SQLite was seen to give: its database was locked.
        attempt = 1
        while (
            response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
            and method in _REPEATABLE
            and attempt < _BUSY_DATABASE_ATTEMPTS
        ):
            attempt += 1
            time.sleep(_POLL_INTERVAL_S)
            response = self._send(method, path, json)
        if response.is_error:
            raise AirflowRequestError(response)
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def request_as(
        self, user: str, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Send a request as one of the further users.

        Args:
            user: The user's name.
            method: The HTTP method.
            path: The path from the root, with its query.
            json: The body.

        Returns:
            The answer's JSON object as it came; empty when there is none.

        Raises:
            AirflowRequestError: The status is 400 or above.
            httpx.HTTPError: There is no answer.
        """
        header = {"Authorization": f"Bearer {self.token(user)}"}
        response = self._client.request(method, path, json=json, headers=header)
        if response.is_error:
            raise AirflowRequestError(response)
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def token(self, user: str) -> str:
        """Let a user sign in.

        Args:
            user: The user's name.

        Returns:
            Their token: for the header ``Authorization``, or for the cookie of Airflow's pages.

        Raises:
            AirflowRequestError: There is no such user.
            httpx.HTTPError: There is no answer.
        """
        response = self._send("POST", "/auth/token", {"username": user, "password": self.password})
        if response.is_error:
            raise AirflowRequestError(response)
        token: str = response.json()["access_token"]
        return token

    def log_tail(self, program: str) -> str:
        """Give the last lines of a program's log.

        Args:
            program: ``api-server``, ``scheduler``, ``dag-processor``, ``triggerer`` or ``migrate``.

        Returns:
            The lines; empty when it has not been started.
        """
        with suppress(FileNotFoundError):
            lines = self._log(program).read_text(errors="replace").splitlines()
            return "\n".join(lines[-_LOG_TAIL_LINES:])
        return ""

    def restart(self, name: str) -> None:
        """Start a program anew that was killed, once what is left of its session is ended too.

        It does not wait until the program is ready.

        Args:
            name: The program, as in `pids`.
        """
        self._programs.pop(name).end(grace_s=0)
        self._launch(name, *self._launched[name])

    def stop(self) -> None:
        """End all its programs, keeping the database; safe to repeat."""
        # All are asked before any is waited for. The server goes last: tasks that end report to it.
        for program in self._programs.values():
            program.ask_to_end()
        for program in reversed(self._programs.values()):
            program.end()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _variables(
        self, project: Path, policies: Path, secret: Mapping[str, str]
    ) -> dict[str, str]:
        """Give the whole environment of its programs."""
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        settings = {
            "API__BASE_URL": self.url,
            "API__HOST": LOOPBACK,
            "API__PORT": str(self.port),
            "API__SECRET_KEY": secret["api_key"],
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": secret["token_key"],
            "CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "CORE__DAGS_FOLDER": str(project / "dags"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__FERNET_KEY": secret["connections_key"],
            "CORE__LOAD_EXAMPLES": "False",
            # SQLite holds with 4 to 8 tasks at once, and breaks with the default of 32.
            "CORE__PARALLELISM": "4",
            "CORE__PLUGINS_FOLDER": str(project / "plugins"),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "CORE__TEST_CONNECTION": "Enabled",
            "DATABASE__SQL_ALCHEMY_CONN": (
                f"sqlite:///{self.home / 'airflow.db'}?timeout={_DATABASE_TIMEOUT_S}"
            ),
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
            # Else each tenth task holds its slot 5 s longer than it works.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
        variables |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        return variables | {"AIRFLOW_HOME": str(self.home), POLICIES_VARIABLE: str(policies)}

    def _add_users(self, roles: Mapping[str, str]) -> dict[str, str]:
        """Let further users in; return the variable that names them."""
        roles = {self.username: "admin", **roles}
        passwords = dict.fromkeys(roles, self.password)
        _write_for_us_alone(self.home / "passwords.json", json_format.dumps(passwords))
        listed = ",".join(f"{name}:{role}" for name, role in roles.items())
        return {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": listed}

    def _run_until_ready(
        self, variables: Mapping[str, str], programs: Mapping[str, Program], *, say: Say
    ) -> None:
        say("preparing Airflow's database")
        self._launch("migrate", Program(("db", "migrate")), variables)
        migration = self._programs.pop("migrate")
        self._poll(lambda: not migration.running, "its database is not ready", watch=False)
        migration.end()
        if migration.exit_status != 0:
            raise self._unavailable("its database cannot be prepared", "migrate")
        say(f"starting Airflow's {', '.join(programs)}")
        for name, program in programs.items():
            self._launch(name, program, variables)
        self._poll(self._answers, "its server does not answer", program="api-server")
        self._sign_in()
        say(f"Airflow answers at {self.url}")
        wanted = ["metadatabase", "scheduler", "dag_processor"]
        if "triggerer" in programs:
            wanted.append("triggerer")
        self._poll(lambda: self._is_healthy(wanted), "it does not become healthy")
        say("Airflow is healthy")

    def _launch(self, name: str, program: Program, variables: Mapping[str, str]) -> None:
        self._launched[name] = program, variables
        self._programs[name] = LeashedProcess.start(
            [sys.executable, "-m", "airflow", *program.arguments],
            log=self._log(name),
            folder=self.home,
            environment={**variables, **program.environment},
        )

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def _send(
        self, method: str, path: str, json: Mapping[str, object] | None = None
    ) -> httpx.Response:
        return self._client.request(method, path, json=json)

    def _sign_in(self) -> None:
        self._client.headers["Authorization"] = f"Bearer {self.token(self.username)}"

    def _answers(self) -> bool:
        # The version page needs no token; its status alone would not tell Airflow from a stranger
        # who took the port, a token that ours signs does: see `_sign_in`.
        return self._send("GET", "/api/v2/version").is_success

    def _is_healthy(self, wanted: list[str]) -> bool:
        health = self.request("GET", "/api/v2/monitor/health")
        return all(health[part]["status"] == "healthy" for part in wanted)

    def _set_connections(self, connections: Mapping[str, Mapping[str, object]]) -> None:
        for connection_id, fields in connections.items():
            body = {"connection_id": connection_id, **fields}
            if isinstance(body.get("extra"), Mapping):
                body["extra"] = json_format.dumps(body["extra"])
            # Changed where it is there already, so that all of it may be repeated.
            try:
                self.request("PATCH", f"/api/v2/connections/{connection_id}", body)
            except AirflowRequestError as error:
                if error.status != httpx.codes.NOT_FOUND:
                    raise
                self.request("POST", "/api/v2/connections", body)

    def _wait_for_policies(self, policies: Path, say: Say) -> None:
        """Wait until each policy is a DAG or named in an import error, newer than this start."""
        files = {path.name: _policy_name(path) for path in sorted(policies.glob("*.y*ml"))}
        say(f"waiting until Airflow has read {len(files)} policies")
        failures: set[tuple[str, str]] = set()

        def all_read() -> bool:
            dags = self.request("GET", "/api/v2/dags?limit=1000&exclude_stale=true")["dags"]
            errors = self.request("GET", "/api/v2/importErrors?limit=1000")["import_errors"]
            read = {dag["dag_id"] for dag in dags if self._is_fresh(dag["last_parsed_time"])}
            errors = [error for error in errors if self._is_fresh(error["timestamp"])]
            for error in errors:
                # The other file of DAGs is there to say which policies are wrong.
                if not error["filename"].endswith(_POLICY_ERRORS):
                    failures.add((error["filename"], error["timestamp"]))
                    if len(failures) > 1:  # once may be a machine that was too busy
                        raise AirflowUnavailableError(
                            f"Airflow has no DAGs: {error['filename']} cannot be read:\n"
                            f"{error['stack_trace']}"
                        )
            complaints = [error["stack_trace"] for error in errors]
            return all(
                name in read or any(file in complaint for complaint in complaints)
                for file, name in files.items()
            )

        self._poll(all_read, "it does not read the policies", program="dag-processor")

    def _is_fresh(self, moment: str | None) -> bool:
        return moment is not None and datetime.fromisoformat(moment) >= self._started_at

    def _poll(
        self,
        condition: Callable[[], bool],
        failure: str,
        *,
        program: str = "scheduler",
        watch: bool = True,
    ) -> None:
        """Wait for a condition, as long as all programs live."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            for name, each in self._programs.items() if watch else ():
                if not each.running:
                    raise self._unavailable(f"its {name} has ended ({each.exit_status})", name)
            with suppress(httpx.TransportError):
                if condition():
                    return
            if time.monotonic() > deadline:
                raise self._unavailable(f"{failure} after {_START_TIMEOUT_S:.0f} s", program)
            time.sleep(_POLL_INTERVAL_S)

    def _unavailable(self, what: str, program: str) -> AirflowUnavailableError:
        return AirflowUnavailableError(
            f"Airflow does not start: {what}. {self._log(program)} ends:\n{self.log_tail(program)}"
        )

    def _lost_its_port(self) -> bool:
        return "address already in use" in self.log_tail("api-server").lower()


def _say_nothing(line: str) -> None:
    """Drop a line of progress."""


def _kept_secrets(home: Path) -> Mapping[str, str]:
    """Make the keys and the password on the first start in a folder, read them on the next.

    The key that encrypts connections must outlive the process, or nobody can read them again.
    """
    path = home / "secrets.json"
    if not path.exists():
        made = {
            "api_key": secrets.token_urlsafe(32),
            "connections_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "password": secrets.token_urlsafe(9),
            "token_key": secrets.token_urlsafe(64),
        }
        _write_for_us_alone(path, json_format.dumps(made))
    kept: dict[str, str] = json_format.loads(path.read_text())
    return kept


def _write_for_us_alone(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _policy_name(path: Path) -> str | None:
    """Give the name in a policy file; None for a file so broken that it has none."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError:
        return None
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None
