"""A child process that cannot outlive us, even when we are killed with SIGKILL.

The child gets a session of its own, so that Ctrl-C reaches only us and we end things in our order.
A shell in that session waits at a socket whose other end we hold: when we are gone, however that
came, the kernel closes it, and the shell kills its session, in which are also the process groups
that the program made for its own children. (Linux has PR_SET_PDEATHSIG for this, but that signal
comes when the *thread* that started the child ends, and setting it takes a preexec_fn, which is not
safe in a program with threads.)
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

# The program takes the place of the shell that started it, so its process id, which is also the
# group's and the session's, is the one Popen knows; as long as the watching shell is in the session
# no other process gets that id. It looks for members until there are none but itself: a member may
# start another meanwhile. In /proc/PID/stat the state, the parent, the group and the session follow
# the program's name, which may hold anything, even a parenthesis; a zombie (Z) is dead already.
# `kill 0` means the own group, for where there is no /proc.
_SHELL = """
exec 3<&0 </dev/null
session=$$
{
    read -r _ <&3
    read -r own _ </proc/self/stat
    found=yes
    while [ $found = yes ]; do
        found=no
        for stat in /proc/[0-9]*/stat; do
            read -r line 2>/dev/null <"$stat" || continue
            set -- ${line##*) }
            pid=${stat#/proc/} pid=${pid%/stat}
            if [ "$4" = "$session" ] && [ "$1" != Z ] && [ "$pid" != "$own" ]; then
                kill -KILL "$pid" && found=yes
            fi
        done
    done 2>/dev/null
    kill -KILL 0
} &
exec "$@" 3<&-
"""


_LAST_WAIT_S = 30.0


class LeashedProcess:
    """A running program in a process group of its own; make it with ``start``, ``end`` it.

    Args:
        process: The program's process.
        leash: Our end of the socket that the watching shell waits at.
    """

    def __init__(self, process: subprocess.Popen[bytes], leash: socket.socket) -> None:
        self._process = process
        self._leash = leash

    @classmethod
    def start(
        cls,
        command: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a program.

        Args:
            command: The program and its arguments.
            log: A file that takes what it writes to standard output and error; emptied first.
            folder: Its working directory; None for ours.
            environment: Its whole environment; None for ours.

        Returns:
            The running program; one that cannot be executed ends at once with status 126 or 127.
        """
        leash, its_end = socket.socketpair()
        with its_end, log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, "leash", *command],
                cwd=folder,
                env=environment,
                stdin=its_end.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(process, leash)

    @property
    def pid(self) -> int:
        """The program's process id, which is also that of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """The status it ended with, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Ask the program to end, and do not wait for it; safe to repeat."""
        if self.running:
            self._process.terminate()

    def end(self, *, grace_s: float = 5.0) -> None:
        """Ask the program to end, then end it and what is left of its session; safe to repeat.

        Args:
            grace_s: Seconds it gets to end by itself.
        """
        self.ask_to_end()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        with suppress(OSError):  # it has been ended before
            self._leash.shutdown(socket.SHUT_WR)
            # The shell alone holds the other end, and is the last of its session to go.
            self._leash.settimeout(_LAST_WAIT_S)
            self._leash.recv(1)
        self._leash.close()
        self._process.kill()
        self._process.wait()
