"""Prepares what `benchmarks/page` looks at: policies, a ledger, and an Airflow that knows them.

It is a process of its own, so that the first page is asked for in a process that is new.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import Table, insert, inspect
from sqlalchemy.orm import Session

from benchmarks.large_ledger import Size, fill, run_id, write_policies
from image_promotion.ledger.database import Database
from image_promotion.ledger.location import URL_VARIABLE
from image_promotion.web.pages.policy_shelf import POLICIES_VARIABLE

BUNDLE = "dags-folder"
AT_ONCE = 5_000
PAUSED_OF = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare everything in the AIRFLOW_HOME and the ledger that the environment names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, required=True)
    parser.add_argument("--promotions", type=int, required=True)
    parser.add_argument("--now", required=True, help="a moment, in ISO 8601")
    asked = parser.parse_args(arguments)
    size = Size(asked.policies, asked.promotions, datetime.fromisoformat(asked.now))
    policies = write_policies(Path(os.environ[POLICIES_VARIABLE]), size)
    began = time.monotonic()
    database = Database.open(os.environ[URL_VARIABLE])
    fill(database, size, policies)
    database.close()
    print(f"a ledger of {size.promotions:,} promotions in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    initdb()
    with create_session() as session:
        _add_dags(session, size)
        _add_runs(session, size)
    print(f"an Airflow of {size.runs:,} runs in {time.monotonic() - began:.0f} s")
    return 0


def _add_dags(session: Session, size: Size) -> None:
    session.add(DagBundleModel(name=BUNDLE))
    session.flush()
    for number in range(size.policies):
        session.add(
            DagModel(  # type: ignore[no-untyped-call]  # Airflow's
                dag_id=f"service-{number}",
                bundle_name=BUNDLE,
                is_paused=number % PAUSED_OF == 0,
                is_stale=False,
                next_dagrun_create_after=size.now + timedelta(minutes=number % 5),
                fileloc="promotion_policies.py",
                timetable_summary="*/5 * * * *",
            )
        )
    session.flush()


def _add_runs(session: Session, size: Size) -> None:
    """Add the runs, the task that planned each, and what it returned."""
    for first in range(1, size.runs + 1, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, size.runs + 1))
        names = [{"dag_id": f"service-{n % size.policies}", "run_id": run_id(n)} for n in numbers]
        times = [size.now - timedelta(minutes=size.runs - n) for n in numbers]
        session.execute(
            insert(_table(DagRun)),
            [
                {
                    **name,
                    "id": n,
                    "run_type": "scheduled",
                    "run_after": at,
                    "start_date": at,
                    "logical_date": at,
                    "state": "success",
                    "clear_number": 0,
                }
                for n, name, at in zip(numbers, names, times, strict=True)
            ],
        )
        session.execute(
            insert(_table(TaskInstance)),
            [
                {
                    **name,
                    "id": uuid4(),
                    "task_id": "evaluate",
                    "map_index": -1,
                    "try_number": 1,
                    "pool": "default_pool",
                    "pool_slots": 1,
                    "executor_config": {},
                    "queue": "default",
                }
                for name in names
            ],
        )
        session.execute(
            insert(_table(XComModel)),
            [
                {
                    **name,
                    "dag_run_id": n,
                    "task_id": "evaluate",
                    "map_index": -1,
                    "key": XCOM_RETURN_KEY,
                    "value": [
                        {"promotion_ids": [each], "image": f"image {each}"}
                        for each in range(n - 1 or size.runs, size.promotions + 1, size.runs)
                    ],
                    "timestamp": datetime.now(UTC),
                }
                for n, name in zip(numbers, names, strict=True)
            ],
        )


def _table(model: type) -> Table:
    return cast("Table", inspect(model).local_table)


if __name__ == "__main__":
    sys.exit(main())
