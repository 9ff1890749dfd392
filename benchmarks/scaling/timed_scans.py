"""Scans of a large registry, each a process of its own; the registry's log counts the requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scaling.measurements import ScanMeasured
from benchmarks.scaling.processor_time import session_processor_s
from benchmarks.scaling.scan_process import ScanTook
from image_promotion.policy.model import Policy
from sandbox.registry_process import RegistryProcess
from sandbox.registry_storage import RegistryStorage

Say = Callable[[str], None]

PROJECT = Path(__file__).resolve().parents[2]

_DIGESTS = 100
"""So many images share a repository's tags: a tag costs the same whatever it points at."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan to be made.

    Attributes:
        title: What people call it.
        folder: The part of the registry that it is about: the beginning of repositories' names.
        repositories: How many there are.
        tags: How many tags each has: ``v0``, ``v1`` and so on.
        ending: How the tags end that may matter; empty for all.
    """

    title: str
    folder: str
    repositories: int
    tags: int
    ending: str = ""

    @property
    def policy(self) -> Policy:
        """The policy whose scan it is."""
        many = self.repositories > 1
        return Policy.model_validate(
            {
                "name": "scan",
                "source": {
                    "connection": "source",
                    "repository": f"{self.folder}/{'*' if many else 'r0'}",
                },
                "target": {
                    "connection": "target",
                    "repository": "qa/{name}" if many else "qa/app",
                },
                "triggers": [
                    {"tag": {"ends_with": self.ending} if self.ending else {"starts_with": "v"}}
                ],
                "schedule": "manual",
            }
        )


def scans(*, quick: bool) -> tuple[Scan, ...]:
    """List the scans; quick ones are of a tenth of the tags."""
    scale = 10 if quick else 1
    large, many, each = 10_000 // scale, 500 // scale, 20
    return (
        Scan("100 tags", "tags100", 1, 100),
        Scan(f"{1000 // scale:,} tags", "tags1000", 1, 1000 // scale),
        Scan(f"{3000 // scale:,} tags", "tags3000", 1, 3000 // scale),
        Scan(f"{large:,} tags", "tags10000", 1, large),
        Scan(f"{large:,} tags, 1 in 100 may matter", "tags10000", 1, large, ending="77"),
        Scan(f"{many} repositories of {each} tags, 1 in 10 may matter", "many", many, each, "7"),
    )


def measure(folder: Path, wanted: Sequence[Scan], *, say: Say) -> tuple[ScanMeasured, ...]:
    """Make scans, each twice; the second, which finds nothing new, is what is told.

    Args:
        folder: Where everything is kept; empty.
        wanted: The scans.
        say: Takes progress.

    Returns:
        What each took.
    """
    storage = RegistryStorage(folder / "registry" / "content")
    for each in {scan.folder: scan for scan in wanted}.values():
        for number in range(each.repositories):
            _fill(storage, f"{each.folder}/r{number}", each.tags)
    say("the registry to be scanned is filled")
    with RegistryProcess.start(folder / "registry", name="source", logs_requests=True) as registry:
        return tuple(_measure(folder, scan, registry, say) for scan in wanted)


def _fill(storage: RegistryStorage, repository: str, tags: int) -> None:
    digests = [
        storage.add_image(repository, f"v{number}", layer=f"{repository} {number}".encode()).digest
        for number in range(min(_DIGESTS, tags) if tags > _DIGESTS else 1)
    ]
    for number in range(len(digests), tags):
        storage.set_tag(repository, f"v{number}", digests[number % len(digests)])


def _measure(folder: Path, scan: Scan, registry: RegistryProcess, say: Say) -> ScanMeasured:
    policy = folder / "policy.json"
    policy.write_text(scan.policy.document())
    ledger = folder / f"{abs(hash(scan))}.db"
    for key in ("first", "second"):
        logged, worked = len(registry.requests()), session_processor_s(registry.pid)
        said = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.scaling.scan_process"),
                *(str(policy), registry.url, str(ledger), key),
            ],
            cwd=PROJECT,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        took = ScanTook(**json.loads(said))
        registry_s = session_processor_s(registry.pid) - worked
        requests = Counter(_kind(each) for each in registry.requests()[logged:])
    say(f"{scan.title}: {took.wall_s:.1f} s, {requests.total():,} requests")
    return ScanMeasured(
        title=scan.title,
        repositories=scan.repositories,
        tags=took.tags_seen,
        looked_up=took.looked_up,
        requests=dict(requests),
        wall_s=round(took.wall_s, 2),
        processor_s=round(took.processor_s, 2),
        registry_s=round(registry_s, 2),
        peak_bytes=took.peak_bytes,
        grown_bytes=took.peak_bytes - took.start_bytes,
    )


def _kind(request: str) -> str:
    """Say what a request asks for."""
    method, _, target = request.partition(" ")
    if "/tags/list" in target:
        return "lists of tags"
    if target.startswith("/v2/_catalog"):
        return "lists of repositories"
    if method == "HEAD" and "/manifests/" in target:
        return "digests"
    return "others"
