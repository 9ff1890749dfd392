"""One scan in a process of its own, which prints what it took.

Time and memory are the scan's: the program's own start is not in them; what the program had before
is told apart.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.model import Policy
from image_promotion.promotion.scanning import scan_and_record, version_of
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.opening import open_store

_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class ScanTook:
    """What a scan took.

    Attributes:
        wall_s: Seconds by the clock.
        processor_s: Seconds of the processor, without the registry's.
        start_bytes: The resident memory before it began.
        peak_bytes: The most resident memory from then on.
        tags_seen: How many tags there were.
        looked_up: Of how many it was asked what they point at.
    """

    wall_s: float
    processor_s: float
    start_bytes: int
    peak_bytes: int
    tags_seen: int
    looked_up: int


async def scan_once(policy: Policy, registry_url: str, ledger: Ledger, *, key: str) -> ScanTook:
    """Scan a registry as a run does, from the question to the ledger.

    Args:
        policy: The policy.
        registry_url: Where its source is.
        ledger: Where it is recorded.
        key: The run's key.

    Returns:
        What it took.
    """
    now = datetime.now(UTC)
    _forget_peak()
    start_bytes = _peak_bytes()
    began, worked = time.perf_counter(), time.process_time()
    async with aclosing(open_store(RegistryEndpoint("source", registry_url))) as source:
        run = ledger.begin_run(version_of(policy), key=key, kind="manual", at=now)
        seen = await scan_and_record(policy, source, ledger, run, now=now)
    return ScanTook(
        wall_s=time.perf_counter() - began,
        processor_s=time.process_time() - worked,
        start_bytes=start_bytes,
        peak_bytes=_peak_bytes(),
        tags_seen=seen.tags_seen,
        looked_up=len(seen.sightings),
    )


def main(policy_file: str, registry_url: str, ledger_file: str, key: str) -> None:
    """Scan, and print what it took as JSON."""
    policy = Policy.from_document(Path(policy_file).read_text())
    with Ledger.open(f"sqlite:///{ledger_file}") as ledger:
        took = asyncio.run(scan_once(policy, registry_url, ledger, key=key))
    sys.stdout.write(json.dumps(asdict(took)))


def _forget_peak() -> None:
    # proc(5), "/proc/pid/clear_refs": 5 makes the present the peak.
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _KILOBYTE


if __name__ == "__main__":
    main(*sys.argv[1:])
