"""A private Redis server on a free loopback port, with a password; it keeps nothing."""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.leash import LeashedProcess
from sandbox.ports import LOOPBACK, free_port

_ADVICE = "install it (Debian: apt-get install redis-server), or put redis-server on PATH"
_START_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 5.0
_POLL_INTERVAL_S = 0.05
_ATTEMPTS = 3
_OWNER_ONLY = 0o600


class RedisUnavailableError(Exception):
    """Redis is not installed here, or does not start."""


class RedisProcess:
    """A running server; make it with ``start``, use it as a context manager or ``stop`` it.

    Args:
        process: The server's process.
        port: Its port on 127.0.0.1.
        password: The password of its only user.
    """

    def __init__(self, process: LeashedProcess, port: int, password: str) -> None:
        self._process = process
        self.port = port
        self._password = password

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Start a server and wait until it takes the password.

        Args:
            folder: Where its configuration and log are; made when it is missing.

        Returns:
            The server.

        Raises:
            RedisUnavailableError: It is not installed, or does not start.
        """
        program = shutil.which("redis-server")
        if program is None:
            raise RedisUnavailableError(f"Redis is not installed: {_ADVICE}")
        folder.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(24)
        for _ in range(_ATTEMPTS):
            port = free_port()
            file = folder / "redis.conf"
            file.touch(mode=_OWNER_ONLY)
            # In a file: an argument could be read in the list of processes.
            file.write_text(
                f"bind {LOOPBACK}\nport {port}\nrequirepass {password}\nsave ''\ndir {folder}\n"
            )
            process = LeashedProcess.start([program, file], log=folder / "redis.log", folder=folder)
            server = cls(process, port, password)
            if server._wait_until_ready():
                return server
            server.stop()
        said = (folder / "redis.log").read_text(errors="replace")
        raise RedisUnavailableError(f"Redis does not start: {said}")

    def url(self, database: int = 0) -> str:
        """Give the URL of a database, with the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self) -> None:
        """End it; safe to repeat."""
        self._process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_until_ready(self) -> bool:
        """Wait until it takes the password; False when it ended, for want of its port say."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._process.running:
            with suppress(OSError):
                if self._takes_password():
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_INTERVAL_S)
        return False

    def _takes_password(self) -> bool:
        """Sign in, by the protocol's inline commands; a stranger at the port would not let us."""
        with socket.create_connection((LOOPBACK, self.port), _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {self._password}\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
