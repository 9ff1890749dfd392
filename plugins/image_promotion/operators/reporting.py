"""The operators at the end of a run: what arrived is announced, and the run is summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Asset, BaseOperator, Context, TaskInstanceState
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.errors import PromotionError
from image_promotion.operators.runs import RunRequest, run_key

if TYPE_CHECKING:
    from image_promotion.policy.chaining import Place
    from image_promotion.promotion.reporting import RunReport

SHOWN = 50

NOTIFY = "notify"
"""The task that tells people; when it fails, that is its own failure, and not the run's."""

_NOT_DONE = (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)


class RunSummary(TypedDict):
    """What a run leaves in Airflow."""

    tags_seen: int
    rejected_by_name: int
    decided: dict[str, int]
    verified: int
    problems: int


def failed_tasks(context: Context) -> list[str]:
    """Return the tasks of this run that did not get through.

    The ledger knows what became of each image. It does not know that the evaluation never finished,
    or that an image verified long ago was verified again and is no longer well.

    Args:
        context: Airflow's context.

    Returns:
        Their ids, mapped ones with their index.
    """
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    # What was not told says nothing of what was done.
    return sorted(
        name
        for name, state in states.items()
        if state in _NOT_DONE and name not in (ti.task_id, NOTIFY)
    )


class AnnounceOperator(BaseOperator):
    """Makes asset events of the target repositories in which a run verified promotions.

    Policies whose source is such a repository run at once, also those whose source is a pattern. A
    run in which nothing arrived skips this task, and so announces nothing.

    Args:
        places: The assets by what they stand for. All of them are drawn in Airflow's asset graph;
            an event is made of those in which something has arrived.
        plan_only: Nothing was promoted, so announce nothing.
        evaluate_task_id: The task that says what is to be promoted.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#efe6f7"

    def __init__(
        self,
        *,
        places: Mapping[Place, Asset],
        plan_only: bool | str = False,
        evaluate_task_id: str = "evaluate",
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=list(places.values()), **kwargs)
        self.places = places
        self.plan_only = plan_only
        self.evaluate_task_id = evaluate_task_id

    def execute(self, context: Context) -> None:
        """Announce.

        Args:
            context: Airflow's context.

        Raises:
            AirflowSkipException: Nothing arrived.
            LedgerError: The ledger cannot be read.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            sum_up,
        )

        if RunRequest.read(dry_run=self.plan_only).dry_run:
            raise AirflowSkipException("a dry run promotes nothing")
        if not context["ti"].xcom_pull(task_ids=self.evaluate_task_id):
            raise AirflowSkipException("nothing was to be promoted")
        arrived = sum_up(run_key(context)).verified
        if not arrived:
            raise AirflowSkipException("nothing new has arrived")
        told = []
        for place, asset in self.places.items():
            here = [
                each
                for each in arrived
                if place.holds(each.target_connection, each.target_repository)
            ]
            if not here:
                continue
            told.append(asset)
            context["outlet_events"][asset].extra = {
                "promotion_ids": [promotion.id for promotion in here],
                "tags": list(sorted({promotion.target_tag for promotion in here})[:SHOWN]),
            }
            self.log.info("%d arrived in %s", len(here), asset.name)
        # Airflow makes an event of each outlet that the task has when it ends.
        self.outlets = context["ti"].task.outlets = told


class ReportOperator(BaseOperator):
    """Sums up a run, and fails when an image needs attention or a task did not get through.

    It runs whatever became of the tasks before. Airflow calls a run what its last task is, so this
    one makes a run in which an image failed a failed run, although the others were promoted.

    Args:
        plan_only: Nothing was written, so there is nothing to count.
        scan_task_id: The task whose result says what could not be looked at.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#eeeeee"

    def __init__(
        self, *, plan_only: bool | str = False, scan_task_id: str = "scan", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only
        self.scan_task_id = scan_task_id

    def execute(self, context: Context) -> RunSummary | None:
        """Report.

        Args:
            context: Airflow's context.

        Returns:
            Counts; None for a dry run, which is told in the log of `evaluate`.

        Raises:
            PromotionError: An image failed, is in conflict or could not be looked at, or a task of
                the run failed.
        """
        from image_promotion.ledger.records import Outcome  # noqa: PLC0415 - too heavy for parsing
        from image_promotion.operators.execution import sum_up  # noqa: PLC0415 - likewise

        failed = failed_tasks(context)
        scan = context["ti"].xcom_pull(task_ids=self.scan_task_id)
        if scan is None:
            raise self._refuse("the scan failed, so nothing was decided and nothing promoted")
        if RunRequest.read(dry_run=self.plan_only).dry_run:
            self._require_all_done(failed)
            self.log.info("dry run: nothing was written; the plan is in the log of evaluate")
            return None
        summary = sum_up(run_key(context), unreadable=scan["unreadable"])
        self._say(summary)
        if error := summary.error():
            self.log.error("%s", error)
            raise error
        self._require_all_done(failed)
        return RunSummary(
            tags_seen=summary.tags_seen,
            rejected_by_name=summary.rejected_by_name,
            decided={str(outcome): summary.decided[outcome] for outcome in Outcome},
            verified=len(summary.verified),
            problems=len(summary.problems),
        )

    def _require_all_done(self, failed: Sequence[str]) -> None:
        if failed:
            shown = ", ".join(failed[:SHOWN])
            tasks = "1 task" if len(failed) == 1 else f"{len(failed)} tasks"
            raise self._refuse(f"{tasks} of this run did not get through: {shown}")

    def _refuse(self, what: str) -> PromotionError:
        error = PromotionError(
            what, advice="Their logs say why. Clear them to run them and all after them again."
        )
        self.log.error("%s", error)
        return error

    def _say(self, summary: RunReport) -> None:
        self.log.info("%s", summary)
        for promotion in summary.promotions[:SHOWN]:
            self.log.info(
                "%s %s:%s -> %s:%s %s",
                promotion.state,
                promotion.source_repository,
                promotion.source_tag,
                promotion.target_repository,
                promotion.target_tag,
                promotion.digests,
            )
        if len(summary.promotions) > SHOWN:
            self.log.info("and %d more; the ledger has all", len(summary.promotions) - SHOWN)
