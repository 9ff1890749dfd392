"""Asks each page and each part of the API through Airflow's own application, and times it.

What the databases were asked on the way is explained by them; a statement that reads a large table
from end to end is a failure.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from airflow.api_fastapi.app import create_app
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, event
from starlette.testclient import TestClient

from benchmarks.large_ledger import Size, digest_of, run_id, tag_of

GOAL_S = 0.3
PREFIX = "/image-promotion"

LARGE = (
    "ledger_runs",
    "ledger_observations",
    "ledger_decisions",
    "ledger_promotions",
    "ledger_transitions",
    "ledger_run_promotions",
    "ledger_decision_promotions",
    "ledger_evidence",
    "ledger_rechecks",
    "ledger_attestations",
    "ledger_approvals",
    "ledger_approval_requests",
    "ledger_removals",
    "dag_run",
    "task_instance",
    "xcom",
)
_SCAN = re.compile(rf"SCAN (?P<table>{'|'.join(LARGE)})(?:_\d+)?(?P<rest>.*)", re.ASCII)
_SEQUENTIAL = re.compile(rf"(?:Seq Scan) on (?:{'|'.join(LARGE)})\b")


@dataclass(frozen=True, slots=True)
class Visit:
    """How long one page took.

    Args:
        path: The page.
        first_s: The first time that it was asked for.
        median_s: Afterwards.
        p95_s: Afterwards.
        processor_s: The processor's time of it, the median, which other programs do not lengthen.
        first_processor_s: That of the first time.
        size_bytes: How large the answer is.
    """

    path: str
    first_s: float
    median_s: float
    p95_s: float
    processor_s: float
    first_processor_s: float
    size_bytes: int

    @property
    def is_in_time(self) -> bool:
        """Whether it took no longer than it may, the first time too."""
        return max(self.first_s, self.p95_s) <= GOAL_S


Parameters = Any
"""A tuple or a dictionary, as the driver wants it."""

Asked = dict[tuple[int, str], tuple[Engine, str, Parameters]]
"""The statements that databases were asked, each once: the engine, the text, the parameters."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Visit all pages.

    Args:
        arguments: The command's arguments; None for those of the process.

    Returns:
        0 when all is in time and nothing large is read from end to end, 1 otherwise.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, required=True)
    parser.add_argument("--promotions", type=int, required=True)
    parser.add_argument("--now", required=True, help="a moment, in ISO 8601")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--plans", action="store_true", help="print each statement with its plan")
    asked = parser.parse_args(arguments)
    size = Size(asked.policies, asked.promotions, datetime.fromisoformat(asked.now))
    console = Console(width=150)
    with warnings.catch_warnings(), _client() as client, _listening() as statements:
        visits = [_visit(client, path, asked.rounds) for path in _paths(size)]
    _print(console, visits)
    scans = [
        found
        for engine, statement, parameters in statements.values()
        for found in _scans(console, engine, statement, parameters, is_shown=asked.plans)
    ]
    console.print(f"{len(statements)} statements, {len(scans)} of them read a large table through")
    for each in dict.fromkeys(scans):
        console.print(each, markup=False, highlight=False)
    late = [each.path for each in visits if not each.is_in_time]
    if late:
        console.print(f"over {GOAL_S * 1000:.0f} ms: {', '.join(late)}", markup=False)
    return 1 if scans or late else 0


