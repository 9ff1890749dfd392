"""A run of Airflow with a secret in every field that takes one, for which may then be looked.

Two policies run: one signs and promotes, and tells a chat that does not answer; the other is not
let in. What fails is told in most words, so that both must fail somewhere.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.support.airflow_server import (
    PASSWORD,
    USER,
    VIEWER,
    FinishedRun,
    RunningAirflow,
    registry_connection,
)
from tests.support.leaks import Leak, LeakSearch, linked_pages

PAGES = "/image-promotion/"
REPOSITORY = "canary"

_NOTHING_LISTENS = 9
_FEWEST_PAGES = 10


@dataclass(frozen=True)
class Canaries:
    """Secrets, each by the field it stands in, and the runs that used them."""

    secrets: Mapping[str, str]
    runs: tuple[FinishedRun, ...]
    began_s: float

    def leaks(self, airflow: RunningAirflow, *folders: Path) -> list[Leak]:
        """Look for the secrets wherever the runs may have left them.

        Args:
            airflow: Where they ran.
            folders: Where else files may lie, such as the folder for temporary ones.
        """
        search = LeakSearch(self.secrets)
        found = search.in_files(airflow.process.home) + search.in_command_lines()
        for folder in folders:
            found += search.in_files(folder, since_s=self.began_s)
        for user in (airflow.process.username, VIEWER):
            with _client_of(airflow, user) as client:
                found += search.in_answers(client, self._answers(airflow, client))
        return found

    def _answers(self, airflow: RunningAirflow, client: httpx.Client) -> Iterator[str]:
        for run in self.runs:
            path = f"/api/v2/dags/{run.dag_id}/dagRuns/{quote(run.run_id)}"
            yield path
            yield f"{path}/taskInstances?limit=1000"  # with the rendered fields
            for task in airflow.tasks(run.dag_id, run.run_id):
                one = f"{path}/taskInstances/{task['task_id']}"
                index = f"map_index={task['map_index']}"
                yield f"{one}/logs/{task['try_number']}?{index}&full_content=true"
                yield f"{one}/xcomEntries?{index}&limit=1000"
                yield f"{one}/links?{index}"
        yield from ("/api/v2/connections?limit=1000", "/api/v2/importErrors", "/api/v2/config")
        yield from (f"/api/v2/connections/{connection}" for connection in _connections("", {}))
        pages = linked_pages(client, PAGES, most=40)
        assert len(pages) > _FEWEST_PAGES, pages
        yield from pages
        for path in ("overview", "promotions", "promotions.csv", "promotions.json"):
            client.get(f"{PAGES}api/{path}").raise_for_status()
            yield f"{PAGES}api/{path}"


def run_with_canaries(airflow: RunningAirflow, more: Mapping[str, str] | None = None) -> Canaries:
    """Make connections with secrets in every field, run policies with them, and wait.

    Args:
        airflow: Where.
        more: Further secrets that its environment holds, by what they are for.
    """
    began_s = time.time()
    kept = {
        "wrong password": _canary(),
        "webhook secret": _canary(),
        "signing key's passphrase": _canary(),
        "chat's URL": _canary(),
    }
    pem = _encrypted_key(kept["signing key's passphrase"])
    for connection, fields in _connections(pem, kept).items():
        host = {"canary_dev": airflow.dev.url, "canary_chat": ""}.get(connection, airflow.qa.url)
        body = {"connection_id": connection, **fields, "host": host}
        airflow.process.request("POST", "/api/v2/connections", body)
    airflow.push(REPOSITORY, "1-stable")
    common = {"triggers": [{"tag": {"ends_with": "-stable"}}], "schedule": "manual"}
    source = {"connection": "canary_dev", "repository": f"dev/{REPOSITORY}"}
    airflow.add_policy(
        "canary-signed",
        {
            "name": "canary-signed",
            "source": source,
            "target": {"connection": "canary_qa", "repository": f"qa/{REPOSITORY}"},
            "attestation": {"connection": "canary_key"},
            "notify": {"on": ["promoted"], "arguments": {"connection": "canary_chat"}},
            **common,
        },
    )
    airflow.add_policy(
        "canary-refused",
        {
            "name": "canary-refused",
            "source": source,
            "target": {"connection": "canary_wrong", "repository": f"qa/{REPOSITORY}-refused"},
            **common,
        },
    )
    begun = [(name, airflow.trigger(name)) for name in ("canary-signed", "canary-refused")]
    _tell_of_a_push(airflow, kept["webhook secret"])
    runs = tuple(FinishedRun(dag, run, airflow.wait(dag, run)) for dag, run in begun)
    key_line = "".join(pem.splitlines()[2:4])
    known = {**kept, "registry's password": PASSWORD, "signing key": key_line, **(more or {})}
    return Canaries(known, runs, began_s)


def _connections(pem: str, kept: Mapping[str, str]) -> Mapping[str, Mapping[str, object]]:
    webhook = json.dumps({"webhook_secret": kept.get("webhook secret")})
    passphrase = json.dumps({"passphrase": kept.get("signing key's passphrase")})
    wrong = kept.get("wrong password")
    chat = f"http://127.0.0.1:{_NOTHING_LISTENS}/services/{kept.get(_CHAT)}?key={kept.get(_CHAT)}"
    return {
        "canary_dev": registry_connection("", extra=webhook),
        "canary_qa": registry_connection("", login=USER, password=PASSWORD, extra=webhook),
        "canary_wrong": registry_connection("", login=USER, password=wrong),
        "canary_key": {"conn_type": "signing_key", "password": pem, "extra": passphrase},
        "canary_chat": {"conn_type": "http", "password": chat},
    }


_CHAT = "chat's URL"


def _canary() -> str:
    return f"canary-{secrets.token_hex(16)}"


def _encrypted_key(passphrase: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _tell_of_a_push(airflow: RunningAirflow, secret: str) -> None:
    """Send what a registry sends, once with the secret and once without."""
    body = {"repository": "dev/nobody-watches-this"}
    address = f"{airflow.process.url}{PAGES}webhooks/canary_dev"
    for offered in (secret, secret[::-1]):
        answer = httpx.post(address, json=body, headers={"Authorization": offered}, trust_env=False)
        assert answer.status_code == (202 if offered == secret else 403), answer.text


@contextmanager
def _client_of(airflow: RunningAirflow, user: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {airflow.process.token(user)}"}
    with httpx.Client(
        base_url=airflow.process.url, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client
