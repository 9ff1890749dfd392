"""What the operators of copy, retag and verify have in common: a batch, and one stage for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.errors import PromotionError
from image_promotion.operators import metrics
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import run_key


class StageSummary(TypedDict):
    """What a stage leaves in Airflow: ids and counts."""

    promotion_ids: list[int]
    done: int
    not_ready: int


class StageOperator(InterruptibleOperator):
    """Takes promotions of the ledger through one stage.

    It may be killed, retried or cleared at any moment: what is done already is found done. It runs
    whatever became of the stage before (the DAG says so by its trigger rule) and itself leaves out
    promotions that are not ready, so that in a batch one failure does not hold the others up.

    Args:
        promotion_ids: The promotions' ids in the ledger.
        image: What the instance is called in Airflow: the image, or the first of the batch. A
            mapped one shows it by ``map_index_template="{{ task.image }}"``.
    """

    stage: ClassVar[str]
    template_fields: Sequence[str] = ("promotion_ids", "image")

    def __init__(self, *, promotion_ids: Sequence[int], image: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.promotion_ids = promotion_ids
        self.image = image

    def execute(self, context: Context) -> StageSummary:
        """Carry the batch through the stage.

        Args:
            context: Airflow's context.

        Returns:
            Ids and counts.

        Raises:
            AirflowSkipException: None of the promotions was ready for this stage.
            PromotionError: Of the one that failed, or of all that failed; the others are done.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            carry_out_stage,
        )

        ids = [int(each) for each in self.promotion_ids]
        began = datetime.now(UTC)
        try:
            report = carry_out_stage(
                self, self.stage, ids, key=run_key(context), log=logging.getLogger(__name__)
            )
        finally:
            if metrics.are_on():
                self._count(context, ids, began)
        if not report.done:
            raise AirflowSkipException(
                f"nothing to {self.stage}: an earlier stage failed, or the tag has moved"
            )
        return StageSummary(promotion_ids=ids, done=report.done, not_ready=report.not_ready)

    def _count(self, context: Context, ids: Sequence[int], began: datetime) -> None:
        """Send figures; what the stage came to is not touched by a ledger that cannot be read."""
        from image_promotion.operators.aftermath import (  # noqa: PLC0415 - too heavy for parsing
            moved_since,
        )

        with suppress(PromotionError):
            moved = moved_since(ids, began)
            metrics.count_stage(
                context["dag_run"].dag_id,
                self.stage,
                took=datetime.now(UTC) - began,
                bytes_copied=moved.bytes_copied if self.stage == "copy" else 0,
                verified=moved.verified if self.stage == "verify" else 0,
            )
