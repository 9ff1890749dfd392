"""Gives every parser as many mutated inputs as are asked for."""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import documents, grammars
from tests.fuzz.harness import Outcome, Target, run

TARGETS: tuple[Target, ...] = (*grammars.TARGETS, *documents.TARGETS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parsers, and print a line for each.

    Args:
        arguments: What stands after the name of the program.

    Returns:
        0 when no parser did anything but to read or to refuse.
    """
    options = _options(arguments)
    chosen = [each.name for each in TARGETS if options.only in each.name]
    began_s = time.monotonic()
    found = 0
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.processes, spawn) as pool:
        runs = {pool.submit(_run, name, options.seed, options.count): name for name in chosen}
        for done in concurrent.futures.as_completed(runs):
            outcome = done.result()
            found += len(outcome.finds)
            _print(outcome, options.keep)
    total = len(chosen) * options.count
    took_s = time.monotonic() - began_s
    print(f"{total} inputs, seed {options.seed}, {took_s:.0f} s: {found or 'no'} finds")  # noqa: T201 - a program prints
    return 1 if found else 0


def target_named(name: str) -> Target:
    """Return a parser by its name."""
    return next(each for each in TARGETS if each.name == name)


def _run(name: str, seed: int, count: int) -> Outcome:
    return run(target_named(name), seed=seed, count=count)


def _print(outcome: Outcome, keep: Path | None) -> None:
    print(  # noqa: T201 - a program prints
        f"{outcome.target:28} {outcome.read:8} read {outcome.refused:8} refused, "
        f"slowest {outcome.slowest_s * 1000:6.1f} ms",
        flush=True,
    )
    for find in outcome.finds:
        print(f"  input {find.number}: {find.what}", flush=True)  # noqa: T201 - a program prints
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{outcome.target.replace(' ', '-')}-{find.number}").write_bytes(find.content)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each parser")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other inputs")
    parser.add_argument("--only", default="", help="only parsers whose name holds this text")
    parser.add_argument("--processes", type=int, default=2, help="how many work at once")
    parser.add_argument("--keep", type=Path, help="a folder for inputs that were neither")
    return parser.parse_args(arguments)
