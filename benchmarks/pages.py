"""The command `benchmarks/page`: how long the Promotions page takes over a long history."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from image_promotion.ledger.location import URL_VARIABLE
from sandbox.postgresql_process import PostgresqlProcess

PROJECT = Path(__file__).resolve().parents[1]
POLICIES, PROMOTIONS, ROUNDS = 200, 1_000_000, 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a large site, and visit its pages.

    Args:
        arguments: The command's arguments; None for those of the process.

    Returns:
        0 when every page is in time and no statement reads a large table from end to end.
    """
    parser = argparse.ArgumentParser(prog="benchmarks/page", description=__doc__)
    parser.add_argument("--policies", type=int, default=POLICIES)
    parser.add_argument("--promotions", type=int, default=PROMOTIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each page is asked")
    parser.add_argument(
        "--postgresql", action="store_true", help="keep the ledger in PostgreSQL, not in SQLite"
    )
    parser.add_argument(
        "--without-files",
        action="store_true",
        help="let the server have no folder of policies: it shows them as the ledger has them",
    )
    parser.add_argument("--plans", action="store_true", help="print each statement with its plan")
    asked = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="page-") as folder,
        _ledger_url(Path(folder), is_postgresql=asked.postgresql) as url,
    ):
        environment = _environment(Path(folder), url)
        # The day's history ends now, as the page reckons.
        size = [f"--policies={asked.policies}", f"--promotions={asked.promotions}"]
        size.append(f"--now={datetime.now(UTC).isoformat()}")
        _run("benchmarks.large_site", size, environment)
        if asked.without_files:
            environment["IMAGE_PROMOTION_POLICIES"] = str(Path(folder) / "nothing")
        plans = ["--plans"] if asked.plans else []
        return _run(
            "benchmarks.page_visits",
            [*size, f"--rounds={asked.rounds}", *plans],
            environment,
            check=False,
        )


@contextmanager
def _ledger_url(folder: Path, *, is_postgresql: bool) -> Iterator[str]:
    if not is_postgresql:
        yield f"sqlite:///{folder / 'promotion_ledger.db'}"
        return
    with PostgresqlProcess.start() as process:
        yield process.create_database("ledger")


def _environment(folder: Path, ledger_url: str) -> dict[str, str]:
    """Return the environment of a small Airflow, in which whoever asks may see everything."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "IMAGE_PROMOTION"))
    }
    return kept | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-the-benchmark-alone-and-of-no-use-elsewhere",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        URL_VARIABLE: ledger_url,
        "IMAGE_PROMOTION_POLICIES": str(folder / "policies"),
    }


def _run(
    module: str, arguments: Sequence[str], environment: dict[str, str], *, check: bool = True
) -> int:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, check=check).returncode


if __name__ == "__main__":
    sys.exit(main())