@contextmanager
def _client() -> Iterator[TestClient]:
    """Give a client of somebody who may see everything."""
    warnings.simplefilter("ignore")
    with TestClient(create_app()) as client:
        token = client.get("/auth/token").json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def _paths(size: Size) -> Iterator[str]:
    """Yield all that is asked for, the overview first: it is what people open."""
    middle = size.middle
    policy, run = size.policy_of(middle), size.run_of(middle)
    digest = digest_of(middle)
    yield "/"
    yield "/?sort=failing&show=enabled"
    yield f"/policies/{policy}"
    yield "/history"
    yield f"/history?policy={policy}"
    yield "/history?state=failed"
    yield f"/history?policy={policy}&state=failed"
    yield "/history?repository=dev/service-2&state=superseded"
    yield f"/history?tag={tag_of(middle)}"
    yield f"/history?digest={digest[:68]}"
    yield "/history?since=2026-01-01&until=2026-12-01&state=verified"
    # Of the middle of all, as somebody gets there who leafs through it.
    half_a_year_ago = (size.now.timestamp() - 365 * 24 * 1800) * 1_000_000
    yield f"/history?after={half_a_year_ago:.0f}-{middle}"
    yield f"/runs/service-{run % size.policies}/{run_id(run)}"
    yield f"/tasks/service-{run % size.policies}/{run_id(run)}?task=promote.copy&map_index=3"
    yield f"/images/{digest}"
    yield f"/images/{digest_of(size.promotions - 499)}"
    yield "/running"
    yield "/api/overview"
    yield f"/api/policies/{policy}"
    yield f"/api/images/{digest}"
    yield "/api/promotions?limit=1000"
    yield "/api/running"


def _visit(client: TestClient, path: str, rounds: int) -> Visit:
    first = _ask(client, path)
    others = [_ask(client, path) for _ in range(rounds)]
    times = sorted(each.seconds for each in others)
    return Visit(
        path=path,
        first_s=first.seconds,
        median_s=statistics.median(times),
        p95_s=times[min(int(len(times) * 0.95), len(times) - 1)],
        processor_s=statistics.median(each.processor_s for each in others),
        first_processor_s=first.processor_s,
        size_bytes=first.size_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one answer took."""

    seconds: float
    processor_s: float
    size_bytes: int


def _ask(client: TestClient, path: str) -> _Answer:
    began, processor_began = time.perf_counter(), time.process_time()
    answer = client.get(f"{PREFIX}{path}")
    took_s, processor_s = time.perf_counter() - began, time.process_time() - processor_began
    if answer.status_code != HTTPStatus.OK:
        raise SystemExit(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    return _Answer(took_s, processor_s, len(answer.content))


@contextmanager
def _listening() -> Iterator[Asked]:
    """Write down what databases are asked meanwhile."""
    found: Asked = {}

    def note(
        connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Parameters,
        _context: object,
        _executemany: bool,
    ) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            engine = connection.engine
            found.setdefault((id(engine), statement), (engine, statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _scans(
    console: Console, engine: Engine, statement: str, parameters: Parameters, *, is_shown: bool
) -> Iterator[str]:
    """Have a statement explained, and yield where it reads a large table from end to end."""
    is_sqlite = engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF)"
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    plan = [str(row[-1]) for row in rows]
    if is_shown:
        console.print(" ".join(statement.split()), markup=False, highlight=False)
        for line in plan:
            console.print(f"    {line}", markup=False, highlight=False)
    for line in plan:
        if _is_scan(line, statement):
            yield f"{line.strip()}: {' '.join(statement.split())[:400]}"


def _is_scan(line: str, statement: str) -> bool:
    if _SEQUENTIAL.search(line):
        return True
    found = _SCAN.search(line)
    if found is None:
        return False
    # Along an index, and no further than the limit.
    return not (" USING " in found["rest"] and " LIMIT " in statement.upper().replace("\n", " "))


def _print(console: Console, visits: Sequence[Visit]) -> None:
    names = ("first", "median", "p95", "processor first", "processor")
    table = Table("page", *(f"{name}, ms" for name in names), "kB")
    for each in visits:
        path = re.sub(r"[0-9a-f]{40,}", "…", each.path)
        times = (
            each.first_s,
            each.median_s,
            each.p95_s,
            each.first_processor_s,
            each.processor_s,
        )
        figures = [f"{took * 1000:.0f}" for took in times]
        style = None if each.is_in_time else "red"
        table.add_row(path, *figures, f"{each.size_bytes / 1000:.0f}", style=style)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
