"""The operators of the stage `attest`, which only DAGs of policies with `attestation` have."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.operators.stages import StageOperator, StageSummary


class AttestOperator(StageOperator):
    """Leaves a signed statement about each verified promotion in the target.

    Args:
        promotion_ids: The promotions' ids in the ledger.
        image: What the instance is called in Airflow.
    """

    stage = "attest"
    ui_color = "#f2e9da"


class AttestEarlierOperator(InterruptibleOperator):
    """Attests what earlier runs have verified and could not attest, such as without their key.

    What this run promotes is the business of its own lines.

    Args:
        plan_only: Nothing may be written, so attest nothing.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#f2e9da"

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def execute(self, context: Context) -> StageSummary:
        """Attest.

        Args:
            context: Airflow's context.

        Returns:
            Ids and counts.

        Raises:
            AirflowSkipException: Nothing is left to attest.
            PromotionError: Of the one that failed, or of all that failed; the others are done.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            attest_earlier,
        )

        if RunRequest.read(dry_run=self.plan_only).dry_run:
            raise AirflowSkipException("a dry run writes nothing")
        ids, report = attest_earlier(self, key=run_key(context), log=logging.getLogger(__name__))
        if not ids:
            raise AirflowSkipException("every verified promotion has its statement")
        return StageSummary(promotion_ids=ids, done=report.done, not_ready=report.not_ready)
