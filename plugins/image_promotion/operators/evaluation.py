"""The operator of the stage `evaluate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Context

from image_promotion.operators import metrics
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.policy.governance import Mode
from image_promotion.policy.model import Policy

if TYPE_CHECKING:
    from image_promotion.promotion.decision import ImageDecision
    from image_promotion.promotion.evaluation import Evaluation
    from image_promotion.promotion.previewing import Preview

SHOWN = 50

PLAN = "plan"
"""The key of the XCom that a dry run leaves: counts and sizes, by name."""


class BatchArguments(TypedDict):
    """The arguments of one mapped instance of the stages copy, retag and verify."""

    promotion_ids: list[int]
    image: str


class EvaluateOperator(InterruptibleOperator):
    """Decides which images of a scanned source are promoted, and plans their promotions.

    Its result is a list with one entry for each line of the stages copy, retag and verify: the ids
    of promotions in the ledger, and a label. In a dry run the list is empty, the plan is in the
    log, and its figures are the XCom ``plan``.

    Args:
        policy: The policy; a run that was scanned goes on with the version it was scanned with.
        only_tags: The source tags to decide about, as a list or a text; empty for all.
        plan_only: Say what would be done, and do nothing.
        decide_again: Decide again what was rejected before.
        override: Why the tags are promoted although a trigger does not hold; empty otherwise.
    """

    template_fields: Sequence[str] = ("only_tags", "plan_only", "decide_again", "override")
    ui_color = "#fdf3d8"

    def __init__(
        self,
        *,
        policy: Policy,
        only_tags: Sequence[str] | str = (),
        plan_only: bool | str = False,
        decide_again: bool | str = False,
        override: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.only_tags = only_tags
        self.plan_only = plan_only
        self.decide_again = decide_again
        self.override = override

    def execute(self, context: Context) -> list[BatchArguments]:
        """Evaluate.

        Args:
            context: Airflow's context.

        Returns:
            The lines of work, by ids.

        Raises:
            PromotionError: A registry cannot be asked, or the ledger cannot be written.
        """
        from image_promotion.operators.aftermath import (  # noqa: PLC0415 - too heavy for parsing
            longest_wait,
        )
        from image_promotion.operators.execution import (  # noqa: PLC0415 - likewise
            evaluate_run,
            plan_run,
        )
        from image_promotion.promotion.batches import divide  # noqa: PLC0415 - likewise

        request = RunRequest.read(
            self.only_tags,
            dry_run=self.plan_only,
            decide_again=self.decide_again,
            override=self.override,
        )
        if request.dry_run:
            self._say_plan(plan_run(self, self.policy, request), context)
            return []
        policy, evaluation = evaluate_run(self, request, key=run_key(context))
        self._say_decisions(evaluation)
        if metrics.are_on():
            decided = Counter(str(decision.outcome) for decision in evaluation.decisions)
            metrics.count_decisions(policy.name, decided, longest_wait(policy.name))
        if policy.mode is Mode.AUDIT:
            earned = sum(decision.outcome == "promote" for decision in evaluation.decisions)
            self.log.info("audit: would promote %d, and copies nothing", earned)
        return [
            BatchArguments(promotion_ids=list(batch.promotion_ids), image=batch.label)
            for batch in divide(
                evaluation.promotions,
                most=policy.limits.tasks_per_run,
                per_line=policy.limits.images_per_task,
            )
        ]

    def _say_plan(self, found: Preview, context: Context) -> None:
        """Write the plan to the log, and its counts beside the task's result.

        Airflow gives a task no way to leave a note on its run.
        """
        from image_promotion.promotion.plan_document import (  # noqa: PLC0415 - too heavy for parsing
            document,
            figures_of,
        )

        for line in document(self.policy.name, found):
            self.log.info("%s", line)
        context["ti"].xcom_push(key=PLAN, value=dict(figures_of(found)))

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
