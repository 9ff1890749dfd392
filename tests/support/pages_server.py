"""The pages behind a socket, where Airflow's server would have them: for a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from sandbox.ports import LOOPBACK, free_port

_MOUNTED_AT = "/image-promotion"
_DEADLINE_S = 60.0
_POLL_INTERVAL_S = 0.02


@contextmanager
def serve(pages: FastAPI) -> Iterator[str]:
    """Serve the pages in a thread, and end with the context.

    Args:
        pages: The application.

    Yields:
        The URL of the overview.
    """
    outside = FastAPI(openapi_url=None)
    outside.mount(_MOUNTED_AT, pages)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(outside, host=LOOPBACK, port=port, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the pages are not served on port {port}")
            time.sleep(_POLL_INTERVAL_S)
        yield f"http://{LOOPBACK}:{port}{_MOUNTED_AT}/"
    finally:
        server.should_exit = True
        thread.join()
