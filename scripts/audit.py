"""Asks an advisory source about every pin of the lock, at most once a day.

Found vulnerabilities are an error, with the version that mends each. A source that cannot be
reached is none: that nothing was asked is said, and never taken for "nothing found".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]

DAY_S = 24 * 3600.0
HOUR_S = 3600.0

FOUND = 1

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability of a pin.

    Args:
        package: The package.
        version: The pinned version.
        id: The advisory.
        mended_in: The versions that mend it; none where there is none yet.
    """

    package: str
    version: str
    id: str
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        advice = f"mended in {', '.join(self.mended_in)}" if self.mended_in else "not mended yet"
        return f"{self.package} {self.version} has {self.id}: {advice}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Args:
        lock: The digest of what was audited.
        at_s: When, in seconds since 1970.
        asked: How many packages were asked about and known to the source.
        pins: How many there are.
        why_not: Why not all were asked about; empty when they were.
        vulnerabilities: What was found.
    """

    lock: str
    at_s: float
    asked: int
    pins: int
    why_not: str = ""
    vulnerabilities: tuple[Vulnerability, ...] = field(default=())

    @property
    def is_fresh(self) -> bool:
        """Whether it need not be made again: a day, or an hour where nobody could be asked."""
        return 0 <= time.time() - self.at_s < (HOUR_S if self.why_not else DAY_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit the lock and say what was found.

    Args:
        arguments: What stands after the name of the program.

    Returns:
        1 when a vulnerability was found, else 0.
    """
    options = _options(arguments)
    lock = hashlib.sha256(options.lock.read_bytes() + options.osv_url.encode()).hexdigest()
    audit = _kept(options.kept, lock)
    if audit is None:
        audit = _made(options, lock)
        options.kept.parent.mkdir(parents=True, exist_ok=True)
        options.kept.write_text(json.dumps(asdict(audit)))
    for vulnerability in audit.vulnerabilities:
        print(vulnerability, file=sys.stderr)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(audit.at_s))
    if audit.why_not:
        print(f"NOT AUDITED at {when}Z: {audit.why_not}; asked about {audit.asked} of {audit.pins}")
    else:
        count = len(audit.vulnerabilities) or "no"
        print(f"{audit.asked} pins audited at {when}Z: {count} known vulnerabilities")
    return FOUND if audit.vulnerabilities else 0


def _made(options: argparse.Namespace, lock: str) -> Audit:
    pins = len(_PIN.findall(options.lock.read_text()))
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(options.lock)),
        *("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"),
        *("--vulnerability-service", "osv", "--osv-url", options.osv_url, "--timeout", "5"),
    ]
    at_s = time.time()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=options.limit_s, check=False
        )
        document = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Audit(
            lock, at_s, 0, pins, f"{options.osv_url} took longer than {options.limit_s:g} s"
        )
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        reason = last.partition(":")[0][:200]
        return Audit(lock, at_s, 0, pins, f"{options.osv_url} cannot be asked ({reason})")
    asked = [each for each in document["dependencies"] if "skip_reason" not in each]
    # Pins for other systems than this one are left out by pip-audit.
    pins = len(document["dependencies"])
    missing = "" if len(asked) == pins else "the source does not know all packages"
    return Audit(lock, at_s, len(asked), pins, missing, tuple(_vulnerabilities(asked)))


def _vulnerabilities(asked: Sequence[dict[str, Any]]) -> Iterator[Vulnerability]:
    for each in asked:
        for vulnerability in each["vulns"]:
            yield Vulnerability(
                str(each["name"]),
                str(each["version"]),
                str(vulnerability["id"]),
                tuple(map(str, vulnerability["fix_versions"])),
            )


def _kept(path: Path, lock: str) -> Audit | None:
    """Return the last audit, if it is of the same lock and fresh."""
    try:
        kept = json.loads(path.read_text())
        found = tuple(
            Vulnerability(each["package"], each["version"], each["id"], tuple(each["mended_in"]))
            for each in kept.pop("vulnerabilities")
        )
        audit = Audit(**kept, vulnerabilities=found)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return audit if audit.lock == lock and audit.is_fresh else None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/audit.py", description=__doc__)
    parser.add_argument("--lock", type=Path, default=PROJECT / "requirements-dev.txt")
    parser.add_argument("--kept", type=Path, default=PROJECT / ".sandbox" / "audit.json")
    parser.add_argument("--osv-url", default="https://api.osv.dev/v1/query", help="the source")
    parser.add_argument("--limit-s", type=float, default=60.0, help="how long it may take")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
