"""The command `benchmarks/run`: peers and ours, alternating, as whole processes.

Each run of each contender starts from the same place (see `workloads.Start`); the order of the
contenders turns by one every round, so that none always comes first or after the same neighbour.
After each run the target is asked for its tags: who did not do the work is no contender.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from rich.console import Console

from benchmarks import contenders, figures, ours, plot
from benchmarks.contenders import Contender, Job
from benchmarks.registries import (
    FOLDER,
    empty_target,
    filled_source,
    forget_repository,
    tags_of,
)
from benchmarks.timed_process import ProgramFailedError, Took, run
from benchmarks.workloads import Start, Workload, workloads
from sandbox.registry_process import RegistryProcess

_console = Console(stderr=True)
_numbers = count()
_MANY_BYTES = 2_000_000_000
_STARTS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 when every contender did its work."""
    options = _parser().parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            # Two at once would empty each other's target, and measure each other.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _console.print("another run of the benchmarks is under way here")
            return 2
        return _compare(options)


def _compare(options: argparse.Namespace) -> int:
    """Measure the chosen workloads, print and save."""
    chosen = [
        each
        for each in workloads(quick=options.quick)
        if not options.workload or each.name in options.workload
    ]
    present = _present()
    versions = {each.program: contenders.version_of(each) for each in present}
    field = [
        *(each for each in present if not options.only or each.name in options.only),
        ours.whole(),
        *([] if options.no_client_alone else [ours.alone()]),
        *(ours.whole(f"ours, {name}") for name in options.variant),
    ]
    for plugins in options.variant.values():
        _start(plugins)
    startup_s = _startup_s()
    _console.print(f"ours takes {startup_s:.2f} s to start and do nothing", highlight=False)
    results, failures = [], []
    for workload in chosen:
        rounds = 1 if workload.moved_bytes >= _MANY_BYTES else options.rounds
        result, failed = _measure(workload, field, rounds, options.variant)
        results.append(result)
        failures += failed
        Console().print(figures.table(result), "")
    options.output.mkdir(parents=True, exist_ok=True)
    figures.save(
        results,
        options.output / "results.json",
        versions=versions,
        rounds=options.rounds,
        startup_s=startup_s,
    )
    (options.output / "results.svg").write_text(plot.draw(results))
    (options.output / "results.md").write_text(figures.markdown(results, startup_s) + "\n")
    _console.print(f"written: results.json, results.svg, results.md in {options.output}")
    for failure in failures:
        _console.print(failure, markup=False)
    return 1 if failures else 0


def _measure(
    workload: Workload, field: Sequence[Contender], rounds: int, variants: dict[str, Path]
) -> tuple[figures.Result, list[str]]:
    """Let everybody who fits do a workload, some rounds."""
    runs: dict[str, list[Took]] = defaultdict(list)
    commands: dict[str, str] = {}
    failures: dict[str, str] = {}
    taking_part = [each for each in field if each.fits(workload)]
    with _console.status(f"{workload.name}: filling the source"), filled_source(workload) as source:
        for number in range(-1, rounds):
            turned = (
                taking_part[number % len(taking_part) :] + taking_part[: number % len(taking_part)]
            )
            for each in turned:
                is_warming_up = number < 0
                if each.name in failures or (is_warming_up and not _warms_up(each, workload)):
                    continue
                plugins = variants.get(each.name.removeprefix("ours, "))
                try:
                    took, commands[each.name] = _one_run(each, workload, source, plugins)
                except ProgramFailedError as error:
                    failures[each.name] = f"{workload.name}: {each.name} is left out: {error}"
                    runs.pop(each.name, None)
                    continue
                if not is_warming_up:
                    runs[each.name].append(took)
                _console.print(
                    f"{workload.name} round {number + 1}/{rounds} {each.name}: "
                    f"{took.wall_s:.2f} s, {took.peak_bytes / figures.MB:.0f} MB",
                    highlight=False,
                )
    series = tuple(
        figures.Series(each.name, commands[each.name], tuple(runs[each.name]))
        for each in taking_part
        if runs[each.name]
    )
    return figures.Result(workload, series), list(failures.values())


def _startup_s() -> float:
    """Measure what ours takes to start with all that a run needs, and end again.

    It is part of each of our figures; an Airflow worker has most of it behind it when a task
    begins.
    """
    return statistics.median(_start(None).wall_s for _ in range(_STARTS))


