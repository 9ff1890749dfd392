"""A server that takes connections and never says a word."""

from __future__ import annotations

import socket
import subprocess
from types import TracebackType
from typing import Self

from sandbox.ports import LOOPBACK

_POLL_S = 0.2
_PATIENCE_S = 300.0


class SilentListener:
    """Listens on a free port of loopback; whoever asks waits, until a test has seen enough."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server((LOOPBACK, 0))
        self._callers: list[socket.socket] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for caller in (self._socket, *self._callers):
            caller.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"

    def wait_for_a_caller(self, process: subprocess.Popen[str]) -> None:
        """Wait until somebody has sent a request; fail when the process ends before."""
        self._socket.settimeout(_POLL_S)
        for _ in range(int(_PATIENCE_S / _POLL_S)):
            try:
                caller, _ = self._socket.accept()
            except TimeoutError:
                assert process.poll() is None, "the process ended without asking"
                continue
            self._callers.append(caller)
            caller.settimeout(_PATIENCE_S)
            assert caller.recv(1)
            return
        raise AssertionError("nobody asked")
