"""The operator of the stage `recheck`: second thoughts about what is promoted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.metrics import count_recheck
from image_promotion.operators.runs import RunRequest, run_key


class RecheckSummary(TypedDict):
    """What a recheck leaves in Airflow."""

    looked_at: int
    failed: list[int]
    rolled_back: list[int]


class RecheckOperator(InterruptibleOperator):
    """Judges promoted images again on fresh evidence, those not looked at for long enough.

    It succeeds when it could look, whatever it found: what fails is told by `report`, which fails,
    and by `notify`.

    Args:
        plan_only: Nothing is written in a dry run, so there is nothing to look at again.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#fbe9e7"

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def execute(self, context: Context) -> RecheckSummary:
        """Look again.

        Args:
            context: Airflow's context.

        Returns:
            How many promotions were looked at, and the ids of those that failed, and of rollbacks.

        Raises:
            AirflowSkipException: It is a dry run.
            PromotionError: A registry cannot be asked, the ledger cannot be written, or a rollback
                did not get through.
        """
        from image_promotion.operators.aftermath import (  # noqa: PLC0415 - too heavy for parsing
            recheck_promoted,
        )
        from image_promotion.promotion.decision import in_one_line  # noqa: PLC0415 - likewise

        if RunRequest.read(dry_run=self.plan_only).dry_run:
            raise AirflowSkipException("a dry run writes nothing")
        found, set_back = recheck_promoted(
            self, key=run_key(context), log=logging.getLogger(__name__)
        )
        self.log.info("%s", found)
        for look in found.failed:
            promotion = look.promotion
            self.log.error(
                "%s:%s %s does not pass any more: %s",
                promotion.target_repository,
                promotion.target_tag,
                promotion.target_digest,
                in_one_line(look.reasons),
            )
        for rollback in set_back.done:
            self.log.info(
                "%s:%s was set back to %s",
                rollback.target_repository,
                rollback.target_tag,
                rollback.target_digest,
            )
        for refusal in set_back.refused:
            self.log.error("not set back: %s", refusal)
        count_recheck(context["dag_run"].dag_id, looks=len(found.looks), failed=len(found.failed))
        return RecheckSummary(
            looked_at=len(found.looks),
            failed=[look.promotion.id for look in found.failed],
            rolled_back=[promotion.id for promotion in set_back.done],
        )
