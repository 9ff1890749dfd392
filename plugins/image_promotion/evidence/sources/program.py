"""A program of somebody else's, run for its output: bounded, with little to see, and never left.

It gets no environment but what it needs, it runs in a session of its own so that its children die
with it, and what it writes to its error output is shown without what looks like a secret.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from image_promotion.errors import EvidenceError
from image_promotion.evidence.sources.source import on_one_line

MAX_COMPLAINT_BYTES = 64 * 1024
"""How much of a program's error output is kept: its end, where the reason stands."""

_SHOWN_CHARACTERS = 500

_ALWAYS = frozenset({"HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LANG", "TZ"})
"""Without these, programs find neither themselves nor their databases."""

ON_THE_NETWORK = frozenset(
    {
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
"""What a program needs besides to fetch its database the way its operator set up."""

_SENSITIVE = re.compile(r"PASS|SECRET|TOKEN|KEY|AUTH|CREDENTIAL|USERNAME|PROXY", re.IGNORECASE)
_LOGIN_IN_URL = re.compile(r"://[^/\s@]+@")
_QUERY_OF_URL = re.compile(r"(https?://[^\s?]+)\?\S+")


def find_program(name: str, path: str | None = None) -> Path | None:
    """Find a program where people install such: on PATH, or in our own Python environment.

    Args:
        name: Its name, such as ``syft``.
        path: The folders that are searched, as PATH has them; None for the environment's own.

    Returns:
        The program; None when there is none.
    """
    found = shutil.which(name, path=path)
    if found is None and path is None:
        found = shutil.which(name, path=str(Path(sys.executable).parent))
    return None if found is None else Path(found)


def environment_for(
    environment: Mapping[str, str], *, prefixes: Sequence[str] = (), names: frozenset[str] = _ALWAYS
) -> dict[str, str]:
    """Choose what a program sees of our environment.

    Args:
        environment: Ours; it holds the secrets of Airflow.
        prefixes: How the names begin that are the program's own, such as ``TRIVY_``.
        names: Further names, besides those that every program needs.

    Returns:
        The program's environment.
    """
    wanted = _ALWAYS | names
    return {
        name: value
        for name, value in environment.items()
        if name in wanted or name.startswith(tuple(prefixes))
    }


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a program.

    Args:
        program: The program.
        arguments: Its arguments; they may be shown.
        environment: All of its environment.
        folder: Where it runs; files of settings in other people's folders are not to be read.
        timeout_s: How long it may take, in seconds.
        limit_bytes: How much output it may give.
    """

    program: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    timeout_s: float
    limit_bytes: int

    @property
    def name(self) -> str:
        """What people call the program."""
        return self.program.name


async def run(call: Call) -> bytes:
    """Run a program to its end and return what it wrote.

    Whatever ends this function, cancellation included, ends the program and its children.

    Args:
        call: The call.

    Returns:
        Its output.

    Raises:
        EvidenceError: It cannot be started, takes too long, gives too much, or says by its exit
            status that it failed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            call.program,
            *call.arguments,
            cwd=call.folder,
            env=dict(call.environment),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise EvidenceError(
            f"{call.name} cannot be started: {error.strerror}",
            advice=f"Install {call.name} again, for the user that Airflow runs as.",
        ) from error
    try:
        async with asyncio.timeout(call.timeout_s):
            output, complaint = await _listen(process, call)
            status = await process.wait()
    except TimeoutError as error:
        raise EvidenceError(
            f"{call.name} was not done after {call.timeout_s:g} s and was ended",
            advice="Large images take long; a database that cannot be fetched does too.",
            retryable=True,
        ) from error
    finally:
        await _end(process)
    if status != 0:
        said = on_one_line(_without_secrets(complaint, call.environment), _SHOWN_CHARACTERS)
        raise EvidenceError(
            f"{call.name} failed with exit status {status}" + (f": {said}" if said else ""),
            advice=f"See what {call.name} says of this image when it is run by hand.",
        )
    return output


async def _listen(process: Process, call: Call) -> tuple[bytes, str]:
    assert process.stdout is not None  # noqa: S101 - both are pipes, as they were asked to be
    assert process.stderr is not None  # noqa: S101
    async with asyncio.TaskGroup() as listeners:
        complaint = listeners.create_task(_end_of(process.stderr))
        pieces: list[bytes] = []
        size_bytes = 0
        while piece := await process.stdout.read(64 * 1024):
            size_bytes += len(piece)
            if size_bytes > call.limit_bytes:
                complaint.cancel()
                break
            pieces.append(piece)
    if size_bytes > call.limit_bytes:
        raise EvidenceError(
            f"{call.name} gave more than {call.limit_bytes} bytes and was ended",
            advice="No report is that large; see what the image is made of.",
        )
    return b"".join(pieces), complaint.result().decode("utf-8", "replace")


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while piece := await stream.read(16 * 1024):
        kept = (kept + piece)[-MAX_COMPLAINT_BYTES:]
    return kept


async def _end(process: Process) -> None:
    """End a program with all that it started; they share its session, unless they left it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Also when we are being cancelled: a process that nobody waits for stays as a zombie.
    await asyncio.shield(process.wait())
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - the pipes' only owner


def _without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Take out of a program's words what it may have from its environment, and logins in URLs."""
    for name, value in environment.items():
        if value and _SENSITIVE.search(name):
            text = text.replace(value, "***")
    text = _LOGIN_IN_URL.sub("://***@", text)
    return _QUERY_OF_URL.sub(r"\1?***", text)
