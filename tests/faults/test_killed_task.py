"""Airflow's own task processes killed at their worst moments; Airflow's own retry completes.

The Airflow that other tests use too runs one policy for each moment, all at once, so that the pause
before a retry is waited for once.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import State
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Hold
from sandbox.image_pusher import PushedImage
from sandbox.registry_process import RegistryProcess
from tests.support.airflow_server import RunningAirflow
from tests.support.onlooker import Watch
from tests.support.passage import WAY, Passage

TAG = "1.4-stable"
CONNECTIONS = ("dev_by_proxy", "qa_by_proxy")
DEADLINE_S = 300.0


@dataclass(frozen=True)
class Moment:
    """When a task's process is killed.

    Attributes:
        task_id: The task.
        method: Of the request it has just made, which is held.
        target: What that request asks for, in its repository; `LAYER` is the digest of one.
        hold: Where in the request.
        is_asked_of_source: Whether it is the source that it asks.
        stands: How the promotion stands in the ledger then.
        is_tagged: Whether the target tag is set then.
    """

    task_id: str
    method: str
    target: str
    hold: Hold
    is_asked_of_source: bool
    stands: State
    is_tagged: bool


@dataclass
class Line:
    """One policy on its way, and when its process is killed."""

    moment: Moment
    passage: Passage
    image: PushedImage
    run_id: str = ""

    @property
    def dag_id(self) -> str:
        return self.passage.policy().name


def moments() -> list[Moment]:
    return [
        Moment(
            "promote.copy",
            "PUT",
            "/blobs/uploads/.*LAYER",
            Hold(after_bytes=100_000),
            is_asked_of_source=False,
            stands=State.PLANNED,
            is_tagged=False,
        ),
        Moment(
            "promote.retag",
            "HEAD",
            f"/manifests/{TAG}",
            Hold(),
            is_asked_of_source=True,
            stands=State.COPIED,
            is_tagged=False,
        ),
        Moment(
            "promote.verify",
            "GET",
            f"/manifests/{TAG}",
            Hold(),
            is_asked_of_source=False,
            stands=State.TAGGED,
            is_tagged=True,
        ),
    ]


@pytest.fixture
def lines(
    airflow: RunningAirflow, dev: RegistryProcess, qa: RegistryProcess
) -> Iterator[list[Line]]:
    """A policy for each moment, between the same two proxies; Airflow has them all."""
    with (
        Ledger.open(airflow.ledger_url) as ledger,
        FaultProxy(dev.url) as source,
        FaultProxy(qa.url) as target,
    ):
        planned = []
        for moment in moments():
            passage = Passage(dev, qa, source, target, ledger, CONNECTIONS)
            passage.push("1.5-rc1")
            image = passage.push_index(TAG)
            layer = image.children[0].blobs[1].digest
            repository, proxy, skip = passage.target_repository, target, 0
            if moment.is_asked_of_source:
                # The scan asks the same; the second to ask is the task.
                repository, proxy, skip = passage.source_repository, source, 1
            pattern = f"/v2/{repository}{moment.target.replace('LAYER', layer)}"
            proxy.on(moment.method, pattern, moment.hold, skip=skip)
            planned.append(Line(moment, passage, image))
        for connection_id, url in planned[0].passage.urls.items():
            airflow.add_connection(connection_id, url)
        for line in planned:
            airflow.add_policy(line.dag_id, json.loads(line.passage.policy().document()))
        yield planned


def instance(airflow: RunningAirflow, line: Line) -> Mapping[str, Any]:
    """The task instance that is killed, as Airflow's API shows it."""
    (one,) = airflow.tasks(line.dag_id, line.run_id, line.moment.task_id)
    return one


def kill_process_of(task: Mapping[str, Any]) -> None:
    """End the process that executes a task, and see that it was that one."""
    pid: int = task["pid"]
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert task["id"].encode() in title, title
    os.kill(pid, signal.SIGKILL)


def test_a_killed_task_is_tried_again_by_airflow_and_the_image_is_promoted_once(
    airflow: RunningAirflow, lines: list[Line]
) -> None:
    with ExitStack() as watching:
        watches = [
            watching.enter_context(
                Watch(line.passage.qa.url, line.passage.target_repository, pause_s=0.1)
            )
            for line in lines
        ]
        for line in lines:
            line.run_id = airflow.trigger(line.dag_id)
        for line in lines:
            line.moment.hold.wait(DEADLINE_S)
            task = instance(airflow, line)
            assert (task["state"], task["try_number"]) == ("running", 1)
            kill_process_of(task)
            (promotion,) = line.passage.promotions()
            assert promotion.state is line.moment.stands
            tagged = {TAG: line.image.digest} if line.moment.is_tagged else {}
            assert line.passage.visible() == tagged
            line.moment.hold.release()
        ended = [airflow.wait(line.dag_id, line.run_id) for line in lines]

    assert ended == ["success"] * len(lines)
    for line, watch in zip(lines, watches, strict=True):
        task = instance(airflow, line)
        assert (task["state"], task["try_number"]) == ("success", 2)
        (promotion,) = line.passage.promotions()
        assert promotion.digest == line.image.digest
        assert line.passage.states(promotion) == WAY
        assert line.passage.visible() == {TAG: line.image.digest}
        assert [each for each in watch.seen if each] == [{TAG: line.image.digest}]
