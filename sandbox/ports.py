"""Free ports on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"

_given: set[int] = set()
_lock = threading.Lock()


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on.

    Somebody else may take it before the caller does, another process of the tests for instance, so
    a caller still has to cope with a program that cannot bind; two callers in one process never get
    the same port.

    Returns:
        The port's number.
    """
    with _lock:
        while True:
            with socket.create_server((LOOPBACK, 0)) as listener:
                port: int = listener.getsockname()[1]
            if port not in _given:
                _given.add(port)
                return port


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of 127.0.0.1 right now."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


@contextmanager
def refusing_port() -> Iterator[int]:
    """Hold a port of 127.0.0.1 at which nobody listens, and nobody will.

    Yields:
        The port's number; connections to it are refused as long as the context is open.
    """
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        port: int = holder.getsockname()[1]
        yield port
