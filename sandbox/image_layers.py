"""Image layers: deterministic tar archives, the same bytes whenever they are made from one content.

A layer is a tar archive, compressed with gzip or not; a configuration names it by the digest of the
uncompressed archive, its DiffID (OCI image specification, "Image Layer Filesystem Changeset" and
"Layer DiffID").
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sysconfig
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Self

_FASTEST = 1
_GZIP_MAGIC = b"\x1f\x8b"

# Parts of the standard library that distributions package apart or that are large and dull.
_LEFT_OUT = frozenset(
    {
        *("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
        *("site-packages", "test", "tests", "tkinter", "turtledemo"),
    }
)


def sha256(content: bytes) -> str:
    """Give the digest of some bytes: ``sha256:ab..``."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's bytes with what a configuration and a manifest say of it."""

    content: bytes = field(repr=False)
    digest: str
    diff_id: str
    compressed: bool

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Take bytes as a layer: gzip when they begin like it, else an archive as it is."""
        compressed = content.startswith(_GZIP_MAGIC)
        archive = gzip.decompress(content) if compressed else content
        return cls(content, sha256(content), sha256(archive), compressed)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes | Path]) -> Self:
        """Make a compressed layer of files.

        Args:
            files: What the files hold, or the real files to read, by their path in the image;
                without a slash at the front. Owners, times and modes are made equal, so that
                equal content is an equal digest.

        Returns:
            The layer.
        """
        archive = _archive(files)
        content = gzip.compress(archive, _FASTEST, mtime=0)
        return cls(content, sha256(content), sha256(archive), compressed=True)


def noise_layer(size_bytes: int, seed: str = "") -> Layer:
    """Make a layer that does not compress, for tests and benchmarks that move many bytes.

    Args:
        size_bytes: The size of the one file in it.
        seed: Another seed gives another content; the same seed the same.

    Returns:
        The layer.
    """
    noise = hashlib.shake_256(seed.encode()).digest(size_bytes)
    return Layer.from_files({f"var/noise/{seed or 'noise'}": noise})


@cache
def standard_library() -> Mapping[str, Path]:
    """Find the modules of this Python's standard library: real files that every machine here has.

    Returns:
        The files by their path in an image, in the order of these paths.
    """
    root = Path(sysconfig.get_path("stdlib"))
    modules = (
        path
        for path in sorted(root.rglob("*.py"))
        if not _LEFT_OUT.intersection(path.relative_to(root).parts)
    )
    return {f"usr/lib/python3/{path.relative_to(root).as_posix()}": path for path in modules}


@cache
def base_layer() -> Layer:
    """Make the layer that the sample images share: Python's standard library, a few megabytes."""
    files: dict[str, bytes | Path] = dict(standard_library())
    release = Path("/etc/os-release")
    if release.exists():
        files["etc/os-release"] = release
    return Layer.from_files(files)


def _archive(files: Mapping[str, bytes | Path]) -> bytes:
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted([*folders, *files]):
            entry = tarfile.TarInfo(name)  # owner 0, time 0
            if name in folders:
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o755
                archive.addfile(entry)
                continue
            held = files[name]
            content = held.read_bytes() if isinstance(held, Path) else held
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
