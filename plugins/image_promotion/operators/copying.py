"""The operator of the stage `copy`."""

from __future__ import annotations

from image_promotion.operators.stages import StageOperator


class CopyOperator(StageOperator):
    """Copies the content of images to the target, by digest, under no tag.

    Args:
        promotion_ids: The promotions' ids in the ledger.
        image: What the instance is called in Airflow.
    """

    stage = "copy"
    ui_color = "#e6f4ea"
