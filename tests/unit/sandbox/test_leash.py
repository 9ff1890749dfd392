from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox.leash import LeashedProcess

# A program that says when it is there, and one of its own children's ids, then hangs.
_HANGING = "sleep 1000 & echo $!; wait"


def _wait_for(text: Path) -> str:
    """Wait until a program has written a line."""
    deadline = time.monotonic() + 60
    while not (text.exists() and text.read_text().endswith("\n")):
        assert time.monotonic() < deadline, "the program said nothing"
        time.sleep(0.01)
    return text.read_text().strip()


def _lives(pid: int) -> bool:
    """Whether a process exists and is no zombie that waits for somebody to read its status."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 60
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.01)


def test_a_program_writes_to_its_log_and_its_status_is_known(tmp_path: Path) -> None:
    process = LeashedProcess.start(["/bin/sh", "-c", "echo said; exit 3"], log=tmp_path / "log")
    assert _wait_for(tmp_path / "log") == "said"
    _wait_until_gone(process.pid)
    assert not process.running
    assert process.exit_status == 3
    process.end()


def test_ending_a_program_ends_its_children_too(tmp_path: Path) -> None:
    process = LeashedProcess.start(["/bin/sh", "-c", _HANGING], log=tmp_path / "log")
    child = int(_wait_for(tmp_path / "log"))
    process.end()
    process.end()
    _wait_until_gone(process.pid, child)


def test_a_program_that_ignores_the_request_to_end_is_ended_all_the_same(tmp_path: Path) -> None:
    process = LeashedProcess.start(
        ["/bin/sh", "-c", f"trap '' TERM; {_HANGING}"], log=tmp_path / "log"
    )
    _wait_for(tmp_path / "log")
    process.end(grace_s=0.05)
    assert process.exit_status == -signal.SIGKILL


def test_a_program_is_in_a_group_of_its_own_where_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    process = LeashedProcess.start(["/bin/sh", "-c", _HANGING], log=tmp_path / "log")
    try:
        _wait_for(tmp_path / "log")
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    finally:
        process.end()


def test_a_program_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = (
        "import pathlib, time\n"
        "from sandbox.leash import LeashedProcess\n"
        f"log = pathlib.Path({str(log)!r})\n"
        f"process = LeashedProcess.start(['/bin/sh', '-c', {_HANGING!r}], log=log)\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", started], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        child = int(_wait_for(log))
        assert _lives(pid)
    finally:
        parent.kill()
        parent.communicate()
    _wait_until_gone(pid, child)


# Airflow gives each task a group of its own.
_WITH_A_GROUP_APART = (
    "import subprocess\n"
    "child = subprocess.Popen(['sleep', '1000'], process_group=0)\n"
    "print(child.pid, flush=True)\n"
    "child.wait()\n"
)


def test_ending_a_program_ends_children_that_have_a_group_of_their_own(tmp_path: Path) -> None:
    process = LeashedProcess.start(
        [sys.executable, "-c", _WITH_A_GROUP_APART], log=tmp_path / "log"
    )
    child = int(_wait_for(tmp_path / "log"))
    assert os.getpgid(child) == child != process.pid
    process.end()
    _wait_until_gone(process.pid, child)


def test_a_program_that_was_asked_to_end_ends_while_nobody_waits(tmp_path: Path) -> None:
    process = LeashedProcess.start(["/bin/sh", "-c", _HANGING], log=tmp_path / "log")
    _wait_for(tmp_path / "log")
    process.ask_to_end()
    _wait_until_gone(process.pid)
    assert process.exit_status == -signal.SIGTERM
    process.end()
