"""The command ``scripts/soak``: runs one of the long tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

WRONG_USAGE = 2


@dataclass(frozen=True, slots=True)
class Command:
    """One of the long tests.

    Attributes:
        module: Has a function ``main``, which takes what stands after the command's name and
            returns the exit status: 0 when nothing was found.
        summary: What it does, in a line.
    """

    module: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "schedules": Command("tests.soak.schedules", "runs between faulty registries, then a check"),
    "kills": Command("tests.soak.kills", "tasks killed at any request and any commit"),
    "airflow": Command("tests.soak.airflow_kills", "scheduler and API server killed meanwhile"),
    "rivals": Command("tests.soak.rivals", "two schedulers and a command on one policy at once"),
    "ledger": Command("tests.soak.ledger_troubles", "a ledger that is down, locked, full or old"),
    "fuzz": Command("tests.fuzz.command", "every parser under mutated input"),
    "secrets": Command("tests.soak.leaked_secrets", "secrets looked for after runs that used them"),
}


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name.

    Args:
        arguments: The command line.

    Returns:
        The exit status: 0 when nothing was found, 1 when something was, 2 for wrong usage.
    """
    name, *rest = arguments or [""]
    if command := COMMANDS.get(name):
        found: int = import_module(command.module).main(rest)
        return found
    asks_for_help = name in ("-h", "--help")
    lines = [f"  {each:10} {command.summary}" for each, command in COMMANDS.items()]
    usage = "\n".join(["usage: scripts/soak COMMAND [--help]", "", *lines])
    (sys.stdout if asks_for_help else sys.stderr).write(f"{usage}\n")
    return 0 if asks_for_help else WRONG_USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
