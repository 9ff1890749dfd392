"""A real registry tells a running Airflow of pushes, and the policies of its repositories run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest

from sandbox.image_layers import noise_layer
from sandbox.image_pusher import OCI_MANIFEST
from sandbox.registry_process import Notified, RegistryProcess
from sandbox.sample_images import push_image
from tests.support.airflow_server import Json, RunningAirflow, registry_connection, wait_for

CONNECTION = "telling_registry"
POLICY = "telling-to-qa"
ASLEEP = "asleep-to-qa"
SECRET = secrets.token_hex(32)

STORM = 500
# A run follows the other while it storms, so their number depends on how long that takes: about 3.
A_HANDFUL = 10

# Never while these tests run: whatever runs was started by an event.
_ON_NEW_YEARS_DAY = "0 0 1 1 *"


@dataclass(frozen=True)
class Telling:
    """An Airflow, and a registry that tells it of pushes."""

    airflow: RunningAirflow
    registry: RegistryProcess
    url: str

    def push(self, repository: str, tag: str) -> str:
        """Push an image of its own."""
        layers = [noise_layer(2_000, f"{repository} {tag}")]
        return push_image(self.registry.url, repository, tag, layers=layers).digest

    def push_many(self, repository: str, count: int, *, stable_every: int) -> dict[str, str]:
        """Push tags as fast as one client can; return the stable ones with their digests."""
        stable = {}
        with httpx.Client(base_url=self.registry.url, trust_env=False) as client:
            self.push(repository, "0")
            path = f"/v2/{repository}/manifests"
            manifest = client.get(f"{path}/0", headers={"Accept": OCI_MANIFEST}).content
            for number in range(1, count):
                if number % stable_every == stable_every - 1:
                    tag = f"{number}-stable"
                    stable[tag] = self.push(repository, tag)
                else:
                    headers = {"Content-Type": OCI_MANIFEST}
                    client.put(
                        f"{path}/{number}", content=manifest, headers=headers
                    ).raise_for_status()
        return stable

    def runs(self, policy: str) -> list[Json]:
        """List a policy's runs, oldest first."""
        answer = self.airflow.get(f"/api/v2/dags/{policy}/dagRuns?order_by=id&limit=100")
        runs: list[Json] = answer["dag_runs"]
        return runs

    def wait_until_quiet(self, policy: str) -> None:
        """Wait until no run of a policy is under way or to come."""

        def quiet() -> str | None:
            # In this order: a run takes its event off the queue when it is made.
            if self._has_queued_events(policy):
                return None
            states = {run["state"] for run in self.runs(policy)}
            return "quiet" if states <= {"success", "failed"} else None

        wait_for(quiet, f"what was started of {policy}")

    def wait_until_told(self, deliveries: int) -> list[str]:
        """Wait until the server has written a line for each of so many deliveries."""

        def told() -> str | None:
            lines = self.lines()
            return "told" if len(lines) >= deliveries else None

        wait_for(told, f"{deliveries} notifications")
        return self.lines()

    def lines(self) -> list[str]:
        """Return what the server's log has of the webhook."""
        log = (self.airflow.process.home / "api-server.log").read_text()
        return [line for line in log.splitlines() if f"webhook of {CONNECTION}" in line]

    def promoted(self, repository: str) -> dict[str, str]:
        """Read the QA registry's tags of a repository."""
        return self.airflow.promoted(repository)

    def _has_queued_events(self, policy: str) -> bool:
        answer = self.airflow.get(f"/api/v2/dags/{policy}/assets/queuedEvents")
        return bool(answer["total_entries"])


@pytest.fixture(scope="module")
def telling(airflow: RunningAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telling]:
    url = f"{airflow.process.url}/image-promotion/webhooks/{CONNECTION}"
    with RegistryProcess.start(
        tmp_path_factory.mktemp("telling"),
        name="telling",
        notified=Notified(url, f"Bearer {SECRET}"),
    ) as registry:
        fields = registry_connection(registry.url, extra=json.dumps({"webhook_secret": SECRET}))
        airflow.process.request(
            "POST", "/api/v2/connections", {"connection_id": CONNECTION, **fields}
        )
        for policy, folder in ((POLICY, "telling"), (ASLEEP, "asleep")):
            airflow.add_policy(
                policy,
                {
                    "name": policy,
                    "source": {"connection": CONNECTION, "repository": f"{folder}/*"},
                    "target": {"connection": "qa_registry", "repository": f"qa/{folder}-{{name}}"},
                    "triggers": [{"tag": {"ends_with": "-stable"}}],
                    "schedule": _ON_NEW_YEARS_DAY,
                },
            )
        airflow.process.request("PATCH", f"/api/v2/dags/{POLICY}", {"is_paused": False})
        yield Telling(airflow, registry, url)


