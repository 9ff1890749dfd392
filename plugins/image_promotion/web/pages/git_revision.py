"""The Git revision of a policy file, where the folder of policies lies in a Git repository.

Git is asked by its program, which reads nothing else and runs nothing: no hook, no transport, no
signature check. Whose repository it may read is decided by Git itself (`safe.directory`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from image_promotion.web.api.models import GitState, Revision

TIMEOUT_S = 2.0
KEPT_S = 30.0
MAX_KEPT = 1_000

_MAX_AUTHOR_CHARACTERS = 100
_FORMAT = "--format=%H%x00%ct%x00%an"

_SETTINGS = (
    *("-c", "log.showSignature=false"),
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
)


class GitRevisions:
    """Asks Git about files, and keeps what it said for a while.

    Args:
        git: The program; None where there is none.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        git: str | None = shutil.which("git"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._git = git
        self._clock = clock
        self._lock = Lock()
        self._kept: dict[Path, tuple[float, Revision]] = {}

    def of(self, path: Path) -> Revision:
        """Return the revision of a file; never fails.

        Args:
            path: The file.

        Returns:
            What Git says of it, not older than KEPT_S.
        """
        if self._git is None:
            return Revision(state=GitState.NONE)
        now = self._clock()
        with self._lock:
            kept = self._kept.get(path)
        if kept is not None and now - kept[0] < KEPT_S:
            return kept[1]
        answer = self._ask(self._git, path)
        with self._lock:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[path] = now, answer
        return answer

    def _ask(self, git: str, path: Path) -> Revision:
        try:
            file = path.resolve(strict=True)
            if not any((parent / ".git").exists() for parent in file.parents):
                return Revision(state=GitState.NONE)
            deadline = time.monotonic() + TIMEOUT_S
            log = _run(git, file.parent, ("log", "-1", _FORMAT, "--", file.name), deadline)
            if not log:
                return Revision(state=GitState.UNCOMMITTED)
            commit, seconds, author = log.decode(errors="replace").rstrip("\n").split("\0")
            is_same = _blob(git, file, commit, deadline) == file.read_bytes()
            return Revision(
                state=GitState.COMMITTED if is_same else GitState.CHANGED,
                commit=commit,
                at=datetime.fromtimestamp(int(seconds), UTC),
                author=author[:_MAX_AUTHOR_CHARACTERS],
            )
        except (OSError, subprocess.SubprocessError, ValueError, OverflowError):
            return Revision(state=GitState.UNREADABLE)


def _blob(git: str, file: Path, commit: str, deadline: float) -> bytes | None:
    """Return what a commit holds of a file; None where the commit removed it."""
    try:
        return _run(git, file.parent, ("cat-file", "blob", f"{commit}:./{file.name}"), deadline)
    except subprocess.CalledProcessError:
        return None


def _run(git: str, folder: Path, command: tuple[str, ...], deadline: float) -> bytes:
    """Run Git in a folder, and return what it prints.

    Raises:
        SubprocessError: It fails, or takes too long.
    """
    done = subprocess.run(  # noqa: S603 - no shell; names of files stand behind `--` or `:./`
        (git, "--no-pager", *_SETTINGS, *command),
        cwd=folder,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.environ.get("HOME", os.sep),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=max(deadline - time.monotonic(), 0.01),
        check=True,
    )
    return done.stdout
