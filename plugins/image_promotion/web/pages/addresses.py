"""Where things are shown: on our pages, and on Airflow's.

All are paths from the root of Airflow's server, behind whatever prefix it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Kind, Promotion, State, Transition
from image_promotion.promotion.run_links import named_run, run_path
from image_promotion.web.pages.task_lines import Lines, RunName

MOUNTED_AT = "/image-promotion"

GROUP = "promote."
"""What the ids of the mapped tasks begin with."""

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
    lines: Mapping[RunName, Lines],
) -> str | None:
    """Return where Airflow's page shows the task that took a step, with its log.

    Args:
        step: The step.
        promotion: Whose step it is.
        run: The run that took it; None where the ledger does not know it.
        lines: Which promotions the mapped task instances of runs carry.

    Returns:
        The path: of the task instance that carried the promotion, or else of the task, or else of
        the run; None for a run of the command line.
    """
    of_run = run_path(step.run_key, run.kind if run else "")
    if of_run is None or run is None:
        return None
    stage = _TASKS.get(step.to_state)
    if step.to_state is State.FAILED and step.from_state is not None:
        stage = _FAILING.get(step.from_state)
    if stage is None:
        return f"{of_run}/tasks/evaluate" if step.to_state is State.PLANNED else of_run
    return stage_path(stage, promotion, run, lines)


def stage_path(
    stage: str, promotion: Promotion, run: KnownRun, lines: Mapping[RunName, Lines]
) -> str | None:
    """Return where Airflow's page shows the task of a stage that carries a promotion.

    Args:
        stage: The stage, such as ``copy``.
        promotion: The promotion.
        run: The run.
        lines: As in ``task_path``.

    Returns:
        The path, as of ``task_path``.
    """
    of_run, named = run_path(run.key, run.kind), named_run(run.key)
    if of_run is None or named is None:
        return None
    if promotion.kind is Kind.ROLLBACK:
        return f"{of_run}/tasks/{stage}"
    of_task = f"{of_run}/tasks/{GROUP}{stage}"
    for index, promotion_ids in enumerate(lines.get(named, ())):
        if promotion.id in promotion_ids:
            return f"{of_task}/mapped/{index}"
    return of_task
