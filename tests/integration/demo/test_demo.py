"""The real `scripts/demo`, run twice in one place; the second time with its pages left up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.onlooker import Onlooker

PROJECT = Path(__file__).resolve().parents[3]
DEMO = PROJECT / "scripts" / "demo"

# What somebody who works with Airflow and registries may have set. None of it may reach the demo.
SETTINGS_OF_THE_CALLER = {
    "AIRFLOW_HOME": "/nonexistent/airflow",
    "AIRFLOW__CORE__DAGS_FOLDER": "/nonexistent/dags",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://nobody@127.0.0.1:9/nothing",
    "AIRFLOW_CONN_DEV_REGISTRY": "container-registry://http://127.0.0.1:9",
    "AIRFLOW_CONN_QA_REGISTRY": "no connection",
    "IMAGE_PROMOTION_LEDGER": "mysql://127.0.0.1:9/nothing",
    "IMAGE_PROMOTION_POLICIES": "/nonexistent/policies",
    "PYTHONPATH": "/nonexistent/python",
    "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/nonexistent/images",
    "http_proxy": "http://127.0.0.1:9",
}
_DEADLINE_S = 600.0
_POLL_INTERVAL_S = 0.1

pytestmark = pytest.mark.timeout(1500)  # two demos on a machine that is busy with others' work


@dataclass
class Story:
    """What two demos in one folder said and left."""

    first: subprocess.CompletedProcess[str]
    refused: subprocess.CompletedProcess[str]
    served_text: str = ""
    served_status: int | None = None
    dev: Mapping[str, str] = field(default_factory=dict)
    qa: Mapping[str, str] = field(default_factory=dict)
    is_login_accepted: bool = False
    paused: Mapping[str, bool] = field(default_factory=dict)
    running_while_served: list[int] = field(default_factory=list)
    running_afterwards: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("demo") / "a folder"
    try:
        yield _tell(folder)
    finally:
        for pid in _processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _tell(folder: Path) -> Story:
    said = folder.with_name("first.txt")
    first = _start(folder, said, environment=os.environ | SETTINGS_OF_THE_CALLER)
    _wait_for_text(folder / "demo.lock", r"\d+\n", first, said)
    refused = subprocess.run(
        [DEMO, "--folder", folder], capture_output=True, text=True, check=False, timeout=_DEADLINE_S
    )
    first.wait(_DEADLINE_S)
    story = Story(
        subprocess.CompletedProcess(first.args, first.returncode, said.read_text()), refused
    )

    said = folder.with_name("served.txt")
    served = _start(folder, said, "--serve")
    _wait_for_text(said, r"Ctrl-C ends it all", served, said)
    text = said.read_text()
    with Onlooker(_found(r"dev registry: (http:\S+)", text)) as dev:
        story.dev = dev.visible("dev/website")
    with Onlooker(_found(r"qa registry: (http:\S+)", text)) as qa:
        story.qa = qa.visible("qa/website")
    with httpx.Client(base_url=_found(r"Airflow is at (\S+)", text), trust_env=False) as airflow:
        login = {
            "username": _found(r"user name (\S+),", text),
            "password": _found(r"password (\S+)", text),
        }
        answer = airflow.post("/auth/token", json=login)
        story.is_login_accepted = answer.is_success
        airflow.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        dags = airflow.get("/api/v2/dags").json()["dags"]
        story.paused = {dag["dag_id"]: dag["is_paused"] for dag in dags}
    story.running_while_served = _processes_of(folder)
    served.send_signal(signal.SIGTERM)
    story.served_status = served.wait(_DEADLINE_S)
    story.served_text = said.read_text()
    deadline = time.monotonic() + 60  # the kernel takes a moment to bury what was killed
    while (left := _processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL_S)
    story.running_afterwards = left
    return story


def test_the_first_demo_promotes_the_stable_images_and_says_so(story: Story) -> None:
    assert story.first.returncode == 0, story.first.stdout
    assert "10 of 25 images of dev/website were promoted to QA now" in story.first.stdout
    assert len(re.findall(r"success +verify dev/website:\S+-stable", story.first.stdout)) == 10


def test_the_table_tells_tag_decision_reason_target_digest_state_and_time(story: Story) -> None:
    row = re.search(r"^2\.0-stable .*$", story.first.stdout, re.MULTILINE)
    assert row, story.first.stdout
    digest = story.dev["2.0-stable"][:19]
    assert re.fullmatch(
        rf'2\.0-stable +promote +tag ends with "-stable": "2\.0-stable" +2\.0-stable-\d{{8}} +'
        rf"{digest} +verified +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\dZ *",
        row.group(),
    )
    assert re.search(r"^1\.5-rc1 +reject +tag ends with", story.first.stdout, re.MULTILINE)


def test_the_second_demo_promotes_nothing_and_says_so(story: Story) -> None:
    assert "nothing new: 10 images were promoted before" in story.served_text
    assert "success  verify" not in story.served_text


def test_qa_has_the_stable_images_of_dev_whole_and_by_the_same_digests(story: Story) -> None:
    stable = {tag: digest for tag, digest in story.dev.items() if tag.endswith("-stable")}
    assert {re.sub(r"-\d{8}$", "", tag): digest for tag, digest in story.qa.items()} == stable
    assert len(stable) == len(story.qa) == 10


def test_a_second_demo_at_the_same_time_says_that_the_first_is_there(story: Story) -> None:
    assert story.refused.returncode == 1
    assert "another demo runs in" in story.refused.stderr
    assert "registry is at" not in story.refused.stdout


def test_the_served_pages_take_the_login_that_was_said_and_run_all_policies(story: Story) -> None:
    assert story.is_login_accepted
    policies = {path.stem for path in (PROJECT / "include" / "policies").glob("*.yaml")}
    assert story.paused == dict.fromkeys({*policies, "rollback"}, False)


def test_the_request_to_end_ends_all_that_a_served_demo_started(story: Story) -> None:
    # Two registries, four programs of Airflow and the demo itself, at least.
    assert len(story.running_while_served) >= 7
    assert story.served_status == 0, story.served_text
    assert story.running_afterwards == []


def test_every_step_is_told_with_the_seconds_since_the_start(story: Story) -> None:
    before_the_table = story.first.stdout.split("\n\n")[0]
    seconds = [
        float(each) for each in re.findall(r"^ *(\d+\.\d) s  ", before_the_table, re.MULTILINE)
    ]
    assert seconds == sorted(seconds)
    assert len(seconds) > 20


def test_a_wrong_argument_is_wrong_usage() -> None:
    asked = subprocess.run([DEMO, "--sevre"], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert asked.stdout == ""
    assert "unknown argument: --sevre" in asked.stderr


def _start(
    folder: Path, said: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with said.open("wb") as output:
        return subprocess.Popen(
            [DEMO, "--folder", folder, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def _wait_for_text(file: Path, pattern: str, writer: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not (file.exists() and re.search(pattern, file.read_text(errors="replace"))):
        assert writer.poll() is None, (
            f"the demo ended ({writer.returncode}):\n{said.read_text(errors='replace')}"
        )
        assert time.monotonic() < deadline, f"no {pattern} in {file}"
        time.sleep(_POLL_INTERVAL_S)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"no {pattern} in:\n{text}"
    return match.group(1)


def _processes_of(folder: Path) -> list[int]:
    """Find the processes whose command line or environment names a folder, but for the dead."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if os.fsencode(folder) in said:
                found.append(int(process.name))
    return found
