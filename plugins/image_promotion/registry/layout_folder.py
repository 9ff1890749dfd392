"""One layout directory on disk: opened without following links, written so that a crash costs none.

Everything here blocks; ``layout`` calls it in threads. A directory may come from anybody, so that
nothing beneath the root may be a link, a device or a pipe. A file is replaced whole or not at all:
it is written beside its place, brought to the disk, and renamed.

Source: OCI Image Specification 1.1, "OCI Image Layout Specification".
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from image_promotion.errors import (
    DeniedError,
    ProtocolViolationError,
    RegistryError,
    Subject,
    UnsupportedContentError,
)
from image_promotion.registry.digest import Digest
from image_promotion.registry.layout_index import (
    EMPTY_INDEX,
    LAYOUT_MARKER,
    MAX_INDEX_BYTES,
    check_marker,
)
from image_promotion.registry.reference import is_repository

MARKER = "oci-layout"
INDEX = "index.json"
BLOBS = "blobs"
OWN_NAMES = frozenset({MARKER, INDEX, BLOBS})
"""What lies in each layout directory, so that no repository can lie there."""

MAX_FOLDERS = 100_000
"""How many folders are looked at for repositories, before the root is taken for a wrong one."""

_LOCK = ".index.lock"
_INCOMING = ".incoming-"
_ABANDONED_AFTER_S = 24 * 3600
_MAX_MARKER_BYTES = 1024


class LayoutFolder:
    """One repository's layout directory.

    Args:
        root: The folder of all repositories; absolute, and without links.
        repository: The repository, as a path beneath it; its name is known to be well-formed.
    """

    def __init__(self, root: Path, repository: str) -> None:
        self._root = root
        self._path = root.joinpath(*repository.split("/"))
        self._subject = Subject(registry=str(root), repository=repository)

    def exists(self) -> bool:
        """Say whether there is a layout, which its marker file shows.

        Raises:
            ProtocolViolationError: There is something that is none, or of another version.
        """
        content = self._read(self._path / MARKER, _MAX_MARKER_BYTES)
        if content is None:
            return False
        with self._errors_about():
            check_marker(content)
        return True

    def make(self) -> None:
        """Make the layout ready to be written: an empty one where there is none yet.

        What writers left that were killed a day ago and longer is removed.
        """
        with self._os_errors("making the layout directory"):
            self._refuse_links(self._path)
            self._path.mkdir(parents=True, exist_ok=True)
        if not self.exists():
            # The marker comes last: a layout that has one has an index.
            with self.locked():
                if self.read_index() is None:
                    self.replace_index(EMPTY_INDEX)
                self._replace(self._path / MARKER, LAYOUT_MARKER)
        self._remove_abandoned()

    def read_index(self) -> bytes | None:
        """Return ``index.json``; None when there is none.

        Raises:
            UnsupportedContentError: It is larger than MAX_INDEX_BYTES.
        """
        return self._read(self._path / INDEX, MAX_INDEX_BYTES)

    def replace_index(self, content: bytes) -> None:
        """Put another ``index.json`` in the place of the one that is there; under the lock."""
        self._replace(self._path / INDEX, content)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers of ``index.json`` out, in this process and in others.

        The kernel lets go of the lock when its holder ends, however that happens.

        Raises:
            BlockingIOError: Another writer is in; the caller waits and tries again.
        """
        with self._os_errors("locking the layout's index.json"):
            lock = _open(self._path / _LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(lock)

    def open_blob(self, digest: Digest) -> BinaryIO | None:
        """Open a blob for reading; None when there is none.

        Raises:
            ProtocolViolationError: In its place is a link, or something else that is no file.
        """
        path = self._blob_path(digest)
        with self._os_errors("reading the blob", digest):
            return self._open_file(path)

    def read_blob(self, digest: Digest, limit_bytes: int) -> bytes | None:
        """Return the beginning of a blob, one byte more than the limit at most; None without one.

        Raises:
            ProtocolViolationError: In its place is a link, or something else that is no file.
        """
        blob = self.open_blob(digest)
        if blob is None:
            return None
        with self._os_errors("reading the blob", digest), blob:
            return blob.read(limit_bytes + 1)

    def blob_size(self, digest: Digest) -> int | None:
        """Return a blob's size in bytes; None when there is none."""
        blob = self.open_blob(digest)
        if blob is None:
            return None
        with blob:
            return os.fstat(blob.fileno()).st_size

    def write_blob(self, digest: Digest, content: bytes) -> None:
        """Store a short blob, whose bytes the caller knows to be the digest's."""
        incoming = self.begin_blob(digest)
        try:
            incoming.write(content)
            incoming.commit()
        finally:
            incoming.discard()

    def begin_blob(self, digest: Digest) -> IncomingBlob:
        """Begin to write a blob beside its place."""
        path = self._blob_path(digest)
        with self._os_errors("writing the blob", digest):
            self._refuse_links(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            return IncomingBlob(self, path, digest)

    def link_blob(self, digest: Digest, other: LayoutFolder) -> bool:
        """Share a blob with another repository by a second name of one file.

        Returns:
            Whether the file system does that.
        """
        place = self._blob_path(digest)
        with self._os_errors("sharing the blob", digest):
            self._refuse_links(place.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            beside = _beside(place)
            try:
                os.link(other._blob_path(digest), beside, follow_symlinks=False)
            except OSError:
                return False
            _put_in_place(beside, place)
        return True

    def refuse(self, error: OSError, action: str, digest: Digest | None = None) -> NoReturn:
        """Raise what an error of the operating system means here."""
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        kind, advice = _KINDS.get(error.errno or 0, (RegistryError, ""))
        raise kind(
            f"{action} failed: {reason}", subject=self._about(digest), advice=advice
        ) from error

    def _about(self, digest: Digest | None) -> Subject:
        text = None if digest is None else str(digest)
        return Subject(self._subject.registry, self._subject.repository, digest=text)

    def _blob_path(self, digest: Digest) -> Path:
        # Parsed again, since a digest that was made by hand could hold a path.
        known = Digest.parse(str(digest))
        return self._path / BLOBS / known.algorithm / known.encoded

    def _read(self, path: Path, limit_bytes: int) -> bytes | None:
        with self._os_errors(f"reading {path.name}"):
            opened = self._open_file(path)
            if opened is None:
                return None
            with opened:
                content = opened.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise UnsupportedContentError(
                f"the layout's file {path.name} is larger than {limit_bytes} bytes",
                subject=self._subject,
            )
        return content

    def _open_file(self, path: Path) -> BinaryIO | None:
        self._refuse_links(path.parent)
        try:
            # Not blocking: to open a pipe would wait for somebody who writes into it.
            descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._hostile(path, "is no file")
        return os.fdopen(descriptor, "rb")

    def _refuse_links(self, folder: Path) -> None:
        """Refuse a way that leads over a link, wherever it leads.

        Source: none; a layout needs no links, and one that leads out of the root would let whoever
        made it have any file of this machine copied to a registry, or overwritten.
        """
        if os.path.realpath(folder) != str(folder):
            raise self._hostile(folder, "is reached over a symbolic link")

    def _hostile(self, path: Path, rule: str) -> ProtocolViolationError:
        return ProtocolViolationError(
            f"the layout is refused: {path.relative_to(self._root)} {rule}",
            subject=self._subject,
            advice="Layouts hold plain files and folders only; make it again without links.",
        )

    def _replace(self, path: Path, content: bytes) -> None:
        with self._os_errors(f"writing {path.name}"):
            beside = _beside(path)
            try:
                with os.fdopen(_create(beside), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                _put_in_place(beside, path)
            finally:
                beside.unlink(missing_ok=True)

    def _remove_abandoned(self) -> None:
        oldest_s = time.time() - _ABANDONED_AFTER_S
        for folder in (self._path, *(self._path / BLOBS).glob("*")):
            for path in folder.glob(f"{_INCOMING}*"):
                with suppress(OSError):
                    if path.lstat().st_mtime < oldest_s:
                        path.unlink()

    @contextmanager
    def _os_errors(self, action: str, digest: Digest | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ProtocolViolationError(
                    f"{action} failed: in its place is a symbolic link",
                    subject=self._about(digest),
                ) from error
            self.refuse(error, action, digest)

    @contextmanager
    def _errors_about(self) -> Iterator[None]:
        try:
            yield
        except ProtocolViolationError as error:
            error.about(self._subject)
            raise


class IncomingBlob:
    """A blob that is being written; nothing of it is seen before ``commit``.

    Args:
        folder: The layout.
        place: Where it goes.
        digest: What it is to be.
    """

    def __init__(self, folder: LayoutFolder, place: Path, digest: Digest) -> None:
        self._folder = folder
        self._place = place
        self._digest = digest
        self._beside = _beside(place)
        self._hasher = digest.hasher()
        self._file = os.fdopen(_create(self._beside), "wb")
        self.size_bytes = 0

    @property
    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(self._digest.algorithm, self._hasher.hexdigest())

    def write(self, content: bytes) -> None:
        """Add bytes."""
        self._hasher.update(content)
        self.size_bytes += len(content)
        try:
            self._file.write(content)
        except OSError as error:
            self._folder.refuse(error, "writing the blob", self._digest)

    def commit(self) -> None:
        """Bring the bytes to the disk, and into their place."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _put_in_place(self._beside, self._place)
        except OSError as error:
            self._folder.refuse(error, "writing the blob", self._digest)

    def discard(self) -> None:
        """Leave nothing behind, unless it was committed."""
        with suppress(OSError):
            self._file.close()
        self._beside.unlink(missing_ok=True)


def find_layouts(root: Path) -> list[str]:
    """Find the repositories beneath a root folder; links are not followed.

    Args:
        root: The folder; absolute, and without links.

    Returns:
        Their names, in order.

    Raises:
        ProtocolViolationError: One of them is broken.
        RegistryError: There are more than MAX_FOLDERS folders.
    """
    found: list[str] = []
    for position, (name, inner, _) in enumerate(os.walk(root)):
        if position >= MAX_FOLDERS:
            raise RegistryError(
                f"listing the repositories failed: there are more than {MAX_FOLDERS} folders",
                subject=Subject(str(root)),
                advice="The root folder should hold layouts and nothing else.",
            )
        full = Path(name).relative_to(root).as_posix()
        if is_repository(full) and LayoutFolder(root, full).exists():
            found.append(full)
            inner[:] = [each for each in inner if each != BLOBS]
    return sorted(found)


def _beside(path: Path) -> Path:
    return path.with_name(f"{_INCOMING}{secrets.token_hex(8)}")


def _create(path: Path) -> int:
    return _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _put_in_place(beside: Path, place: Path) -> None:
    # rename() leaves both names where they are one file already, as after a link to it.
    beside.replace(place)
    beside.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # else the name may be gone after a power cut, though the bytes are there
    finally:
        os.close(folder)


_KINDS: dict[int, tuple[type[RegistryError], str]] = {
    errno.EACCES: (DeniedError, "Check the owner and the rights of the directory."),
    errno.EPERM: (DeniedError, "Check the owner and the rights of the directory."),
    errno.EROFS: (DeniedError, "The file system is read-only."),
    errno.ENOSPC: (RegistryError, "Make room on the disk."),
    errno.EDQUOT: (RegistryError, "Make room in the disk quota."),
}
