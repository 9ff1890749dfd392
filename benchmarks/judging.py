"""The command `benchmarks/evidence`: the time and the memory that it takes to judge by evidence.

Each workload is a process of its own, so that its peak of memory is its own: it prepares what it
needs, starts the clock, decides, stops it. Memory is counted from the start of the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from image_promotion.evidence.document import Document, Kind
from image_promotion.evidence.dossier import Dossier, pack
from image_promotion.evidence.examination import Trusted, examine
from image_promotion.evidence.sources.source import Image
from image_promotion.evidence.weighing import Weights, weigh
from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.facts import ImageFacts
from image_promotion.policy.model import Policy
from image_promotion.promotion.decision import ImageName
from image_promotion.promotion.evidence import configuration_of
from image_promotion.promotion.judging import judge, judge_images
from image_promotion.registry.digest import Digest
from image_promotion.registry.layout import LayoutStore

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
REPOSITORY = "dev/website"
CANDIDATES, COMPONENTS, VULNERABILITIES = 1_000, 200, 20
LARGE = 50_000
KILOBYTE = 1024

TRIGGERS: Sequence[Mapping[str, object]] = (
    {"tag": {"ends_with": "-stable"}},
    {"component": {"contains": "package-7"}},
    {"component": {"is_not_one_of": ["log4j-core"], "version": "< 2.17"}},
    {"license": {"is_not_one_of": ["GPL-3.0-only", "AGPL-3.0-only"]}},
    {"any": [{"vulnerabilities": {"critical": "= 0"}}, {"component": {"starts_with": "pack"}}]},
    {"not": {"license": {"is_one_of": ["SSPL-1.0"]}}},
    {"vulnerabilities": {"critical": "= 0", "all": "<= 1000000"}},
)


@dataclass(frozen=True)
class Figures:
    """What one workload took.

    Args:
        name: The workload.
        seconds: From the start of judging to the last decision.
        processor_s: The processor's time of it, which other programs do not lengthen.
        prepared_s: What came before.
        peak_bytes: The largest resident memory of the process.
        goal: What it may take.
        done: What was decided, to show that the work was done.
    """

    name: str
    seconds: float
    processor_s: float
    prepared_s: float
    peak_bytes: int
    goal: str
    done: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/evidence", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--one", choices=WORKLOADS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        sys.stdout.write(json.dumps(asdict(WORKLOADS[options.one]())))
        return 0
    figures = [_alone(name) for name in WORKLOADS]
    if options.json:
        sys.stdout.write(json.dumps([asdict(each) for each in figures], indent=2) + "\n")
    else:
        Console().print(_table(figures))
    return 0


def _alone(name: str) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.judging", "--one", name],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Figures(**json.loads(done.stdout))


def _table(figures: Sequence[Figures]) -> Table:
    table = Table("workload", "s", "processor s", "prepared s", "peak MB", "goal", "decided")
    for each in figures:
        table.add_row(
            each.name,
            f"{each.seconds:.2f}",
            f"{each.processor_s:.2f}",
            f"{each.prepared_s:.2f}",
            f"{each.peak_bytes / 1e6:.0f}",
            each.goal,
            each.done,
        )
    return table


_LICENSES = (
    {"expression": "MIT AND LicenseRef-{}"},
    {"expression": "Apache-2.0 AND LicenseRef-{}"},
    {"expression": "GPL-2.0-or-later WITH Classpath-exception-2.0 AND LicenseRef-{}"},
    {"license": {"name": "BSD 3-Clause"}},
)


def _sbom(count: int, *, vulnerabilities: int) -> bytes:
    """Write a CycloneDX document of so many packages, some of which have vulnerabilities."""
    components = []
    for n in range(count):
        version = f"1.{n % 100}.{n}-2"
        license_ = json.loads(json.dumps(_LICENSES[n % 4]).replace("{}", str(n % 97)))
        components.append(
            {
                "bom-ref": f"ref-{n}",
                "type": "library",
                "name": f"package-{n}",
                "version": version,
                "purl": f"pkg:deb/debian/package-{n}@{version}?arch=amd64&upstream=source-{n}",
                "licenses": [license_],
                "properties": [{"name": "syft:package:type", "value": "deb"}],
            }
        )
    return json.dumps(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "metadata": {
                "timestamp": "2026-11-24T10:00:00Z",
                "tools": {"components": [{"type": "application", "name": "syft"}]},
            },
            "components": components,
            "vulnerabilities": [
                {
                    "id": f"CVE-2026-{10_000 + n}",
                    "ratings": [{"score": 5.5, "severity": "medium", "method": "CVSSv31"}],
                    "affects": [{"ref": f"ref-{n}"}],
                }
                for n in range(vulnerabilities)
            ],
        }
    ).encode()


class _Moment:
    """What the clock says, and how long the processor has worked for this process."""

    def __init__(self) -> None:
        self.clock_s = time.perf_counter()
        self.processor_s = time.process_time()


def _policy() -> Policy:

    return Policy.model_validate(
        {
            "name": "benchmark",
            "source": {"connection": "dev_registry", "repository": REPOSITORY},
            "target": {"connection": "qa_registry", "repository": "qa/website"},
            "triggers": list(TRIGGERS),
            "evidence": {"max_age": "7d", "trust": {"referrers": "any"}},
        }
    )


def _judge_one() -> Figures:
    """Judge one SBOM, from bytes to the verdict."""
    begun = time.perf_counter()
    policy = _policy()
    digest = Digest.of(b"image")
    content = _sbom(LARGE, vulnerabilities=1_000)
    started = _Moment()
    document = Document(
        content, Kind.REPORT, "", SourceName.REFERRERS, "an attached SBOM", str(digest)
    )
    found = examine(document, Trusted((), None), Image(REPOSITORY, digest), now=NOW)
    dossier = Dossier(str(digest), (), (found,), (), NOW)
    facts = weigh(
        dossier,
        (str(digest),),
        Weights(policy.evidence.max_age, NOW),
        ImageFacts("1-stable", repository=REPOSITORY),
    )
    judgement = judge(policy.criterion, {"": facts}, NOW)
    return _figures(
        "one SBOM of 50,000 components, from bytes to verdict",
        begun,
        started,
        "3 s, 500 MB",
        f"{judgement.outcome}, {len(content) / 1e6:.0f} MB",
    )


def _judge_many() -> Figures:
    """Decide about candidates whose evidence an earlier run has kept."""
    begun = time.perf_counter()
    policy = _policy()
    digests = [Digest.of(str(n).encode()) for n in range(CANDIDATES)]
    images = [ImageName(REPOSITORY, f"{n}-stable", str(each)) for n, each in enumerate(digests)]
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        store = LayoutStore(Path(folder) / "layout")
        contents = {}
        for n, digest in enumerate(digests):
            report = _sbom(COMPONENTS + n % 7, vulnerabilities=VULNERABILITIES)
            document = Document(
                report, Kind.REPORT, "", SourceName.REFERRERS, "an attached SBOM", str(digest)
            )
            found = examine(document, Trusted((), None), Image(REPOSITORY, digest), now=NOW)
            contents[REPOSITORY, str(digest)] = pack(Dossier(str(digest), (), (found,), (), NOW))
        ledger.keep_evidence(store.name, configuration_of(policy), contents, at=NOW)
        del contents
        started = _Moment()
        judged = asyncio.run(
            judge_images(
                policy, images, source=store, ledger=ledger, now=NOW, afresh=False, keep=True
            )
        )
        promoted = sum(each.target_digest is not None for each in judged.decisions)
        figures = _figures(
            "1,000 candidates with kept evidence, 200 components and 20 vulnerabilities each",
            begun,
            started,
            "5 s",
            f"{promoted} promoted",
        )
        ledger.close()
    return figures


def _figures(name: str, begun: float, started: _Moment, goal: str, done: str) -> Figures:
    ended = _Moment()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE
    return Figures(
        name=name,
        seconds=ended.clock_s - started.clock_s,
        processor_s=ended.processor_s - started.processor_s,
        prepared_s=started.clock_s - begun,
        peak_bytes=peak,
        goal=goal,
        done=done,
    )


WORKLOADS: Mapping[str, Callable[[], Figures]] = {"one": _judge_one, "many": _judge_many}


if __name__ == "__main__":
    raise SystemExit(main())