def test_a_push_that_the_registry_tells_of_is_promoted_without_anybody_doing_anything(
    telling: Telling,
) -> None:
    telling.wait_until_quiet(POLICY)
    earlier = len(telling.runs(POLICY))

    digest = telling.push("telling/shop", "1.0-stable")

    wait_for(
        lambda: telling.promoted("telling-shop").get("1.0-stable"), "the promotion of the push"
    )
    telling.wait_until_quiet(POLICY)

    assert telling.promoted("telling-shop") == {"1.0-stable": digest}
    (run,) = telling.runs(POLICY)[earlier:]
    assert run["run_type"] == "asset_triggered"
    assert run["triggered_by"] == "asset"
    (event,) = telling.airflow.get(
        f"/api/v2/dags/{POLICY}/dagRuns/{quote(run['dag_run_id'], safe='')}/upstreamAssetEvents"
    )["asset_events"]
    assert event["extra"] == {
        "webhook": CONNECTION,
        "images": [f"telling/shop:1.0-stable@{digest}"],
        "more_images": 0,
    }


def test_a_storm_of_pushes_makes_a_handful_of_runs_and_loses_none(telling: Telling) -> None:
    telling.wait_until_quiet(POLICY)
    earlier = len(telling.runs(POLICY))
    told = len(telling.lines())

    # One in a hundred is of interest, the last one among them.
    wanted = telling.push_many("telling/storm", STORM, stable_every=100)
    lines = telling.wait_until_told(told + STORM)
    telling.wait_until_quiet(POLICY)

    assert all("1 started" in line or "1 covered" in line for line in lines[told:])
    assert telling.promoted("telling-storm") == wanted
    runs = telling.runs(POLICY)[earlier:]
    assert 1 <= len(runs) <= A_HANDFUL
    assert {run["state"] for run in runs} == {"success"}


def test_a_push_to_what_nobody_watches_or_a_paused_policy_watches_starts_nothing(
    telling: Telling,
) -> None:
    told = len(telling.lines())

    telling.push("nobodys/shop", "1.0-stable")
    telling.push("asleep/shop", "1.0-stable")

    lines = telling.wait_until_told(told + 2)
    nobodys, asleep = lines[told:]
    assert "1 repositories that nobody watches; assets: 0 started, 0 covered, 0 idle" in nobodys
    assert "0 repositories that nobody watches; assets: 0 started, 0 covered, 1 idle" in asleep
    assert telling.runs(ASLEEP) == []


def test_who_does_not_know_the_secret_starts_nothing_and_learns_nothing(telling: Telling) -> None:
    others = ("dev_registry", "no_such_registry", "a%20b", "no*id")
    urls = [telling.url, *(telling.url.replace(CONNECTION, other) for other in others)]
    guesses = ("Bearer wrong", "Bearer", "", f"Bearer {SECRET[:-1]}", "Basic Og==")

    with httpx.Client(trust_env=False) as client:
        answers = [
            client.post(url, json={"repository": "telling/shop"}, headers={"Authorization": guess})
            for url in urls
            for guess in guesses
        ]
        answers += [client.post(url, json={"repository": "telling/shop"}) for url in urls]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.content for answer in answers} == {b'{"detail":"Forbidden"}'}
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


def test_the_webhook_secret_is_in_no_log_and_not_in_the_database(telling: Telling) -> None:
    answer = telling.airflow.get(f"/api/v2/connections/{CONNECTION}")
    assert SECRET not in json.dumps(answer)

    kept = [path for path in telling.airflow.process.home.rglob("*") if path.is_file()]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_the_address_of_webhooks_shows_nothing_to_a_browser(telling: Telling) -> None:
    base = telling.airflow.process.url + "/image-promotion"
    paths = ("/docs", "/redoc", "/openapi.json", "/webhooks", "/webhooks/a/b")
    with httpx.Client(trust_env=False) as client:
        assert {client.get(base + path).status_code for path in paths} == {404}
        assert client.get(telling.url).status_code == 405
