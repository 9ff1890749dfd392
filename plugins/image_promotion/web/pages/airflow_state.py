"""What Airflow knows of the policies' DAGs and their runs, from its own database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import func, select, tuple_

MAX_RUNS = 200
"""Of so many runs the mapped tasks are looked up; the links of others lead to the whole task."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a DAG.

    Args:
        run_id: Airflow's name of it.
        state: Such as ``success``.
        at: When it began, or is to begin.
    """

    run_id: str
    state: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class DagState:
    """How a DAG stands.

    Args:
        is_paused: Whether Airflow runs it not.
        next_run_at: When it runs next; None when nothing is planned.
        last_run: Its last run; None when it never ran.
    """

    is_paused: bool
    next_run_at: datetime | None
    last_run: LastRun | None


TaskKey = tuple[str, str, str, str]
"""A mapped task instance: DAG, run, task, and what Airflow's page calls the instance."""


class AirflowState(Protocol):
    """What the page asks of Airflow."""

    def dags(self, dag_ids: Collection[str]) -> Mapping[str, DagState]:
        """Say how DAGs stand; those that Airflow does not know are not among them."""
        ...

    def map_indexes(self, runs: Collection[tuple[str, str]]) -> Mapping[TaskKey, int]:
        """Find the mapped task instances of runs, each given by its DAG and its own id."""
        ...


class AirflowDatabase:
    """Airflow's own database, in Airflow's server."""

    def dags(self, dag_ids: Collection[str]) -> Mapping[str, DagState]:
        """Say how DAGs stand; see AirflowState."""
        last = (
            select(func.max(DagRun.id))
            .where(DagRun.dag_id == DagModel.dag_id)
            .correlate(DagModel)
            .scalar_subquery()
        )
        query = (
            select(
                DagModel.dag_id,
                DagModel.is_paused,
                DagModel.next_dagrun_create_after,
                DagRun.run_id,
                DagRun.state,
                func.coalesce(DagRun.start_date, DagRun.run_after).label("at"),
            )
            .outerjoin(DagRun, DagRun.id == last)
            .where(DagModel.dag_id.in_(sorted(dag_ids)), DagModel.is_stale.is_(False))
        )
        with create_session() as session:
            return {
                row.dag_id: DagState(
                    is_paused=bool(row.is_paused),
                    next_run_at=None if row.is_paused else row.next_dagrun_create_after,
                    last_run=LastRun(row.run_id, str(row.state), row.at) if row.run_id else None,
                )
                for row in session.execute(query)
            }

    def map_indexes(self, runs: Collection[tuple[str, str]]) -> Mapping[TaskKey, int]:
        """Find the mapped task instances of runs; see AirflowState."""
        wanted = sorted(runs)[:MAX_RUNS]
        if not wanted:
            return {}
        query = select(
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance._rendered_map_index.label("name"),  # noqa: SLF001 - what is public is for one instance, or an expression that no type is known of
        ).where(
            tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(wanted),
            TaskInstance.map_index >= 0,
        )
        with create_session() as session:
            return {
                (row.dag_id, row.run_id, row.task_id, row.name): row.map_index
                for row in session.execute(query)
                if row.name is not None
            }
