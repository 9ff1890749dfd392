from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox.ports import LOOPBACK
from sandbox.redis_process import RedisProcess


def ask(port: int, *lines: str) -> bytes:
    with socket.create_connection((LOOPBACK, port), 5) as connection:
        for line in lines:
            connection.sendall(f"{line}\r\n".encode())
            answer = connection.recv(100)
    return answer


def test_redis_lets_in_who_has_the_password_and_nobody_else(tmp_path: Path) -> None:
    with RedisProcess.start(tmp_path / "redis") as redis:
        password = redis.url().removeprefix("redis://:").partition("@")[0]
        assert ask(redis.port, "PING").startswith(b"-NOAUTH")
        assert ask(redis.port, f"AUTH {password}", "PING") == b"+PONG\r\n"
        assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
        assert password not in Path(f"/proc/{redis.pid}/cmdline").read_text()
    with pytest.raises(ConnectionRefusedError):
        ask(redis.port, "PING")
