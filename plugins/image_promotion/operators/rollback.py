"""The operators of the DAG `rollback` that policies' DAGs have not: its plan, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import AssetAlias, BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from image_promotion.errors import PolicyError, PromotionError, RollbackError
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.reporting import failed_tasks
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.policy.chaining import Place, outlets_of
from image_promotion.policy.loading import load_policies
from image_promotion.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Asset
    from pydantic import JsonValue

    from image_promotion.ledger.records import Promotion

PLAN = "plan"
"""The task that plans."""

UNKNOWN_USER = "somebody in Airflow"


class RollbackLine(TypedDict):
    """What the stages of a rollback act on."""

    promotion_ids: list[int]
    image: str


class RollbackSummary(TypedDict):
    """What a rollback leaves in Airflow."""

    promotion_id: int
    state: str


class PlanRollbackOperator(InterruptibleOperator):
    """Plans that a target tag is set back, or says why it cannot be.

    Its result names the promotion for the stages. A dry run says what would be done, in the log,
    and skips the rest.

    Args:
        policies: The folder of the policy files.
        policy: The name of the policy whose target tag it is.
        tag: The target tag.
        reason: Why it is set back.
        to: The digest it is set back to; empty for what it held before.
        expected: The digest it must hold now; empty for what the ledger thinks.
        repository: The target repository; needed where the policy sets the tag in several.
        connection: The target connection; likewise.
        plan_only: Say what would be done, and do nothing.
    """

    template_fields: Sequence[str] = (
        *("policy", "tag", "reason", "to", "expected"),
        *("repository", "connection", "plan_only"),
    )
    ui_color = "#fdf3d8"

    def __init__(
        self,
        *,
        policies: Path,
        policy: str,
        tag: str,
        reason: str,
        to: str = "",
        expected: str = "",
        repository: str = "",
        connection: str = "",
        plan_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policies = policies
        self.policy = policy
        self.tag = tag
        self.reason = reason
        self.to = to
        self.expected = expected
        self.repository = repository
        self.connection = connection
        self.plan_only = plan_only

    def execute(self, context: Context) -> RollbackLine:
        """Plan.

        Args:
            context: Airflow's context.

        Returns:
            The promotion's id, and what it is called.

        Raises:
            AirflowSkipException: It is a dry run.
            RollbackError: The tag cannot be set back as it was asked.
            PromotionError: There is no such policy; or the target, or the ledger, cannot be asked.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            look_for_rollback,
            plan_rollback_run,
        )
        from image_promotion.promotion.rollback import RollbackRequest  # noqa: PLC0415 - likewise

        policy = _named(self.policies, self.policy)
        reason = self.reason.strip()
        if not reason:
            raise RollbackError(
                "it is not said why the tag is set back", advice="Write it into the form: reason."
            )
        request = RollbackRequest(
            tag=self.tag.strip(),
            reason=reason,
            who=context["dag_run"].triggering_user_name or UNKNOWN_USER,
            to=self.to.strip() or None,
            expected=self.expected.strip() or None,
            repository=self.repository.strip() or None,
            connection=self.connection.strip() or None,
        )
        if RunRequest.read(dry_run=self.plan_only).dry_run:
            self.log.info("dry run: %s", look_for_rollback(self, policy, request))
            raise AirflowSkipException("a dry run sets nothing back")
        promotion = plan_rollback_run(self, policy, request, key=run_key(context))
        name = f"{promotion.target_repository}:{promotion.target_tag}"
        self.log.info(
            "%s is set back from %s to %s: %s",
            name,
            promotion.former_digest or "nothing",
            promotion.target_digest,
            reason,
        )
        return RollbackLine(promotion_ids=[promotion.id], image=name)


class AnnounceRollbackOperator(BaseOperator):
    """Makes an asset event of the repository in which a tag was set back.

    Policies whose source it is run at once: for them the tag has moved.

    Args:
        policies: The folder of the policy files.
        alias: Stands for the assets, which are known only when it runs.
        asset_of: Gives the asset of a repository, or of a pattern of them, behind a connection.
    """

    ui_color = "#efe6f7"

    def __init__(
        self,
        *,
        policies: Path,
        alias: AssetAlias,
        asset_of: Callable[[str, str], Asset],
        **kwargs: Any,
    ) -> None:
        super().__init__(outlets=[alias], **kwargs)
        self.policies = policies
        self.alias = alias
        self.asset_of = asset_of

    def execute(self, context: Context) -> None:
        """Announce.

        Args:
            context: Airflow's context.

        Raises:
            AirflowSkipException: Nothing was set back.
            PromotionError: The ledger cannot be read.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            sum_up,
        )

        if not context["ti"].xcom_pull(task_ids=PLAN):
            raise AirflowSkipException("nothing was planned")
        arrived = sum_up(run_key(context)).verified
        if not arrived:
            raise AirflowSkipException("nothing was set back")
        for promotion in arrived:
            extra: dict[str, JsonValue] = {
                "promotion_ids": [promotion.id],
                "tags": [promotion.target_tag],
            }
            for place in self._places(promotion):
                asset = self.asset_of(place.connection_id, place.repository)
                context["outlet_events"][self.alias].add(asset, extra=extra)

    def _places(self, promotion: Promotion) -> list[Place]:
        """Return the names under which policies wait for what arrives where a tag was set back."""
        policies = [each.policy for each in load_policies(self.policies).good]
        own = [each for each in policies if each.name == promotion.policy]
        return [
            place
            for place in (outlets_of(own[0], policies) if own else ())
            if place.holds(promotion.target_connection, promotion.target_repository)
        ]


class RollbackReportOperator(BaseOperator):
    """Sums a rollback up, and fails when the tag was not set back.

    Args:
        plan_only: Nothing was written, so there is nothing to sum up.
    """

    template_fields: Sequence[str] = ("plan_only",)
    ui_color = "#eeeeee"

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def execute(self, context: Context) -> RollbackSummary | None:
        """Report.

        Args:
            context: Airflow's context.

        Returns:
            What became of the rollback; None for a dry run.

        Raises:
            PromotionError: The tag was not set back, or a task of the run failed.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            sum_up,
        )

        failed = failed_tasks(context)
        if RunRequest.read(dry_run=self.plan_only).dry_run and not failed:
            self.log.info("dry run: nothing was written; the plan is in the log of plan")
            return None
        if PLAN in failed or RunRequest.read(dry_run=self.plan_only).dry_run:
            raise self._refuse("the rollback could not be planned, so nothing was done")
        summary = sum_up(run_key(context))
        if error := summary.error():
            self.log.error("%s", error)
            raise error
        if failed:
            raise self._refuse(f"tasks of this run did not get through: {', '.join(failed)}")
        (promotion,) = summary.promotions
        self.log.info(
            "%s: %s:%s holds %s in place of %s",
            promotion.state,
            promotion.target_repository,
            promotion.target_tag,
            promotion.target_digest,
            promotion.former_digest or "nothing",
        )
        return RollbackSummary(promotion_id=promotion.id, state=str(promotion.state))

    def _refuse(self, what: str) -> PromotionError:
        error = PromotionError(what, advice="Their logs say why.")
        self.log.error("%s", error)
        return error


def _named(folder: Path, name: str) -> Policy:
    for each in load_policies(folder).good:
        if each.policy.name == name:
            return each.policy
    raise PolicyError(
        f"there is no valid policy of the name {name!r}",
        file=folder,
        advice="`promotion validate` lists those there are, and what is wrong with others.",
    )
