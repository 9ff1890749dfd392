"""Where Airflow's page shows the runs that the ledger names."""

from __future__ import annotations

from urllib.parse import quote

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Kind, Run, State

COMMAND_LINE = "command line"
"""The kind of the runs that no scheduler knows."""

_TASKS = {
    State.PLANNED: "evaluate",
    State.COPIED: "promote.copy",
    State.TAGGED: "promote.retag",
    State.VERIFIED: "promote.verify",
}
_TASKS_OF_ROLLBACK = {
    State.PLANNED: "plan",
    State.COPIED: "copy",
    State.TAGGED: "retag",
    State.VERIFIED: "verify",
}


def named_run(key: str) -> tuple[str, str] | None:
    """Return the DAG and the run that a key of the ledger names; None for one of no Airflow."""
    # The id of a DAG has no slash; that of a run may have some.
    dag_id, _, run_id = key.partition("/")
    return (dag_id, run_id) if run_id else None


def run_path(key: str, kind: str) -> str | None:
    """Return where Airflow's page shows a run.

    Args:
        key: The run's key in the ledger.
        kind: How it came about.

    Returns:
        The path from the root of Airflow's page; None for a run of the command line.
    """
    named = named_run(key)
    if named is None or kind == COMMAND_LINE:
        return None
    dag_id, run_id = (quote(each, safe="") for each in named)
    return f"/dags/{dag_id}/runs/{run_id}"


class RunLinks:
    """Gives the addresses of runs and their tasks.

    Args:
        base_url: Where Airflow's page is, as ``[api] base_url`` says; empty where nobody knows.
    """

    def __init__(self, base_url: str = "") -> None:
        self._base_url = base_url.rstrip("/")

    def run(self, run: KnownRun | Run | None) -> str | None:
        """Return the address of a run.

        Args:
            run: The run; None when the ledger does not know it.

        Returns:
            The URL; None for a run of the command line, and where Airflow's address is not known.
        """
        path = run_path(run.key, run.kind) if run else None
        return f"{self._base_url}{path}" if path and self._base_url else None

    def task(self, run: KnownRun | None, kind: Kind, state: State) -> str | None:
        """Return the address of the task that took a promotion to a state, where its log is.

        Args:
            run: The run.
            kind: What the promotion is for.
            state: The state that was reached.

        Returns:
            The URL of the task, all its mapped instances together; that of the run where no one
            task is known to have done it.
        """
        of_run = self.run(run)
        tasks = _TASKS_OF_ROLLBACK if kind is Kind.ROLLBACK else _TASKS
        if of_run is None or state not in tasks:
            return of_run
        return f"{of_run}/tasks/{tasks[state]}"


NO_LINKS = RunLinks()
