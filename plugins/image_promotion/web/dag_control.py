"""What people do with a policy's DAG from the page: run it, pause it; Airflow does all of it."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from airflow.api.common.trigger_dag import trigger_dag
from airflow.models import Log
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from image_promotion.errors import DagRefusedError

Parameters = Mapping[str, bool | list[str]]
"""The parameters of a run, of those that a policy's DAG has."""


class Standing(StrEnum):
    """Whether a DAG can be run now."""

    ENABLED = "enabled"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    STALE = "stale"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a DAG cannot be run, and what to do about it."""

    reason: str
    advice: str


OBSTACLES: Mapping[Standing, Obstacle] = {
    Standing.UNKNOWN: Obstacle(
        "Airflow does not know the policy's Dag",
        "It reads new policies within minutes; if it does not, look at its import errors.",
    ),
    Standing.STALE: Obstacle(
        "the policy's Dag is stale: its file is gone, or its policy is no longer valid",
        "Put the policy file back, or correct what Airflow's import errors say of it.",
    ),
    Standing.BROKEN: Obstacle(
        "the policy's Dag has import errors", "Look at Airflow's import errors."
    ),
}

_RUNNABLE = frozenset({Standing.ENABLED, Standing.PAUSED})
_PAUSABLE = _RUNNABLE | {Standing.BROKEN}


class DagControl(Protocol):
    """What the page has Airflow do; everything blocks."""

    def standing(self, dag_id: str) -> Standing:
        """Say whether a DAG can be run."""
        ...

    def has_run(self, dag_id: str, run_id: str) -> bool:
        """Say whether a DAG has a run of this name."""
        ...

    def trigger(self, dag_id: str, parameters: Parameters, *, user_name: str) -> str:
        """Have a DAG run.

        Args:
            dag_id: The DAG.
            parameters: The run's parameters; the others are as the DAG says.
            user_name: Who wants it, for Airflow's history and audit log.

        Returns:
            The run's id.

        Raises:
            DagRefusedError: Airflow does not know the DAG, or does not take the run.
        """
        ...

    def pause(self, dag_id: str, *, is_paused: bool, user_name: str) -> None:
        """Pause a DAG, or have it run again.

        Args:
            dag_id: The DAG.
            is_paused: Whether it is to be paused.
            user_name: Who wants it, for Airflow's audit log.

        Raises:
            DagRefusedError: Airflow does not know the DAG.
        """
        ...


class AirflowDags:
    """The DAGs of the Airflow whose server this is."""

    def standing(self, dag_id: str) -> Standing:
        """Say whether a DAG can be run; see DagControl."""
        wanted = select(DagModel.is_stale, DagModel.has_import_errors, DagModel.is_paused).where(
            DagModel.dag_id == dag_id
        )
        with create_session(scoped=False) as session:
            row = session.execute(wanted).one_or_none()
        if row is None:
            return Standing.UNKNOWN
        if row.is_stale:
            return Standing.STALE
        if row.has_import_errors:
            return Standing.BROKEN
        return Standing.PAUSED if row.is_paused else Standing.ENABLED

    def has_run(self, dag_id: str, run_id: str) -> bool:
        """Say whether a DAG has a run of this name; see DagControl."""
        wanted = select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        with create_session(scoped=False) as session:
            return session.scalar(wanted) is not None

    def trigger(self, dag_id: str, parameters: Parameters, *, user_name: str) -> str:
        """Have a DAG run; see DagControl.

        Source: Airflow 3.3.2, `core_api.routes.public.dag_run.trigger_dag_run`.
        """
        self._require(dag_id, _RUNNABLE)
        conf = dict(parameters)
        try:
            _note("trigger_dag_run", dag_id, user_name, {"conf": conf, "method": "POST"})
            run = trigger_dag(
                dag_id,
                triggered_by=DagRunTriggeredByType.UI,
                triggering_user_name=user_name,
                conf=conf,
            )
        except (AirflowException, ValueError) as error:
            raise DagRefusedError(
                f"Airflow does not take the run: {error}", dag_id=dag_id
            ) from error
        except SQLAlchemyError as error:
            raise _busy(dag_id) from error
        if run is None:
            raise DagRefusedError("Airflow made no run", dag_id=dag_id)
        return run.run_id

    def pause(self, dag_id: str, *, is_paused: bool, user_name: str) -> None:
        """Pause a DAG, or have it run again; see DagControl.

        Source: Airflow 3.3.2, `core_api.routes.public.dags.patch_dag`.
        """
        self._require(dag_id, _PAUSABLE)
        try:
            _note("patch_dag", dag_id, user_name, {"is_paused": is_paused, "method": "PATCH"})
            with create_session(scoped=False) as session:
                dag = session.get(DagModel, dag_id)
                if dag is not None:
                    dag.is_paused = is_paused
        except SQLAlchemyError as error:
            raise _busy(dag_id) from error

    def _require(self, dag_id: str, allowed: Container[Standing]) -> None:
        standing = self.standing(dag_id)
        if standing not in allowed:
            obstacle = OBSTACLES[standing]
            raise DagRefusedError(obstacle.reason, dag_id=dag_id, advice=obstacle.advice)


def _note(event: str, dag_id: str, user_name: str, extra: Mapping[str, object]) -> None:
    """Write Airflow's audit log, before the deed and whatever becomes of it.

    Source: Airflow 3.3.2, `api_fastapi.logging.decorators.action_logging`.
    """
    entry = Log(
        event=event,
        task_instance=None,
        owner=user_name,
        owner_display_name=user_name,
        extra=json.dumps(extra),
        dag_id=dag_id,
    )
    with create_session(scoped=False) as session:
        session.add(entry)


def _busy(dag_id: str) -> DagRefusedError:
    return DagRefusedError(
        "Airflow's database did not take it",
        dag_id=dag_id,
        advice="Look at the policy's Dag whether it happened, and try again.",
        retryable=True,
    )
