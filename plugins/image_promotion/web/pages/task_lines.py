"""Which promotions each mapped task instance of a run carries, as Airflow keeps it.

The stages are mapped over a list that an earlier task has returned: the n-th item is what the
instances with the map index n work on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping

from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import or_, select

MAX_RUNS = 200
"""Of so many runs the lines are looked up; the links of others lead to the whole task."""

EVALUATE, APPROVE = "evaluate", "approve"

RunName = tuple[str, str]
"""A run, by its DAG's id and its own."""

Lines = tuple[frozenset[int], ...]
"""The promotions of each mapped task instance, by its map index."""


class _Line(BaseModel):
    """What one mapped task instance is given, as far as it matters here."""

    promotion_ids: list[int]


_LINES = TypeAdapter(list[_Line])


def lines_of(runs: Collection[RunName]) -> Mapping[RunName, Lines]:
    """Find what the mapped task instances of runs carry.

    Args:
        runs: The runs.

    Returns:
        Their lines; a run that mapped nothing, or whose list is kept elsewhere than in Airflow's
        database, is not among them.
    """
    by_dag: dict[str, list[str]] = defaultdict(list)
    for dag_id, run_id in sorted(runs)[:MAX_RUNS]:
        by_dag[dag_id].append(run_id)
    lists: dict[RunName, dict[str, Lines]] = defaultdict(dict)
    if not by_dag:
        return {}
    with create_session() as session:
        for dag_id, run_ids in by_dag.items():
            query = select(XComModel.run_id, XComModel.task_id, XComModel.value).where(
                XComModel.dag_id == dag_id,
                XComModel.run_id.in_(run_ids),
                or_(XComModel.task_id == EVALUATE, XComModel.task_id.startswith(APPROVE)),
                XComModel.map_index == -1,
                XComModel.key == XCOM_RETURN_KEY,
            )
            for run_id, task_id, value in session.execute(query):
                lines = read_lines(value)
                if lines is not None:
                    lists[dag_id, run_id][task_id] = lines
    return {run: found[max(found, key=_place)] for run, found in lists.items()}


def read_lines(value: object) -> Lines | None:
    """Read what a task returned to map others over.

    Args:
        value: The value as Airflow keeps it: a list, or JSON of one.

    Returns:
        The lines; None for anything else.
    """
    try:
        if isinstance(value, str):
            value = json.loads(value)
        return tuple(frozenset(each.promotion_ids) for each in _LINES.validate_python(value))
    except (ValueError, ValidationError):
        return None


def _place(task_id: str) -> tuple[int, str]:
    """Sort tasks by when they come: what is mapped over is the list of the last one."""
    return (0, "") if task_id == EVALUATE else (len(task_id), task_id)
