"""Writing a policy file, where the operator turned that on: whole or not at all, and nothing else.

The file is made beside its place and moved there, so that whoever reads the folder finds the old
text or the new one. Nothing but files of the folder itself is written, and no link is followed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from image_promotion.errors import PolicyError
from image_promotion.policy.loading import SUFFIXES
from image_promotion.policy.yaml_document import MAX_FILE_BYTES

MAY_SAVE_VARIABLE = "IMAGE_PROMOTION_PAGE_MAY_SAVE"

_NEW_MODE = 0o666  # less what the process masks, as for any file that a program makes


class ChangedMeanwhileError(PolicyError):
    """The file is not what it was when the form was opened.

    Args:
        file: The file.
        now: What it holds now; None where it is gone.
    """

    def __init__(self, file: Path, now: bytes | None) -> None:
        gone = "is gone" if now is None else "has changed"
        super().__init__(
            f"{gone} since the form was opened",
            file=file,
            advice="Look at both, and begin again from the file as it is now.",
        )
        self.now = now


def may_save() -> bool:
    """Return whether the operator lets the page write into the folder of policies."""
    return os.environ.get(MAY_SAVE_VARIABLE, "").strip().lower() in {"yes", "true", "1", "on"}


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """The folder of policies, to be written to.

    Args:
        path: The folder.
    """

    path: Path

    def add(self, name: str, content: bytes) -> Path:
        """Write the file of a new policy.

        Args:
            name: The policy's name, which is a valid one.
            content: The text.

        Returns:
            The file.

        Raises:
            PolicyError: There is a file of this name, or the folder cannot be written to.
        """
        file = self.path / f"{name}.yaml"
        with self._locked(file) as folder, _temporary(folder, content, _NEW_MODE) as temporary:
            for suffix in SUFFIXES:
                if _kind(folder, f"{name}{suffix}") is not None:
                    raise _taken(file.with_suffix(suffix))
            try:
                # Unlike a move, this fails where something is.
                os.link(temporary, file.name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                raise _taken(file) from None
        return file

    def change(self, file_name: str, content: bytes, *, base: bytes) -> Path:
        """Write another text into a policy's file.

        Args:
            file_name: The file's name in the folder.
            content: The new text.
            base: What it held when the form was opened.

        Returns:
            The file.

        Raises:
            ChangedMeanwhileError: It holds something else now.
            PolicyError: It is no file of the folder, or the folder cannot be written to.
        """
        file = self.path / file_name
        if Path(file_name).name != file_name or file.suffix not in SUFFIXES:
            raise PolicyError("is no policy file", file=file)
        with self._locked(file) as folder:
            kind = _kind(folder, file_name)
            if kind is None:
                raise ChangedMeanwhileError(file, None)
            if not stat.S_ISREG(kind):
                raise PolicyError(
                    "is a link or no file at all",
                    file=file,
                    advice="Change what it leads to; this page follows no links.",
                )
            now = _read(folder, file_name)
            if now != base:
                raise ChangedMeanwhileError(file, now)
            with _temporary(folder, content, stat.S_IMODE(kind)) as temporary:
                os.replace(temporary, file_name, src_dir_fd=folder, dst_dir_fd=folder)
        return file

    @contextmanager
    def _locked(self, file: Path) -> Iterator[int]:
        """Open the folder, one writer of ours after the other, and keep what was done."""
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _unwritable(file, error) from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
            os.fsync(folder)
        except OSError as error:
            raise _unwritable(file, error) from None
        finally:
            os.close(folder)


@contextmanager
def _temporary(folder: int, content: bytes, mode: int) -> Iterator[str]:
    """Write a file that no reader of policies looks at, and that is gone afterwards."""
    name = f".{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    written = os.open(name, flags, mode, dir_fd=folder)
    try:
        with os.fdopen(written, "wb") as opened:
            opened.write(content)
            opened.flush()
            if mode != _NEW_MODE:
                os.fchmod(opened.fileno(), mode)
            os.fsync(opened.fileno())
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _kind(folder: int, name: str) -> int | None:
    """Return the mode of what has a name; None where nothing has."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _read(folder: int, name: str) -> bytes:
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(opened, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _taken(file: Path) -> PolicyError:
    return PolicyError(
        "is there already, and a new policy overwrites nothing",
        file=file,
        key="name",
        allowed="a name of its own for each policy",
    )


def _unwritable(file: Path, error: OSError) -> PolicyError:
    return PolicyError(
        f"cannot be written: {error.strerror}",
        file=file,
        advice="Let Airflow's server write into the folder of policies, or copy the text and "
        "propose it as a change of the folder.",
    )
