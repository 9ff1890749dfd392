"""Whole processes and what they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 900
_LAUNCHER = Path(__file__).with_name("launcher.py")
_LAST_WORDS = 2000


class ProgramFailedError(Exception):
    """A program under test did not do its work."""


@dataclass(frozen=True, slots=True)
class Took:
    """What one process took, from its start to its end.

    Args:
        wall_s: Seconds by the clock.
        processor_s: Seconds of processor, its own and the system's on its behalf.
        peak_bytes: The most memory that it had resident.
    """

    wall_s: float
    processor_s: float
    peak_bytes: int


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Took:
    """Run a program to its end.

    Args:
        command: The program and its arguments.
        environment: What to add to, or change in, this process's environment.
        folder: Its working directory.

    Returns:
        What it took.

    Raises:
        ProgramFailedError: It failed, or did not end in time; with the end of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        figures = Path(scratch) / "figures.json"
        said = Path(scratch) / "said"
        # To files, so that nobody has to read along: a reader would take processor from the rest.
        with said.open("wb") as output:
            try:
                subprocess.run(
                    [sys.executable, "-I", "-S", str(_LAUNCHER), str(figures), *command],
                    env=os.environ | environment,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=LIMIT_S,
                    check=True,
                )
            except subprocess.SubprocessError as error:
                raise ProgramFailedError(f"{' '.join(command[:3])}: {error}") from error
        took = json.loads(figures.read_text())
        if took.pop("exit_code") != 0:
            words = said.read_text(errors="replace")[-_LAST_WORDS:]
            raise ProgramFailedError(f"{' '.join(command)} failed:\n{words}")
    return Took(**took)
