"""The operator of the stage `retag`."""

from __future__ import annotations

from image_promotion.operators.stages import StageOperator


class RetagOperator(StageOperator):
    """Sets the target tags of copied images, if their source tags have not moved meanwhile.

    Args:
        promotion_ids: The promotions' ids in the ledger.
        image: What the instance is called in Airflow.
    """

    stage = "retag"
    ui_color = "#fde7e0"
