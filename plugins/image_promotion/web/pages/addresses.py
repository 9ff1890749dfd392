"""Where things are shown: on our pages, and on Airflow's.

All are paths from the root of Airflow's server, behind whatever prefix it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Kind, Promotion, State, Transition
from image_promotion.promotion.batches import image_label
from image_promotion.promotion.run_links import named_run, run_path
from image_promotion.web.pages.airflow_state import TaskKey

MOUNTED_AT = "/image-promotion"

_GROUP = "promote."
_TASKS = {State.COPIED: "copy", State.TAGGED: "retag", State.VERIFIED: "verify"}
# A promotion fails in the task that would have taken it on from there.
_FAILING = {State.PLANNED: "copy", State.COPIED: "retag", State.TAGGED: "verify"}


def dag_path(dag_id: str) -> str:
    """Return where Airflow's page shows a DAG."""
    return f"/dags/{quote(dag_id, safe='')}"


def task_path(
    step: Transition,
    promotion: Promotion,
    run: KnownRun | None,
    map_indexes: Mapping[TaskKey, int],
) -> str | None:
    """Return where Airflow's page shows the task that took a step, with its log.

    Args:
        step: The step.
        promotion: Whose step it is.
        run: The run that took it; None where the ledger does not know it.
        map_indexes: The mapped task instances of the run.

    Returns:
        The path: of the image's own task instance, or else of the task, or else of the run; None
        for a run of the command line.
    """
    of_run = run_path(step.run_key, run.kind if run else "")
    named = named_run(step.run_key)
    if of_run is None or named is None or run is None:
        return None
    stage = _TASKS.get(step.to_state)
    if step.to_state is State.FAILED and step.from_state is not None:
        stage = _FAILING.get(step.from_state)
    if stage is None:
        return f"{of_run}/tasks/evaluate" if step.to_state is State.PLANNED else of_run
    if promotion.kind is Kind.ROLLBACK:
        return f"{of_run}/tasks/{stage}"
    task = f"{_GROUP}{stage}"
    index = map_indexes.get((*named, task, image_label(promotion)))
    of_task = f"{of_run}/tasks/{task}"
    return of_task if index is None else f"{of_task}/mapped/{index}"