def _start(plugins: Path | None) -> Took:
    """Start ours and end again; what Python compiles on the way it keeps."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return run(ours.start(), ours.python(plugins), Path(folder))


def _warms_up(contender: Contender, workload: Workload) -> bool:
    """Say whether a contender is run once before the rounds, unmeasured.

    Where it learns nothing that helps, only the disk's cache is warmed, once for all.
    """
    return contender.warm and workload.start is not Start.EMPTY


def _one_run(
    contender: Contender, workload: Workload, source: RegistryProcess, plugins: Path | None
) -> tuple[Took, str]:
    """Prepare one run, make it, and see that the work was done."""
    is_ours = contender.name.startswith(ours.OURS)
    with ExitStack() as opened:
        job = opened.enter_context(_prepared(contender, workload, source))
        if is_ours:
            environment = ours.environment(job, plugins)
        else:
            environment = contenders.peer_environment(job)
        command = contender.command(job)
        took = run(command, environment, job.folder)
        arrived = tags_of(job.target, job.repository)
        if len(arrived) != workload.images:
            raise ProgramFailedError(f"{len(arrived)} of {workload.images} tags arrived")
        return took, contenders.readable(command, job)


@contextmanager
def _prepared(contender: Contender, workload: Workload, source: RegistryProcess) -> Iterator[Job]:
    """Give a run its target and its folder."""
    folder = FOLDER / "homes" / contender.name.replace(" ", "-").replace(",", "")
    keeps_home = contender.warm and workload.start is not Start.EMPTY
    if not keeps_home:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    match workload.start:
        case Start.SAME_REGISTRY:
            # Its last part as in the source, since `skopeo sync` keeps it.
            repository = f"again-{next(_numbers)}/{workload.repository}"
            job = Job(workload, source, source, repository, folder)
            with _ledger(job):
                yield job
            forget_repository(source, repository.partition("/")[0])
        case Start.EMPTY:
            with empty_target() as target:
                job = Job(workload, source, target, workload.repository, folder)
                with _ledger(job):
                    yield job
        case Start.DONE:
            done = _filled_target(workload, source)
            # At the port that the ledger knows the target by.
            with RegistryProcess.start(done / "target", name="target", keep_port=True) as target:
                job = Job(workload, source, target, workload.repository, folder)
                with _ledger(job, done / "ledger.db"):
                    yield job


@contextmanager
def _ledger(job: Job, kept: Path | None = None) -> Iterator[None]:
    """Lay a ledger into a run's folder: an empty one, or one that knows the target's content."""
    if kept is None:
        kept = FOLDER / "empty-ledger" / "ledger.db"
        if not kept.exists():
            ours.make_ledger(kept)
    for old in job.folder.glob("ledger.db*"):
        old.unlink()
    ours.lay_ledger(kept, job)
    yield


def _filled_target(workload: Workload, source: RegistryProcess) -> Path:
    """Let ours promote everything once, and keep the target with the ledger that knows of it."""
    done = FOLDER / "done" / workload.repository.replace("/", "-")
    mark = done / "complete"
    if not mark.exists():
        shutil.rmtree(done, ignore_errors=True)
        with RegistryProcess.start(done / "target", name="target") as target:
            ours.make_ledger(done / "ledger.db")
            job = Job(workload, source, target, workload.repository, done)
            command = ours.whole().command(job)
            run(command, ours.environment(job, None), done)
        mark.touch()
    return done


def _present() -> list[Contender]:
    """Return the peers that this machine has; name the others."""
    present: list[Contender] = []
    missing: dict[str, None] = {}
    for each in contenders.peers():
        if contenders.find_program(each.program):
            present.append(each)
        else:
            missing[each.program] = None
    for program in missing:
        _console.print(f"{program} is not here and is left out", highlight=False)
    return present


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__.split("\n")[0])
    names = [each.name for each in workloads(quick=False)]
    parser.add_argument("--workload", action="append", choices=names, help="may be repeated")
    parser.add_argument("--rounds", type=_positive, default=5, help="how many (5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the content, to try it")
    parser.add_argument("--only", action="append", metavar="PEER", help="of the peers, only this")
    parser.add_argument("--no-client-alone", action="store_true", help="leave our copier out")
    parser.add_argument(
        "--variant",
        action=_Variant,
        default={},
        metavar="NAME=FOLDER",
        help="also ours as it stands in another plugins folder; may be repeated",
    )
    parser.add_argument(
        "--output", type=Path, default=FOLDER / "results", help="a folder for the results"
    )
    return parser


class _Variant(argparse.Action):
    """Collects NAME=FOLDER."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        del option_string
        name, separator, folder = str(values).partition("=")
        if not (name and separator and Path(folder).is_dir()):
            parser.error(f"--variant takes NAME=FOLDER, not {values}")
        namespace.variant = namespace.variant | {name: Path(folder).absolute()}


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:6]) > 0:
        return int(text[:6])
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")


if __name__ == "__main__":
    sys.exit(main())
