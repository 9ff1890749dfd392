"""Where a secret was left: in files, in command lines, in answers, also in base64 or as a URL."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import httpx

_LARGEST_FILE_BYTES = 256 * 1024 * 1024
_LINK = re.compile(r'(?:href|src|action)="([^"#]+)')


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was found.

    Args:
        secret: What it is for.
        place: Where it was found.
    """

    secret: str
    place: str


class LeakSearch:
    """Looks for secrets.

    Args:
        secrets: Each by what it is for; long enough that none is found by chance.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._words = {name: tuple(_written(secret)) for name, secret in secrets.items()}

    def in_bytes(self, content: bytes, place: str) -> list[Leak]:
        """Look at some bytes."""
        return [
            Leak(name, place)
            for name, words in self._words.items()
            if any(word in content for word in words)
        ]

    def in_files(self, folder: Path, *, since_s: float = 0.0) -> list[Leak]:
        """Look at all files below a folder, in which databases are files too.

        Args:
            folder: The folder.
            since_s: Only at what was changed since then, in seconds since 1970.
        """
        found = []
        for path in _files(folder):
            try:
                status = path.stat()
                if status.st_mtime >= since_s and status.st_size <= _LARGEST_FILE_BYTES:
                    found += self.in_bytes(path.read_bytes(), str(path))
            except OSError:
                continue  # it was gone before it could be looked at
        return found

    def in_command_lines(self) -> list[Leak]:
        """Look at what every program of this machine was started with, which anybody can read."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found += self.in_bytes(path.read_bytes(), f"the command line of {path.parent.name}")
            except OSError:
                continue  # it has ended
        return found

    def in_answers(self, client: httpx.Client, paths: Iterable[str]) -> list[Leak]:
        """Look at the answers to GET requests, with their header fields.

        Args:
            client: Who asks, and where.
            paths: What is asked for.
        """
        found = []
        for path in paths:
            answer = client.get(path)
            fields = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
            found += self.in_bytes(fields + b"\n" + answer.content, f"the answer to {path}")
        return found


def linked_pages(client: httpx.Client, start: str, *, most: int) -> list[str]:
    """Find the pages that links lead to, from a first one on, below its folder.

    Args:
        client: Who asks, and where.
        start: The path of the first page.
        most: How many are looked at.

    Returns:
        Their paths, with their queries.
    """
    found = {start: None}
    waiting = [start]
    while waiting and len(found) < most:
        page = waiting.pop(0)
        answer = client.get(page)
        if "html" not in answer.headers.get("content-type", ""):
            continue
        for link in _LINK.findall(answer.text):
            target = urlsplit(urljoin(page, link.replace("&amp;", "&")))
            path = target.path + (f"?{target.query}" if target.query else "")
            if not target.netloc and path.startswith(start) and path not in found:
                found[path] = None
                waiting.append(path)
    return list(found)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _written(secret: str) -> Iterator[bytes]:
    """Yield how a secret may stand somewhere: as it is, in a URL, and in base64 of a text.

    In base64 a text looks different after one or two other characters, and so do its ends.
    """
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for before in range(3):
        encoded = b64encode(b"\0" * before + secret.encode())
        yield encoded[4 if before else 0 : -4]
