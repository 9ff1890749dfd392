"""The operator of the stage `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Context

from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.policy.model import Policy

if TYPE_CHECKING:
    from image_promotion.promotion.decision import ImageDecision
    from image_promotion.promotion.evaluation import Evaluation
    from image_promotion.promotion.planning import PlannedImage

SHOWN = 50


class BatchArguments(TypedDict):
    """The arguments of one mapped instance of the stages copy, retag and verify."""

    promotion_ids: list[int]
    image: str


class EvaluateOperator(InterruptibleOperator):
    """Decides which images of a scanned source are promoted, and plans their promotions.

    Its result is a list with one entry for each line of the stages copy, retag and verify: the ids
    of promotions in the ledger, and a label. In a dry run the list is empty, and the plan is in the
    log.

    Args:
        policy: The policy; a run that was scanned goes on with the version it was scanned with.
        only_tags: The source tags to decide about, as a list or a text; empty for all.
        plan_only: Say what would be done, and do nothing.
        decide_again: Decide again what was rejected before.
    """

    template_fields: Sequence[str] = ("only_tags", "plan_only", "decide_again")
    ui_color = "#fdf3d8"

    def __init__(
        self,
        *,
        policy: Policy,
        only_tags: Sequence[str] | str = (),
        plan_only: bool | str = False,
        decide_again: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.only_tags = only_tags
        self.plan_only = plan_only
        self.decide_again = decide_again

    def execute(self, context: Context) -> list[BatchArguments]:
        """Evaluate.

        Args:
            context: Airflow's context.

        Returns:
            The lines of work, by ids.

        Raises:
            PromotionError: A registry cannot be asked, or the ledger cannot be written.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            evaluate_run,
            plan_run,
        )
        from image_promotion.promotion.batches import divide  # noqa: PLC0415 - likewise

        request = RunRequest.read(
            self.only_tags, dry_run=self.plan_only, decide_again=self.decide_again
        )
        if request.dry_run:
            self._say_plan(plan_run(self, self.policy, request))
            return []
        policy, evaluation = evaluate_run(self, request, key=run_key(context))
        self._say_decisions(evaluation)
        return [
            BatchArguments(promotion_ids=list(batch.promotion_ids), image=batch.label)
            for batch in divide(evaluation.promotions, most=policy.limits.tasks_per_run)
        ]

    def _say_plan(self, rows: Sequence[PlannedImage]) -> None:
        new = [row for row in rows if row.is_new]
        self.log.info("dry run: %d of %d tags would be promoted now", len(new), len(rows))
        for row in rows[:SHOWN]:
            what = row.outcome or "unreadable"
            if row.promotion and not row.is_new:
                what = row.promotion.state
            arrow = f" -> {row.target}" if row.target else ""
            self.log.info("%s %s:%s%s: %s", what, row.repository, row.tag, arrow, row.why)
        if len(rows) > SHOWN:
            self.log.info("and %d more; `promotion plan` shows all", len(rows) - SHOWN)

    def _say_decisions(self, evaluation: Evaluation) -> None:
        self.log.info("%s", evaluation)
        for decision in evaluation.decisions[:SHOWN]:
            self.log.info("%s", _in_words(decision))
        if len(evaluation.decisions) > SHOWN:
            self.log.info("and %d more; the ledger has all", len(evaluation.decisions) - SHOWN)


def _in_words(decision: ImageDecision) -> str:
    image = decision.image
    reasons = "; ".join(f"{each.trigger}: {each.found}" for each in decision.reasons)
    arrow = f" -> {decision.target}" if decision.target else ""
    until = (
        f" (asked again at {decision.wait_until:%Y-%m-%d %H:%M}Z)" if decision.wait_until else ""
    )
    return f"{decision.outcome} {image.repository}:{image.tag}{arrow}: {reasons}{until}"
