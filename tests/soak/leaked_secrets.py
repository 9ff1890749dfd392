"""Secrets in every field of an Airflow with its ledger in PostgreSQL, looked for afterwards."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.postgresql_process import PostgresqlProcess
from tests.support.airflow_server import WEBSITE, start
from tests.support.canaries import run_with_canaries


def main(arguments: Sequence[str]) -> int:
    """Run the policies, and look for the secrets wherever they may have been left.

    Args:
        arguments: What stands after the command's name.

    Returns:
        0 when no secret was found, else 1.
    """
    parser = argparse.ArgumentParser(prog="scripts/soak secrets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how many Airflows, one by one")
    options = parser.parse_args(arguments)
    found = sum(_search() for _ in range(options.rounds))
    sys.stdout.write(f"{options.rounds} rounds: {found or 'no'} secrets found\n")
    return 1 if found else 0


def _search() -> int:
    """Return in how many places a secret was found."""
    with (
        tempfile.TemporaryDirectory(prefix="leaked-secrets-") as folder,
        PostgresqlProcess.start() as postgresql,
    ):
        url = postgresql.create_database("promotion_ledger")
        environment = {"IMAGE_PROMOTION_LEDGER": url}
        with start(Path(folder), environment=environment) as airflow:
            airflow.wait(WEBSITE, airflow.trigger(WEBSITE))
            password = urlsplit(url).password or ""
            canaries = run_with_canaries(airflow, {"ledger's password": password})
            leaks = canaries.leaks(airflow, Path(tempfile.gettempdir()))
        for leak in leaks:
            sys.stdout.write(f"{leak.secret}: {leak.place}\n")
        names = ", ".join(canaries.secrets)
        sys.stdout.write(f"looked for: {names}\n")
    return len(leaks)
