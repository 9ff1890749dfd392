"""Starts one program and writes what it took: seconds, processor seconds, peak resident memory.

A process of its own, and a small one, run with `python -I -S`: Linux counts the memory that a
process had before its exec into its ru_maxrss, so a program that were started by the harness itself
would never seem smaller than the harness.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run `launcher.py FIGURES PROGRAM ARGUMENTS...`; the environment is passed on."""
    figures, *command = sys.argv[1:]
    started_s = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    took_s = time.perf_counter() - started_s
    with open(figures, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs memory
        json.dump(
            {
                "wall_s": took_s,
                "processor_s": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss * 1024,
                "exit_code": os.waitstatus_to_exitcode(status),
            },
            file,
        )


if __name__ == "__main__":
    main()
