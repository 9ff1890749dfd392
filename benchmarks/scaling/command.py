"""The command `benchmarks/scale`: how time grows with images, tags and workers.

A real Airflow (SQLite, LocalExecutor) promotes small images between two real registries; scans of
large registries are processes of their own. Figures go to a JSON file, curves to SVG files, and a
day at sites of other sizes is simulated at the measured costs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.scaling import sizing, timed_scans
from benchmarks.scaling.curves import Curve, Plot, at_points, draw
from benchmarks.scaling.measurements import Machine, Measurements, RunTook
from benchmarks.scaling.report import figures, publish
from benchmarks.scaling.timed_runs import Batch, RunFailedError, RunSite, Say

PROJECT = Path(__file__).resolve().parents[2]
PAGE = Path("docs", "scale.md")
RESULTS = PROJECT / ".sandbox" / "benchmarks" / "scale"
FIGURES = "scale.json"

PROMOTE_GOAL_S, UNCHANGED_GOAL_S = 60.0, 8.0
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        images: How many images a run promotes.
        workers: With how many workers some images are promoted.
        images_by_workers: How many images those are.
        usual_workers: How many tasks run at a time in all else.
    """

    images: tuple[int, ...]
    workers: tuple[int, ...]
    images_by_workers: int
    usual_workers: int = 4


