"""Where Airflow's page shows the runs that the ledger names."""

from __future__ import annotations

from urllib.parse import quote

from image_promotion.ledger.lives import KnownRun
from image_promotion.ledger.records import Kind, State

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


class RunLinks:
    """Gives the addresses of runs and their tasks.

    Args:
        base_url: Where Airflow's page is, as ``[api] base_url`` says; empty where nobody knows.
    """

    def __init__(self, base_url: str = "") -> None:
        self._base_url = base_url.rstrip("/")

    def run(self, run: KnownRun | None) -> str | None:
        """Return the address of a run.

        Args:
            run: The run; None when the ledger does not know it.

        Returns:
            The URL; None for a run of the command line, and where Airflow's address is not known.
        """
        if run is None or run.kind == COMMAND_LINE or not self._base_url:
            return None
        # An Airflow run is called by the DAG's id, which has no slash, and its own.
        dag_id, _, run_id = run.key.partition("/")
        if not run_id:
            return None
        return f"{self._base_url}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

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
