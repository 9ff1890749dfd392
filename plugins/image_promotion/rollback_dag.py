"""The DAG `rollback`: a form, and the stages that set a target tag back to what it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from airflow.sdk import DAG, AssetAlias, Param, TriggerRule, get_parsing_context

from image_promotion.dag_builder import repository_asset, task_defaults
from image_promotion.operators.attestation import AttestOperator
from image_promotion.operators.copying import CopyOperator
from image_promotion.operators.retagging import RetagOperator
from image_promotion.operators.rollback import (
    PLAN,
    AnnounceRollbackOperator,
    PlanRollbackOperator,
    RollbackReportOperator,
)
from image_promotion.operators.verification import VerifyOperator
from image_promotion.policy.model import ROLLBACK_DAG_ID

ALIAS = "image-promotion-rollback"
"""Stands for the repositories in which tags are set back, which are known only at run time."""

_DOCUMENTATION = """\
Sets a target tag back to what it was before, through copy, retag and verify, like any promotion.

The image that it is taken from is withdrawn: no policy promotes its digest to that repository
again, until a rollback sets a tag to it. A new digest is promoted as usual.

`Dry run` says what would be done.
"""


def build_rollback_dag(folder: Path) -> Mapping[str, DAG]:
    """Build the DAG by which people set target tags back.

    Args:
        folder: Where the policy files are; they are read when a task runs.

    Returns:
        The DAG by its id; none when Airflow reads the file for a task of another DAG.
    """
    if get_parsing_context().dag_id not in (None, ROLLBACK_DAG_ID):
        return {}
    with DAG(
        dag_id=ROLLBACK_DAG_ID,
        description="Sets a target tag back to what it was.",
        doc_md=_DOCUMENTATION,
        schedule=None,
        catchup=False,
        tags=["image-promotion"],
        params=_params(),
        auto_register=False,
        default_args=task_defaults(),
    ) as dag:
        plan = PlanRollbackOperator(
            task_id=PLAN,
            policies=folder,
            policy="{{ params.policy }}",
            tag="{{ params.tag }}",
            reason="{{ params.reason }}",
            to="{{ params.to or '' }}",
            expected="{{ params.taken_from or '' }}",
            repository="{{ params.repository or '' }}",
            connection="{{ params.connection or '' }}",
            plan_only="{{ params.dry_run }}",
            multiple_outputs=True,
        )
        line = cast("Mapping[str, Any]", plan.output)
        ids, image = line["promotion_ids"], line["image"]
        copy = CopyOperator(task_id="copy", promotion_ids=ids, image=image)
        retag = RetagOperator(task_id="retag", promotion_ids=ids, image=image)
        verify = VerifyOperator(task_id="verify", promotion_ids=ids, image=image)
        # Of a policy without `attestation` it leaves nothing.
        attest = AttestOperator(task_id="attest", promotion_ids=ids, image=image)
        announce = AnnounceRollbackOperator(
            task_id="announce",
            policies=folder,
            alias=AssetAlias(ALIAS),
            asset_of=repository_asset,
            # A statement that could not be signed does not keep others from what has moved.
            trigger_rule=TriggerRule.ALL_DONE,
        )
        report = RollbackReportOperator(
            task_id="report",
            plan_only="{{ params.dry_run }}",
            trigger_rule=TriggerRule.ALL_DONE,
        )
        plan >> copy >> retag >> verify >> attest >> announce >> report
    return {ROLLBACK_DAG_ID: dag}


def _params() -> dict[str, Param]:
    """Return the form."""

    def optional(title: str, description: str) -> Param:
        return Param(default=None, type=["string", "null"], title=title, description=description)

    return {
        "policy": Param(
            type="string",
            minLength=1,
            title="Policy",
            description="The name of the policy that set the tag.",
        ),
        "tag": Param(
            type="string", minLength=1, title="Target tag", description="The tag to set back."
        ),
        "reason": Param(
            type="string",
            minLength=1,
            title="Reason",
            description="Why; it is kept in the ledger, with your name.",
        ),
        "to": optional(
            "To digest", "What it is set back to, as sha256:...; empty for what it held before."
        ),
        "taken_from": optional(
            "From digest",
            "What it must hold now; empty for what the ledger thinks. Needed when somebody else "
            "has moved the tag; absent if it is not there.",
        ),
        "repository": optional(
            "Target repository", "Needed where the policy set the tag in several."
        ),
        "connection": optional(
            "Target connection", "Needed where the policy set the tag in several registries."
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Say what would be done; nothing is written.",
        ),
    }
