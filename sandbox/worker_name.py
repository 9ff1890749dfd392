"""What a worker on a machine with several is called in Airflow, in place of the machine's name."""

from __future__ import annotations

import os

VARIABLE = "SANDBOX_WORKER_NAME"


def worker_name() -> str:
    """Return the name that this process's environment gives it; Airflow's hostname_callable."""
    return os.environ[VARIABLE]
