"""What is said of the pins by an advisory source, which stands on loopback here; and the SBOM."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

PROJECT = Path(__file__).resolve().parents[3]
LOCK = """\
six==1.16.0 \\
    --hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254
zipp==4.1.2 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
"""
ADVISORY = {
    "id": "GHSA-none-of-this",
    "summary": "It is only a test.",
    "affected": [
        {
            "package": {"name": "six", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.17.0"}]}],
        }
    ],
}


@dataclass
class Source:
    """An advisory source.

    Attributes:
        url: Its address.
        known: The advisories it knows, by package.
        asked: The packages it was asked about.
    """

    url: str = ""
    known: dict[str, list[object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def source() -> Iterator[Source]:
    with listening(Source()) as source:
        yield source


@contextmanager
def listening(source: Source) -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = body["package"]["name"]
            source.asked.append(name)
            answer = json.dumps({"vulns": source.known[name]} if name in source.known else {})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        source.url = f"http://127.0.0.1:{server.server_port}/v1/query"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield source
        server.shutdown()


def audit(folder: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    lock = folder / "lock.txt"
    lock.write_text(LOCK)
    program = [sys.executable, str(PROJECT / "scripts" / "audit.py")]
    options = ["--lock", str(lock), "--kept", str(folder / "kept.json"), "--osv-url", url, *more]
    return subprocess.run([*program, *options], capture_output=True, text=True, check=False)


def test_pins_without_advisories_are_well_and_asked_about_once_a_day(
    tmp_path: Path, source: Source
) -> None:
    first, second = audit(tmp_path, source.url), audit(tmp_path, source.url)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stdout.startswith("2 pins audited")
    assert first.stdout.endswith("no known vulnerabilities\n")
    assert second.stdout == first.stdout
    assert sorted(source.asked) == ["six", "zipp"]


def test_a_known_vulnerability_fails_and_names_what_mends_it(
    tmp_path: Path, source: Source
) -> None:
    source.known["six"] = [ADVISORY]
    for _ in range(2):  # made, and kept
        done = audit(tmp_path, source.url)
        assert done.returncode == 1
        assert done.stderr == "six 1.16.0 has GHSA-none-of-this: mended in 1.17.0\n"


def test_a_source_that_is_not_there_is_said_and_fails_nothing(tmp_path: Path) -> None:
    done = audit(tmp_path, "http://127.0.0.1:9/v1/query")
    assert done.returncode == 0
    assert done.stdout.startswith("NOT AUDITED")
    assert "asked about 0 of 2" in done.stdout


def test_another_lock_or_source_is_audited_anew(tmp_path: Path, source: Source) -> None:
    audit(tmp_path, "http://127.0.0.1:9/v1/query")
    assert audit(tmp_path, source.url).stdout.startswith("2 pins audited")


def test_a_slow_source_is_not_waited_for(tmp_path: Path, source: Source) -> None:
    done = audit(tmp_path, source.url, "--limit-s", "0.01")
    assert done.returncode == 0
    assert "took longer than 0.01 s" in done.stdout


def test_the_sbom_has_every_pin_with_its_hashes_and_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(LOCK)
    command = _command_of_the_script(tmp_path / "lock.txt", tmp_path / "sbom.json")
    subprocess.run(command, check=True, capture_output=True, cwd=PROJECT)
    text = (tmp_path / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    sbom = json.loads(text)
    assert [each["purl"] for each in sbom["components"]] == [
        "pkg:pypi/six@1.16.0",
        "pkg:pypi/zipp@4.1.2",
    ]
    hashes = [each["externalReferences"][0]["hashes"] for each in sbom["components"]]
    assert all(alg["alg"] == "SHA-256" for each in hashes for alg in each)
    assert sbom["metadata"]["component"]["name"] == "image-promotion"
    assert "timestamp" not in sbom["metadata"]
    assert "serialNumber" not in sbom


def _command_of_the_script(lock: Path, path: Path) -> list[str]:
    """Give what scripts/sbom runs, on another lock and without making the environment."""
    script = (PROJECT / "scripts" / "sbom").read_text()
    line = script[script.index('"$PYTHON"') :].replace("\\\n", " ")
    words = line.replace('"$PYTHON"', sys.executable).replace('"${1:--}"', str(path)).split()
    return [str(lock) if word == "requirements.txt" else word for word in words]