FULL = Sizes((50, 100, 300, 1000), (1, 2, 4, 8), 200)
QUICK = Sizes((20, 100), (1, 4), 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write what was measured.

    Args:
        arguments: What follows the program's name; None for this process's own.

    Returns:
        The exit status: 0 when the goals are met, or were not measured; 1 else.
    """
    parser = argparse.ArgumentParser(prog="benchmarks/scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth, to try the harness")
    parser.add_argument("--only", choices=("runs", "scans", "sizing"), help="one part alone")
    parser.add_argument("--publish", action="store_true", help=f"write the figures into {PAGE}")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"a folder ({RESULTS})")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", highlight=False, markup=False)

    file = options.results / FIGURES
    measured = Measurements(Machine.here())
    if options.only and file.exists():
        measured = Measurements.read(file)
    # Registries, which are Go, spend half of their time on collecting garbage from a few megabytes.
    os.environ.setdefault("GOGC", "1000")
    try:
        if options.only in (None, "runs"):
            measured = _measure_runs(measured, QUICK if options.quick else FULL, say)
            measured.write(file)
        if options.only in (None, "scans"):
            measured = _measure_scans(measured, quick=options.quick, say=say)
            measured.write(file)
    except RunFailedError as error:
        say(str(error))
        return 1
    _show(measured)
    parts = {"figures": figures(measured)}
    for name, plot in _plots(measured).items():
        (options.results / f"scale-{name}.svg").write_text(draw(plot))
    try:
        costs = sizing.Costs.of(measured)
    except ValueError as error:
        say(f"nothing is simulated: {error}")
    else:
        days = [sizing.simulate(site, costs) for site in sizing.SITES]
        parts["sizes"] = sizing.table(days)
        sys.stdout.write(parts["sizes"])
    if options.publish:
        publish(PROJECT / PAGE, parts, _plots(measured))
    say(f"figures and plots are in {options.results}")
    return 0 if _goals_are_met(measured) else 1


def _measure_runs(measured: Measurements, sizes: Sizes, say: Say) -> Measurements:
    by_images = [Batch(f"images-{each}", each) for each in sizes.images]
    by_workers = {each: Batch(f"workers-{each}", sizes.images_by_workers) for each in sizes.workers}
    with (
        tempfile.TemporaryDirectory(dir=_fast_folder(), prefix="scale-") as folder,
        RunSite.start(
            Path(folder),
            [*by_images, *by_workers.values()],
            workers=max(*sizes.workers, sizes.usual_workers),
            say=say,
        ) as site,
    ):

        def run(batch: Batch, *, images: int, workers: int = sizes.usual_workers) -> RunTook:
            took = site.run(batch, images=images, workers=workers)
            verified = (
                "" if took.verified_s is None else f"all verified after {took.verified_s:.1f} s, "
            )
            say(
                f"{images:,} new images of {batch.images:,}, {workers} workers: {verified}"
                f"run ended after {took.wall_s:.1f} s (load {took.load:.1f})"
            )
            return took

        runs = tuple(run(each, images=each.images) for each in by_images)
        unchanged = run(by_images[-1], images=0)
        varied = tuple(
            run(batch, images=batch.images, workers=workers)
            for workers, batch in by_workers.items()
        )
    return replace(
        measured, machine=Machine.here(), runs=runs, unchanged=unchanged, by_workers=varied
    )


def _measure_scans(measured: Measurements, *, quick: bool, say: Say) -> Measurements:
    with tempfile.TemporaryDirectory(dir=_fast_folder(), prefix="scale-") as folder:
        wanted = timed_scans.scans(quick=quick)
        return replace(measured, scans=timed_scans.measure(Path(folder), wanted, say=say))


def _fast_folder() -> str | None:
    """Return memory, where there is some: what is measured is not the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of our own within


def _goals_are_met(measured: Measurements) -> bool:
    thousand = next((each for each in measured.runs if each.images >= 1000), None)  # noqa: PLR2004 - the goal's number
    if thousand is None or measured.unchanged is None:
        return True
    return (
        thousand.verified_s or 0.0
    ) <= PROMOTE_GOAL_S and measured.unchanged.wall_s <= UNCHANGED_GOAL_S


def _show(measured: Measurements) -> None:
    console = Console()
    runs = Table(title="runs in Airflow", title_justify="left", box=None, pad_edge=False)
    for heading in ("images", "workers", "verified s", "ended s", "processor s", "load", "stages"):
        runs.add_column(heading)
    unchanged = () if measured.unchanged is None else (measured.unchanged,)
    for each in (*measured.runs, *unchanged, *measured.by_workers):
        runs.add_row(
            f"{each.images:,}",
            str(each.workers),
            "" if each.verified_s is None else f"{each.verified_s:.1f}",
            f"{each.wall_s:.1f}",
            ", ".join(f"{name} {seconds:.0f}" for name, seconds in each.processor_s.items()),
            f"{each.load:.1f}",
            ", ".join(
                f"{stage.task.removeprefix('promote.')} x{stage.instances} "
                f"{stage.from_s:.0f}-{stage.to_s:.0f}"
                for stage in each.stages
            ),
        )
    scans = Table(title="scans", title_justify="left", box=None, pad_edge=False)
    for heading in (
        "",
        "tags",
        "seconds",
        "ours s",
        "registry s",
        "peak MB",
        "grown MB",
        "requests",
    ):
        scans.add_column(heading)
    for scan in measured.scans:
        scans.add_row(
            scan.title,
            f"{scan.tags:,}",
            f"{scan.wall_s:.2f}",
            f"{scan.processor_s:.2f}",
            f"{scan.registry_s:.2f}",
            f"{scan.peak_bytes / MB:.0f}",
            f"{scan.grown_bytes / MB:.1f}",
            ", ".join(f"{count:,} {kind}" for kind, count in scan.requests.items()),
        )
    console.print(runs, scans)


def _plots(measured: Measurements) -> dict[str, Plot]:
    plots = {}
    if measured.runs:
        verified = [(each.images, each.verified_s or 0.0) for each in measured.runs]
        ended = [(each.images, each.wall_s) for each in measured.runs]
        plots["images"] = Plot(
            "Images of one run, Airflow on SQLite, 4 workers",
            "new images",
            "seconds",
            (Curve("run ended", at_points(ended)), Curve("all verified", at_points(verified))),
            goal=PROMOTE_GOAL_S,
        )
    if measured.by_workers:
        rates = [(each.workers, each.images / each.wall_s) for each in measured.by_workers]
        plots["workers"] = Plot(
            f"{measured.by_workers[0].images} images by workers, {measured.machine.processors} "
            "processors",
            "tasks at a time",
            "images a second",
            (Curve("images a second", at_points(rates)),),
        )
    whole = [each for each in measured.scans if each.looked_up == each.tags]
    if whole:
        plots["tags"] = Plot(
            "A scan of one repository, every tag matters",
            "tags",
            "seconds",
            (Curve("seconds", at_points([(each.tags, each.wall_s) for each in whole])),),
        )
        plots["memory"] = Plot(
            "Memory of a scan, every tag matters",
            "tags",
            "MB",
            (
                Curve("peak", at_points([(each.tags, each.peak_bytes / MB) for each in whole])),
                Curve(
                    "of it the scan",
                    at_points([(each.tags, each.grown_bytes / MB) for each in whole]),
                ),
            ),
        )
    return plots


if __name__ == "__main__":
    sys.exit(main())
