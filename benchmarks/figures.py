"""What was measured: medians, spreads, ratios; as a table, as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from benchmarks.ours import CLIENT_ALONE, OURS
from benchmarks.timed_process import Took
from benchmarks.workloads import Workload

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Series:
    """One contender's runs of one workload.

    Args:
        contender: Whose they are.
        command: The command line, as documentation has it.
        runs: What they took; at least one.
    """

    contender: str
    command: str
    runs: tuple[Took, ...]

    @property
    def median_s(self) -> float:
        """The middle of the runs' seconds."""
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def least_s(self) -> float:
        """The seconds of the fastest run."""
        return min(run.wall_s for run in self.runs)

    @property
    def most_s(self) -> float:
        """The seconds of the slowest run."""
        return max(run.wall_s for run in self.runs)

    @property
    def processor_s(self) -> float:
        """The middle of the runs' seconds of processor, without the registries'."""
        return statistics.median(run.processor_s for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The most memory that any run had resident."""
        return max(run.peak_bytes for run in self.runs)

    @property
    def is_ours(self) -> bool:
        """Whether it is a variant of ours, the whole product or the client alone."""
        return self.contender.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Result:
    """All contenders' runs of one workload."""

    workload: Workload
    series: tuple[Series, ...]

    @property
    def best_peer(self) -> Series | None:
        """The peer with the least median; None when there is no peer here."""
        peers = [each for each in self.series if not each.is_ours]
        return min(peers, key=lambda each: each.median_s, default=None)

    def ratio(self, series: Series) -> float | None:
        """Return how many times what the best peer takes somebody takes."""
        best = self.best_peer
        return None if best is None else series.median_s / best.median_s

    def meets_goal(self, series: Series) -> bool | None:
        """Say whether the whole product meets its goal; None for others, or without a peer."""
        if series.contender == CLIENT_ALONE or not series.is_ours:
            return None
        if self.workload.goal_peak_bytes is not None:
            return series.peak_bytes <= self.workload.goal_peak_bytes
        ratio = self.ratio(series)
        goal = self.workload.goal_ratio
        return None if ratio is None or goal is None else ratio <= goal


def table(result: Result) -> Table:
    """Return one workload's figures for people."""
    shown = Table(title=result.workload.title, title_justify="left", box=None, pad_edge=False)
    shown.add_column("", overflow="fold")
    for heading in ("median s", "least", "most", "processor s", "peak MB", "ratio", "goal"):
        shown.add_column(heading, justify="right")
    for each in sorted(result.series, key=lambda one: one.median_s):
        ratio = result.ratio(each)
        shown.add_row(
            each.contender,
            f"{each.median_s:.2f}",
            f"{each.least_s:.2f}",
            f"{each.most_s:.2f}",
            f"{each.processor_s:.2f}",
            f"{each.peak_bytes / MB:.0f}",
            "" if ratio is None else f"{ratio:.2f}",
            _goal(result, each),
            style="bold" if each.is_ours else "",
        )
    return shown


def markdown(results: Sequence[Result], startup_s: float) -> str:
    """Return all figures as the table of docs/performance.md."""
    lines = [
        "| workload | contender | median s | spread | processor s | peak MB | ratio | goal |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for result in results:
        title = result.workload.title
        for each in sorted(result.series, key=lambda one: one.median_s):
            ratio = result.ratio(each)
            name = f"**{each.contender}**" if each.is_ours else each.contender
            lines.append(
                f"| {title} | {name} | {each.median_s:.2f} | "
                f"{each.least_s:.2f}-{each.most_s:.2f} | {each.processor_s:.2f} | "
                f"{each.peak_bytes / MB:.0f} | {'' if ratio is None else f'{ratio:.2f}'} | "
                f"{_goal(result, each)} |"
            )
            title = ""
    lines += ["", f"Of each of ours, {startup_s:.2f} s is the start of the program (imports)."]
    return "\n".join(lines)


def save(
    results: Sequence[Result],
    file: Path,
    *,
    versions: Mapping[str, str],
    rounds: int,
    startup_s: float,
) -> None:
    """Write everything that was measured, each run by itself, with the machine it ran on.

    Args:
        results: What was measured.
        file: The JSON file.
        versions: The peers' versions.
        rounds: How many rounds were asked for.
        startup_s: What ours takes to start and do nothing, in seconds.
    """
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": dict(versions),
        "rounds": rounds,
        "our_startup_s": startup_s,
        "workloads": [
            {
                "name": result.workload.name,
                "title": result.workload.title,
                "goal_ratio": result.workload.goal_ratio,
                "goal_peak_bytes": result.workload.goal_peak_bytes,
                "contenders": [
                    {
                        "name": each.contender,
                        "command": each.command,
                        "median_s": each.median_s,
                        "ratio_to_best_peer": result.ratio(each),
                        "meets_goal": result.meets_goal(each),
                        "runs": [asdict(run) for run in each.runs],
                    }
                    for each in result.series
                ],
            }
            for result in results
        ],
    }
    file.write_text(json.dumps(document, indent=1) + "\n")


def machine() -> Mapping[str, object]:
    """Return what the figures depend on: processor, cores, memory, system, Python."""
    return {
        "processor": _first_of("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first_of("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _goal(result: Result, series: Series) -> str:
    met = result.meets_goal(series)
    if met is None:
        return ""
    peak = result.workload.goal_peak_bytes
    goal = f"{result.workload.goal_ratio:g} x" if peak is None else f"{peak / MB:.0f} MB"
    return f"{'met' if met else 'missed'} ({goal})"


def _first_of(file: str, field: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
