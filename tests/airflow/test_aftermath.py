"""Audit, second thoughts, messages and figures in a policy's DAG, run in this process."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger, StatsLogger
from airflow.sdk.observability import stats

from image_promotion.dag_builder import build_dags
from image_promotion.operators.aftermath import tell
from image_promotion.policy.loading import load_policy
from sandbox.registry_process import RegistryProcess
from sandbox.sample_evidence import debian_layer
from sandbox.sample_images import push_image
from tests.support.policy_runs import LAYER_BYTES, FinishedRun, PolicyRuns
from tests.support.scanned_images import attach, descriptor_of, scan_attestation
from tests.support.signatures import ecdsa_key

Tags = dict[str, str] | None

SECRET_PATH = "/services/canary-5ecret"
NOTIFY = {
    "on": ["promoted", "failed", "rejected", "recheck_failed", "rolled_back"],
    "arguments": {"connection": "chat"},
}


class Chat(ThreadingHTTPServer):
    """A chat's incoming webhook on loopback: it takes what is posted, or refuses it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Chatter)
        self.answer = 200
        self.posted: list[dict[str, object]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{SECRET_PATH}"


class _Chatter(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.answer == 200:
            self.server.posted.append(json.loads(body))
        self.server.paths.append(self.path)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with Chat() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        document = {"conn_type": "http", "password": server.url}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(document))
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example")
        yield server
        server.shutdown()
        thread.join()


def test_an_audit_runs_green_and_promotes_nothing(
    policy: PolicyRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write(mode="audit")
    policy.push("1.0-stable")

    run = policy.run()

    assert run.state == "success"
    assert run.images("copy") == {}
    assert policy.promoted() == {}
    assert "audit: would promote 1, and copies nothing" in capsys.readouterr().out


def test_without_the_keys_there_are_no_such_tasks(policy: PolicyRuns) -> None:
    assert {"recheck", "notify"}.isdisjoint(build_dags(policy.folder)[policy.name].task_ids)


def test_a_webhook_is_told_of_a_promotion_once_and_of_a_failing_recheck(
    policy: PolicyRuns, dev: RegistryProcess, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ecdsa_key()
    policy.write(
        triggers=[{"vulnerabilities": {"critical": "= 0"}}],
        evidence={"sources": ["referrers"], "signers": {"scanner": {"key": key.pem.decode()}}},
        recheck="daily",
        notify=NOTIFY,
    )
    layers = [debian_layer("busybox=1:1.35.0-4", content=policy.name)]
    image = descriptor_of(push_image(dev.url, policy.source, "1.0", layers=layers))
    attach(dev, policy.source, scan_attestation(image, datetime.now(UTC), key, "LOW"))

    first = policy.run()

    assert (first.state, first.states()["notify"], first.states()["recheck"]) == (
        "success",
        "success",
        "success",
    )
    (told,) = chat.posted
    assert chat.paths == [SECRET_PATH]
    assert (told["event"], told["policy"]) == ("promoted", policy.name)
    assert told["title"] == f"{policy.name}: 1 image promoted"
    assert f"http://airflow.example/dags/{policy.name}/runs/" in str(told["text"])
    assert told["images"] == [
        {
            "source": f"{policy.source}:1.0",
            "digest": str(image.digest),
            "target": f"{policy.target}:1.0",
            "why": told["images"][0]["why"],  # type: ignore[index]
        }
    ]

    attach(dev, policy.source, scan_attestation(image, datetime.now(UTC), key, "CRITICAL"))
    _look_last_long_ago(policy)
    second = policy.run()

    # It could look, and told of it; the run needs attention.
    assert second.states()["recheck"] == "success"
    assert second.states()["notify"] == "success"
    assert (second.state, second.states()["report"]) == ("failed", "failed")
    assert [each["event"] for each in chat.posted] == ["promoted", "recheck_failed"]
    assert "CVE-2099-0001" in str(chat.posted[1]["text"])
    said = capsys.readouterr()
    assert "does not pass any more" in said.out
    assert "canary-5ecret" not in said.out + said.err


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Airflow's figures, switched on."""
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    taking = Recorder()
    stats.initialize(factory=lambda: cast("StatsLogger", taking), export_legacy_names=True)
    yield taking
    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


def test_a_notifier_that_fails_is_a_failed_task_in_a_good_run_with_its_figures(
    policy: PolicyRuns, chat: Chat, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write(notify=NOTIFY)
    image = policy.push("1.0-stable")
    chat.answer = 403

    run = policy.run()

    assert (run.state, run.states()["notify"], run.states()["report"]) == (
        "success",
        "failed",
        "success",
    )
    assert policy.promoted() == {"1.0-stable": image.digest}
    said = capsys.readouterr()
    assert "the webhook of connection chat was answered 403" in said.out
    assert "canary-5ecret" not in said.out + said.err
    assert chat.posted == []
    # Somebody clears the task, once and once more.
    told = [_tell_again(policy, run), _tell_again(policy, run)]
    assert told == [[f"{policy.name}: 1 image promoted"], []]
    figures = recorder.figures
    assert recorder.policies == {policy.name}
    for prefix in ("image_promotion.", f"image_promotion.policy.{policy.name}."):
        assert figures[f"{prefix}scanned"] == 1
        assert figures[f"{prefix}decided.promote"] == 1
        assert figures[f"{prefix}promoted"] == 1
        assert figures[f"{prefix}bytes_copied"] > LAYER_BYTES
        assert figures[f"{prefix}waiting_age_seconds"] == 0
        for stage in ("copy", "retag", "verify"):
            assert figures[f"{prefix}{stage}.duration"] > 0


def test_a_scan_that_fails_is_told(policy: PolicyRuns, chat: Chat) -> None:
    policy.write(notify=NOTIFY, recheck="daily")
    policy.connect("dev_registry", "ftp://nowhere.example")

    run = policy.run()

    assert run.state == "failed"
    (told,) = chat.posted
    assert told["event"] == "failed"
    assert "evaluate, scan" in str(told["text"])


def _tell_again(policy: PolicyRuns, run: FinishedRun) -> list[str]:
    """Tell what a run came to, to people who listen."""
    told, errors = tell(
        load_policy(policy.folder / f"{policy.name}.yaml"),
        key=f"{policy.name}/{run.run_id}",
        failed_tasks=[],
        deliver=lambda _notification, _notice: None,
    )
    assert errors == []
    return [notice.title for notice in told]


def _look_last_long_ago(policy: PolicyRuns) -> None:
    """Let the verification, which counts as the first look, lie back for longer than it did."""
    path = policy.ledger_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("UPDATE ledger_promotions SET verified_at = '2026-01-01 00:00:00.000000'")
        ledger.commit()


class Recorder:
    """Takes figures as a backend of Airflow's does, and adds up what is of one name."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.policies: set[str] = set()

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: Tags = None) -> None:
        del rate
        self._add(stat, count, tags)

    def gauge(
        self,
        stat: str,
        value: float,
        rate: float = 1,
        delta: bool = False,
        *,
        tags: Tags = None,
    ) -> None:
        del rate, delta
        self._add(stat, value, tags)

    def timing(self, stat: str, dt: timedelta | float, *, tags: Tags = None) -> None:
        self._add(stat, dt.total_seconds() if isinstance(dt, timedelta) else dt, tags)

    def _add(self, stat: str, number: float, tags: Tags) -> None:
        self.figures[stat] = self.figures.get(stat, 0) + number
        if stat.startswith("image_promotion.") and tags:
            self.policies.add(tags["policy"])
