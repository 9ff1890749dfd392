"""The source ``files``: reports that a build wrote into a folder, named by the image's digest.

    sha256-<hex>.json   sha256-<hex>.trivy.json   <hex>.json   <hex>.sbom.json
    sha256/<hex>/<any name>.json

or with ``.xml`` at the end. The folder is one of this machine's, or a place in an object store as
fsspec names them, such as ``s3://reports/images``; its credentials are found where its own client
looks for them. Names are compared with the digest and never built from anything else, so that none
leads elsewhere; links are not followed.
"""

from __future__ import annotations

import asyncio
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from image_promotion.errors import EvidenceError, Subject
from image_promotion.evidence.document import Document, kind_of
from image_promotion.evidence.formats.text import MAX_SIZE_BYTES
from image_promotion.evidence.sources.source import Basket, Image, SourceAnswer, on_one_line
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest

if TYPE_CHECKING:
    from upath import UPath

ENDINGS = (".json", ".xml")

_AFTER_THE_DIGEST = (".", "-", "_")


def is_named_by(name: str, digest: Digest) -> bool:
    """Say whether a file's name says that it is about a digest.

    Args:
        name: The name, without folders.
        digest: The digest.
    """
    if not name.endswith(ENDINGS):
        return False
    return any(
        name.startswith(f"{start}{following}")
        for start in (f"{digest.algorithm}-{digest.encoded}", digest.encoded)
        for following in _AFTER_THE_DIGEST
    )


class FilesSource:
    """Reports in a folder; implements ``source.EvidenceSource``.

    Args:
        folder: The folder: a path, or a URL that fsspec knows.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._shown = _without_secrets(folder)

    @property
    def name(self) -> SourceName:
        """Its name in policies."""
        return SourceName.FILES

    async def documents(self, image: Image) -> SourceAnswer:
        """Read the files that are named by the image's digest, or by one of its parts'.

        Raises:
            EvidenceError: The folder cannot be read, which is not the same as an empty one; or its
                files are too many, or too large together.
        """
        basket = Basket(Subject(repository=image.repository, digest=str(image.digest)))
        for digest in image.subjects:
            await asyncio.to_thread(self._read_all, digest, basket)
        return basket.answer()

    def _read_all(self, digest: Digest, basket: Basket) -> None:
        list_files = _stored_files if "://" in self._folder else _local_files
        try:
            files = sorted(list_files(self._folder, digest), key=lambda file: file.name)
        except Exception as error:
            # Clients of object stores raise whatever they like, and none of it means "no files".
            raise EvidenceError(
                f"the folder {self._shown} cannot be read: {_reason(error)}",
                subject=Subject(digest=str(digest)),
                advice="See that it is there, and that the user whom Airflow runs as may read it.",
                retryable=not isinstance(error, _NEEDS_SOMEBODY),
            ) from error
        for file in files:
            location = f"file {on_one_line(file.name)} in {self._shown}"
            try:
                content, written_at = _read(file)
            except Exception as error:  # noqa: BLE001 - as above; the note has it
                problem = _problem_of(error, digest)
                basket.note(digest, f"{location} cannot be read", error=problem)
                continue
            basket.reserve(len(content))
            basket.add(
                Document(
                    content=content,
                    kind=kind_of(content),
                    media_type="",
                    source=self.name,
                    location=location,
                    subject=str(digest),
                    at=written_at,
                )
            )


_NEEDS_SOMEBODY = (
    FileNotFoundError,
    NotADirectoryError,
    PermissionError,
    ImportError,
    ValueError,
)
"""What no retry mends: nothing there, no right to it, no client for the URL's scheme."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file, and when it was written, where anybody says."""

    stream: IO[bytes]
    size_bytes: int
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class _File(ABC):
    """A file that is about the digest; its name is the one below the folder."""

    name: str

    @abstractmethod
    def open(self) -> _Opened:
        """Open it; raises what its store raises, and an EvidenceError for what is no file."""


@dataclass(frozen=True, slots=True)
class _LocalFile(_File):
    path: Path

    def open(self) -> _Opened:
        # Neither a link, nor a pipe that would be waited for.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise EvidenceError("it is no regular file", advice="Put the report itself there.")
        written_at = datetime.fromtimestamp(status.st_mtime, UTC)
        return _Opened(os.fdopen(descriptor, "rb"), status.st_size, written_at)


@dataclass(frozen=True, slots=True)
class _StoredFile(_File):
    path: UPath

    def open(self) -> _Opened:
        if not self.path.is_file():
            raise EvidenceError("it is no regular file", advice="Put the report itself there.")
        status = self.path.stat()
        written_at = datetime.fromtimestamp(status.st_mtime, UTC) if status.st_mtime else None
        return _Opened(self.path.open("rb"), status.st_size, written_at)


def _local_files(folder: str, digest: Digest) -> Iterator[_File]:
    """Yield the files in a folder of this machine that are about a digest."""
    root = Path(folder)
    for path in root.iterdir():
        if is_named_by(path.name, digest):
            yield _LocalFile(path.name, path)
    above, below = root / digest.algorithm, root / digest.algorithm / digest.encoded
    if all(each.is_dir() and not each.is_symlink() for each in (above, below)):
        for path in below.iterdir():
            if path.name.endswith(ENDINGS):
                yield _LocalFile(f"{digest.algorithm}/{digest.encoded}/{path.name}", path)


def _stored_files(folder: str, digest: Digest) -> Iterator[_File]:
    """Yield the files in a place of an object store that are about a digest."""
    # Loaded here, since most installations have their reports on a disk, or nowhere.
    from upath import UPath  # noqa: PLC0415 - as said

    root = UPath(folder)
    for path in root.iterdir():
        if is_named_by(path.name, digest):
            yield _StoredFile(path.name, path)
    below = root / digest.algorithm / digest.encoded
    if below.is_dir():
        for path in below.iterdir():
            if path.name.endswith(ENDINGS):
                yield _StoredFile(f"{digest.algorithm}/{digest.encoded}/{path.name}", path)


def _read(file: _File) -> tuple[bytes, datetime | None]:
    opened = file.open()
    with closing(opened.stream) as stream:
        # What is said of the size may be wrong by now.
        if opened.size_bytes <= MAX_SIZE_BYTES:
            content = stream.read(MAX_SIZE_BYTES + 1)
            if len(content) <= MAX_SIZE_BYTES:
                return content, opened.written_at
    raise EvidenceError(
        f"it has more than {MAX_SIZE_BYTES} bytes",
        advice="Have a smaller report made, such as without the files of each package.",
    )


def _problem_of(error: Exception, digest: Digest) -> EvidenceError:
    about = Subject(digest=str(digest))
    if isinstance(error, EvidenceError):
        error.about(about)
        return error
    problem = EvidenceError(
        f"it cannot be opened: {_reason(error)}",
        subject=about,
        advice="See that it is a file, and that the user whom Airflow runs as may read it.",
    )
    problem.__cause__ = error
    return problem


def _reason(error: Exception) -> str:
    """Say why, without the words of strangers: clients put URLs with signatures into theirs."""
    said = error.strerror if isinstance(error, OSError) else None
    return f"{said} ({type(error).__name__})" if said else type(error).__name__


def _without_secrets(folder: str) -> str:
    """Return a folder's name without the login and the parameters that a URL may have."""
    if "://" not in folder:
        return on_one_line(folder)
    url = urlsplit(folder)
    return on_one_line(url._replace(netloc=url.netloc.rpartition("@")[2], query="").geturl())
