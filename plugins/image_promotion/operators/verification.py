"""The operator of the stage `verify`."""

from __future__ import annotations

from image_promotion.operators.stages import StageOperator


class VerifyOperator(StageOperator):
    """Reads promoted images back by their target tags and compares them with the decision.

    Args:
        promotion_ids: The promotions' ids in the ledger.
        image: What the instance is called in Airflow.
    """

    stage = "verify"
    ui_color = "#e3f2f1"
