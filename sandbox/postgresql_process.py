"""A private PostgreSQL server on a free loopback port, gone without a trace when it is stopped."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from sandbox.ports import LOOPBACK, free_port

USER = "promotion"
"""The superuser of the server; the password is made anew for each."""

_DEBIAN_FOLDER = Path("/usr/lib/postgresql")
_ADVICE = "install it (Debian: apt-get install postgresql), or put its initdb and postgres on PATH"
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0
_ATTEMPTS = 3


class PostgresqlUnavailableError(Exception):
    """PostgreSQL is not installed here, or does not start."""


def postgresql_programs() -> Path:
    """Find the folder of PostgreSQL's server programs.

    Returns:
        The folder of ``initdb`` and ``postgres``: from PATH, else Debian's newest.

    Raises:
        PostgresqlUnavailableError: There is none; says what to install.
    """
    on_path = shutil.which("initdb")
    if on_path and (folder := Path(on_path).resolve().parent).joinpath("postgres").exists():
        return folder
    debian = [path.parent for path in _DEBIAN_FOLDER.glob("*/bin/initdb")]
    if not debian:
        raise PostgresqlUnavailableError(f"PostgreSQL is not installed: {_ADVICE}")
    return max(debian, key=lambda folder: float(folder.parent.name))


class PostgresqlProcess:
    """A running server; make it with ``start``, and use it as a context manager or ``stop`` it.

    Args:
        process: The server's process.
        folder: Its own folder, removed when it stops.
        port: Its port on 127.0.0.1.
        password: The password of USER.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], folder: Path, port: int, password: str
    ) -> None:
        self._process = process
        self._folder = folder
        self.port = port
        self.password = password

    @classmethod
    def start(cls) -> Self:
        """Make a cluster and start its server.

        PostgreSQL refuses to run as root; then it runs as ``postgres`` or ``nobody``, which is why
        it gets a folder of its own that this user may enter.

        Returns:
            The server, ready for connections.

        Raises:
            PostgresqlUnavailableError: It is not installed, or does not start.
        """
        programs = postgresql_programs()
        password = secrets.token_urlsafe(12)
        folder = Path(tempfile.mkdtemp(prefix="promotion-postgresql-"))
        try:
            _make_cluster(programs, folder, password)
            for _ in range(_ATTEMPTS):
                port = free_port()
                server = cls(_start_server(programs, folder, port), folder, port, password)
                if server._wait_until_ready():
                    return server
            said = (folder / "log").read_text(errors="replace")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        raise PostgresqlUnavailableError(f"PostgreSQL does not start: {said}")

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, with user and password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create a database and return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def crash(self) -> None:
        """End the server at once, as a crash would; it can be started again with what it had."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_STOP_TIMEOUT_S)

    def restart(self) -> None:
        """Start the server again after a crash, at the same port.

        Raises:
            PostgresqlUnavailableError: It does not start.
        """
        self._process = _start_server(postgresql_programs(), self._folder, self.port)
        if not self._wait_until_ready():
            raise PostgresqlUnavailableError("PostgreSQL does not start again")

    def stop(self) -> None:
        """Stop the server, disconnecting whoever is connected, and remove its folder."""
        if self._process.poll() is None:
            # "Immediate shutdown": there is nothing to save, and its children end with it.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STOP_TIMEOUT_S)
        shutil.rmtree(self._folder, ignore_errors=True)

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
        """Wait for the first connection; False when the server ended, for want of its port say."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._process.poll() is None:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise PostgresqlUnavailableError("PostgreSQL does not answer") from error
                time.sleep(0.05)
            else:
                return True
        return False


def _make_cluster(programs: Path, folder: Path, password: str) -> None:
    password_file = folder / "password"
    password_file.write_text(password + "\n")
    account = _account()
    if account is not None:
        for path in (folder, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    made = subprocess.run(
        [
            programs / "initdb",
            f"--pgdata={folder / 'data'}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ],
        cwd=folder,
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
        capture_output=True,
        text=True,
        check=False,
    )
    password_file.unlink()
    if made.returncode != 0:
        raise PostgresqlUnavailableError(f"initdb failed: {made.stderr.strip()}")


def _start_server(programs: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    account = _account()
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                programs / "postgres",
                *("-D", folder / "data"),
                *("-p", str(port)),
                *("-c", f"listen_addresses={LOOPBACK}"),
                *("-c", "unix_socket_directories="),
                *("-c", "fsync=off"),  # a crash of the machine may take what is only a test's
            ],
            cwd=folder,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us, and we stop it in our order
        )


def _account() -> pwd.struct_passwd | None:
    """Give the account to run the server as; None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresqlUnavailableError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as"
    )
