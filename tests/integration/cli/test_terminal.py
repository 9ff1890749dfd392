"""What people see: the installed command on a pseudo-terminal of a given width."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import termios
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import pytest

from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Hold
from sandbox.image_layers import noise_layer
from sandbox.sample_images import push_image
from tests.integration.cli.conftest import (
    NAME,
    PASSWORD,
    PROMOTION,
    SOURCE,
    TARGET,
    USER,
    Workplace,
)

DEADLINE_S = 300.0

_ORDERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def seen_at(width: int, place: Workplace, *arguments: str, **environment: str) -> str:
    """Run the command on a terminal and return all that was written to it."""
    ours, theirs = os.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [PROMOTION, *arguments],
        env={**place.environment, "TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    with suppress(OSError):  # the terminal's end is an error of reading it
        while piece := os.read(ours, 65536):
            written += piece
    os.close(ours)
    assert process.wait(timeout=DEADLINE_S) == 0, written
    return written.decode().replace("\r\n", "\n")


@pytest.fixture
def planned(place: Workplace) -> Workplace:
    """A source with a tag to promote and one to reject, and a ledger that is there."""
    place.write_policy(
        target={
            "connection": "qa_registry",
            "repository": TARGET,
            "tag": "%n-%Y%m%d%H%M%S",
        }
    )
    assert place.promotion("run", NAME, "--policies", str(place.policies)).status == 1
    place.push("2.0-stable", "two")
    place.push("2.1-rc1", "two and a bit")
    return place


@pytest.mark.parametrize("width", [80, 200])
def test_a_plan_can_be_read_at_any_width(planned: Workplace, width: int) -> None:
    text = _ORDERS.sub("", seen_at(width, planned, "plan", NAME))
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert any(re.search(r"\b2\.0-stable-\d{14}  sha256:[0-9a-f]{12}\b", line) for line in lines)
    assert any('tag ends with "-stable": "2.1-rc1"' in line for line in lines)
    is_table = any(line.startswith("tag ") for line in lines)
    assert is_table == (width > 80)


def test_decisions_have_colours_on_a_terminal(planned: Workplace) -> None:
    text = seen_at(80, planned, "plan", NAME)
    assert "\x1b[32mpromote\x1b[0m" in text
    assert "\x1b[33mreject\x1b[0m" in text


def test_no_color_is_respected(planned: Workplace) -> None:
    assert "\x1b" in seen_at(200, planned, "plan", NAME)
    assert "\x1b" not in seen_at(200, planned, "plan", NAME, NO_COLOR="1")


def test_a_run_shows_progress_and_leaves_the_result_alone(
    planned: Workplace, tmp_path: Path
) -> None:
    text = seen_at(100, planned, "run", NAME)
    assert NAME in text
    assert "\x1b[?25h" in text, "the cursor is not given back"
    assert "1 verified" in text
    assert (tmp_path / "ledger.db").exists()


def test_a_copy_shows_bytes_rate_and_time_left_while_it_is_under_way(place: Workplace) -> None:
    # More than the machine's own buffers hold, so that it cannot all be on its way at once.
    push_image(
        place.source.url, SOURCE, "1", layers=[noise_layer(32_000_000)], auth=(USER, PASSWORD)
    )
    hold = Hold(after_bytes=1_000_000)
    with FaultProxy(place.target.url) as proxy:
        for method in ("POST", "PATCH", "PUT"):
            proxy.on(method, "/blobs/uploads/", hold, times=None)
        ours, theirs = os.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        process = subprocess.Popen(
            [PROMOTION, "copy", f"{place.source.host}/{SOURCE}:1", f"{proxy.host}/{TARGET}"],
            env={**place.environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            drawn = read_until(ours, re.compile(r"[\d.]+/32\.0 MB +([\d.]+ \S+/s|\?) +[\d:-]+"))
            hold.release()
            drawn += read_until(ours, re.compile(r"is verified: 32\.0 MB copied"))
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    assert f"{SOURCE}:1 -> {TARGET}" in drawn
    assert "\x1b[?25h" in drawn, "the cursor is not given back"


def read_until(terminal: int, wanted: re.Pattern[str]) -> str:
    """Read what is written to a terminal until something stands there; fail if it never does."""
    written = b""
    while not wanted.search(_ORDERS.sub("", written.decode(errors="replace"))):
        ready, _, _ = select.select([terminal], [], [], DEADLINE_S)
        assert ready, f"{wanted.pattern} was not written: {written!r}"
        written += os.read(terminal, 65536)
    return written.decode(errors="replace")
