"""What Airflow knows of the policies' DAGs and their runs, from its own database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import func, select

from image_promotion.web.pages.task_lines import Lines, RunName, lines_of


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


class AirflowState(Protocol):
    """What the page asks of Airflow."""

    def dags(self, dag_ids: Collection[str]) -> Mapping[str, DagState]:
        """Say how DAGs stand; those that Airflow does not know are not among them."""
        ...

    def lines(self, runs: Collection[RunName]) -> Mapping[RunName, Lines]:
        """Find which promotions each mapped task instance of runs carries."""
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

    def lines(self, runs: Collection[RunName]) -> Mapping[RunName, Lines]:
        """Find which promotions the mapped task instances carry; see AirflowState."""
        return lines_of(runs)
