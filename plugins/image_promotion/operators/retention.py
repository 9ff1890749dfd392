"""The operator `retain`, which only DAGs of policies with `retention` have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, run_key

SHOWN = 50


class RetentionSummary(TypedDict):
    """What retention leaves in Airflow."""

    mode: str
    superfluous: int
    removed: int
    kept: int
    spared: int


class RetainOperator(InterruptibleOperator):
    """Takes away the target tags that the policy does not keep, or says which those are.

    Args:
        plan_only: Say what would be removed, whatever the policy says.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#f6e3e3"

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def execute(self, context: Context) -> RetentionSummary:
        """Retain.

        Args:
            context: Airflow's context.

        Returns:
            Counts.

        Raises:
            AirflowSkipException: The run has not begun, or is a dry run of the whole DAG.
            PromotionError: A tag could not be removed; the others are.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            retain_run,
        )

        if RunRequest.read(dry_run=self.plan_only).dry_run:
            raise AirflowSkipException("a dry run removes nothing; see `promotion retention`")
        report = retain_run(self, key=run_key(context))
        if report is None:
            raise AirflowSkipException("the scan did not begin the run")
        self.log.info("%s", report)
        verb = "removed" if report.removed else "superfluous"
        for each in (report.removed or report.superfluous)[:SHOWN]:
            self.log.info(
                "%s: %s:%s %s", verb, each.target_repository, each.target_tag, each.target_digest
            )
        for spared in report.spared[:SHOWN]:
            self.log.info("spared: %s", spared)
        if error := report.error():
            self.log.error("%s", error)
            raise error
        return RetentionSummary(
            mode=str(report.mode),
            superfluous=len(report.superfluous),
            removed=len(report.removed),
            kept=report.kept,
            spared=len(report.spared),
        )
