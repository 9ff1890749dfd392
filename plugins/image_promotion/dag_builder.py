"""A policy becomes a DAG: scan, evaluate, then for each image copy, retag, verify, then report.

DAG files are parsed again and again, and by every task. So nothing here opens a socket, a
connection or the ledger, and of the product only the policies and the operators' shells are
imported: the client and the ledger wait until a task runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from airflow.sdk import (
    DAG,
    Asset,
    AssetOrTimeSchedule,
    BaseOperator,
    CronTriggerTimetable,
    Param,
    TriggerRule,
    chain,
    get_parsing_context,
    task_group,
)

from image_promotion.errors import PolicyError
from image_promotion.operators.attestation import AttestEarlierOperator, AttestOperator
from image_promotion.operators.copying import CopyOperator
from image_promotion.operators.evaluation import EvaluateOperator
from image_promotion.operators.notification import NotifyOperator
from image_promotion.operators.rechecking import RecheckOperator
from image_promotion.operators.reporting import NOTIFY, AnnounceOperator, ReportOperator
from image_promotion.operators.retagging import RetagOperator
from image_promotion.operators.retention import RetainOperator
from image_promotion.operators.retries import RetryWhatMayPass
from image_promotion.operators.scanning import ScanOperator
from image_promotion.operators.verification import VerifyOperator
from image_promotion.policy.asset_names import asset_name, asset_uri
from image_promotion.policy.chaining import outlets_of
from image_promotion.policy.governance import Overrides
from image_promotion.policy.loading import load_policies
from image_promotion.policy.model import Policy

POLICIES_VARIABLE = "IMAGE_PROMOTION_POLICIES"

RETRIES = 3
RETRY_DELAY = timedelta(seconds=10)
RETRY_BACKOFF = 2.0
MAX_RETRY_DELAY = timedelta(minutes=5)

# The report waits for it, and the next run for the report.
NOTIFY_RETRIES = 2
NOTIFY_TIMEOUT = timedelta(minutes=5)
# Asking again costs nothing, and giving up would cost all that was to be approved.
APPROVAL_RETRIES = 20
APPROVAL_RETRY_DELAY = timedelta(seconds=2)

# Airflow's own default of 16 would let 50 lines of work wait for one another.
MAX_ACTIVE_TASKS = 32

# So many runs of a policy may wait for people at a time; each asks about other images.
MAX_ACTIVE_RUNS = 16

# Airflow refuses a DAG with a longer tag; an id of a connection may be longer.
MAX_DAG_TAG_CHARACTERS = 100


class _LineArguments(TypedDict):
    """The arguments of one line of stages."""

    promotion_ids: Sequence[int]
    image: str
    map_index_template: str


@dataclass(frozen=True, slots=True)
class BuiltDags:
    """What a folder of policies came to.

    Attributes:
        dags: The DAGs by their ids, which are the policies' names.
        broken: What is wrong with the policies that gave none.
    """

    dags: dict[str, DAG]
    broken: tuple[PolicyError, ...]


def policies_folder(default: Path) -> Path:
    """Return where the policy files are.

    Args:
        default: Where they are unless the environment says otherwise.

    Returns:
        The folder that IMAGE_PROMOTION_POLICIES names, or the default.
    """
    return Path(os.environ.get(POLICIES_VARIABLE) or default)


def build_dags(folder: Path) -> dict[str, DAG]:
    """Build the DAGs of all valid policies in a folder.

    A broken policy never breaks another: it is left out here and told by `refuse_broken_policies`.

    Args:
        folder: Where the policy files are.

    Returns:
        The DAGs by their ids, which are the policies' names.
    """
    # A task's process parses the file again for one DAG only.
    return _build(folder, wanted=get_parsing_context().dag_id).dags


def refuse_broken_policies(folder: Path) -> None:
    """Raise what is wrong with the policies of a folder, so that Airflow shows it.

    Args:
        folder: Where the policy files are.

    Raises:
        PolicyError: At least one policy is broken; the text lists every fault with its place.
    """
    broken = _build(folder).broken
    if broken:
        faults = "\n".join(f"  {error}" for error in broken)
        files = len({error.file for error in broken})
        left_out = "1 policy file is" if files == 1 else f"{files} policy files are"
        raise PolicyError(
            f"{left_out} left out, the others run; `promotion validate` shows the same:\n{faults}"
        )


def _build(folder: Path, wanted: str | None = None) -> BuiltDags:
    """Build the DAGs of a folder, or the one that is wanted."""
    loaded = load_policies(folder)
    dags = {}
    broken = list(loaded.broken)
    for each in loaded.good:
        if wanted not in (None, each.policy.name):
            continue
        try:
            others = [other.policy for other in loaded.good]
            dags[each.policy.name] = build_dag(each.policy, each.path, others)
        except Exception as error:  # noqa: BLE001 - Airflow refuses DAGs with errors of any kind, and one refused must not take the others along
            broken.append(
                PolicyError(f"Airflow does not take it as a DAG: {error}", file=each.path, line=1)
            )
    return BuiltDags(dags, tuple(broken))


def repository_asset(connection_id: str, repository: str) -> Asset:
    """Return the asset that stands for a repository behind a connection.

    Args:
        connection_id: The Airflow connection's id.
        repository: The repository, or a pattern of them.

    Returns:
        The asset; it is known without looking the connection up.
    """
    return Asset(
        name=asset_name(connection_id, repository), uri=asset_uri(connection_id, repository)
    )


def task_defaults() -> dict[str, Any]:
    """Return how each task is tried again, as a DAG's ``default_args``."""
    return {
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": RETRY_BACKOFF,
        "max_retry_delay": MAX_RETRY_DELAY,
        "retry_policy": RetryWhatMayPass(),
    }


def build_dag(policy: Policy, path: Path, others: Sequence[Policy] = ()) -> DAG:
    """Build the DAG of one policy.

    Args:
        policy: The policy.
        path: Its file, named on the DAG's documentation page.
        others: The policies that may wait for what this one brings.

    Returns:
        The DAG, with the policy's name as its id.
    """
    connections = dict.fromkeys((policy.source.connection, *policy.target_connections))
    with DAG(
        dag_id=policy.name,
        description=policy.description or None,
        doc_md=f"{policy.describe()}\n\nPolicy file: `{path.name}`\n",
        schedule=_schedule(policy),
        catchup=False,
        # Two runs of one policy would do no harm, and the second would find nothing to do. While
        # one waits for people, new images must not wait with it.
        max_active_runs=1 if policy.approval is None else MAX_ACTIVE_RUNS,
        max_active_tasks=MAX_ACTIVE_TASKS,
        tags=["image-promotion", *(each[:MAX_DAG_TAG_CHARACTERS] for each in connections)],
        params=_params(policy),
        # Else Airflow takes up each DAG that a file makes, and `policy_errors.py` makes them all to
        # see whether they can be made. What a file keeps under a global name is found all the same.
        auto_register=False,
        default_args=task_defaults(),
    ) as dag:
        scan = ScanOperator(
            task_id="scan",
            policy=policy,
            only_tags=_ONLY_TAGS,
            plan_only="{{ params.dry_run }}",
            override=_OVERRIDE,
        )
        evaluate = EvaluateOperator(
            task_id="evaluate",
            policy=policy,
            only_tags=_ONLY_TAGS,
            plan_only="{{ params.dry_run }}",
            decide_again="{{ params.decide_again }}",
            override=_OVERRIDE,
        )

        @task_group
        def promote(promotion_ids: list[int], image: str) -> None:
            line = _LineArguments(
                promotion_ids=promotion_ids, image=image, map_index_template="{{ task.image }}"
            )
            copy = CopyOperator(task_id="copy", **line)
            # Each stage leaves out what is not ready for it, so that in a batch one image's failure
            # does not keep the others from being tagged and verified.
            retag = RetagOperator(task_id="retag", trigger_rule=TriggerRule.ALL_DONE, **line)
            verify = VerifyOperator(task_id="verify", trigger_rule=TriggerRule.ALL_DONE, **line)
            copy >> retag >> verify
            if policy.attestation is not None:
                verify >> AttestOperator(
                    task_id="attest", trigger_rule=TriggerRule.ALL_DONE, **line
                )

        approvals = _approvals(policy)
        planned = (approvals or [evaluate])[-1]
        promoted = promote.expand_kwargs(planned.output)
        announce = AnnounceOperator(
            task_id="announce",
            places={
                place: repository_asset(place.connection_id, place.repository)
                for place in outlets_of(policy, others)
            },
            plan_only="{{ params.dry_run }}",
            evaluate_task_id=planned.task_id,
            trigger_rule=TriggerRule.ALL_DONE,
        )
        report = ReportOperator(
            task_id="report",
            plan_only="{{ params.dry_run }}",
            scan_task_id=scan.task_id,
            trigger_rule=TriggerRule.ALL_DONE,
        )
        chain(scan, evaluate, *approvals, promoted, announce, report)
        if policy.attestation is not None:
            earlier = AttestEarlierOperator(
                task_id="attest_earlier", plan_only="{{ params.dry_run }}"
            )
            scan >> earlier >> report
        _aftermath(policy, evaluate, announce, report)
    return dag


def _aftermath(
    policy: Policy, evaluate: BaseOperator, announce: BaseOperator, report: BaseOperator
) -> None:
    """Make the tasks for second thoughts and for telling people, where the policy wants them."""
    told_after = [announce]
    if policy.recheck is not None:
        recheck = RecheckOperator(
            task_id="recheck",
            plan_only="{{ params.dry_run }}",
            trigger_rule=TriggerRule.ALL_DONE,
        )
        evaluate >> recheck >> report
        told_after.append(recheck)
    if policy.retention is not None:
        retain = RetainOperator(
            task_id="retain",
            plan_only="{{ params.dry_run }}",
            trigger_rule=TriggerRule.ALL_DONE,
        )
        announce >> retain >> report
    if policy.notify:
        # Before the report, which says what the run came to whatever became of this one.
        notify = NotifyOperator(
            task_id=NOTIFY,
            policy=policy,
            plan_only="{{ params.dry_run }}",
            trigger_rule=TriggerRule.ALL_DONE,
            retries=NOTIFY_RETRIES,
            execution_timeout=NOTIFY_TIMEOUT,
        )
        told_after >> notify >> report


def _approvals(policy: Policy) -> list[BaseOperator]:
    """Make the tasks that ask people, one for each approval that is needed.

    They stand before the mapping: in a mapped group a task that is to be skipped may run.
    """
    if policy.approval is None:
        return []
    from image_promotion.operators.approval import (  # noqa: PLC0415 - it loads Airflow's own operator
        ApproveOperator,
    )

    needed = policy.approval.approvals
    return [
        ApproveOperator(
            task_id=f"approve_{n}" if n > 1 else "approve",
            policy=policy,
            is_first=n == 1,
            is_last=n == needed,
            only_tags=_ONLY_TAGS,
            # An answer that comes in the moment in which the task parks can fail it; see
            # docs/how-to/approvals.md. People are asked again at once.
            retries=APPROVAL_RETRIES,
            retry_delay=APPROVAL_RETRY_DELAY,
            retry_exponential_backoff=0,
        )
        for n in range(1, needed + 1)
    ]


# Tags hold no blanks, so that a text can hold several; the page shows it as what the run was asked.
_ONLY_TAGS = "{{ (params.tags or []) | join(' ') }}"

_OVERRIDE = "{{ params.override_reason or '' }}"


def _schedule(policy: Policy) -> AssetOrTimeSchedule | None:
    """Return when the DAG runs: at the policy's times and whenever something arrives at its source.

    A manual policy runs when a person says so, and never else.
    """
    if policy.schedule == "manual":
        return None
    return AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(policy.schedule, timezone=policy.target.timezone),
        assets=[repository_asset(policy.source.connection, policy.source.repository)],
    )


def _params(policy: Policy) -> dict[str, Param]:
    """Return the form of a manual run."""
    may_override = policy.overrides is Overrides.ALLOW
    return {
        "tags": Param(
            default=[],
            type=["array", "null"],
            items={"type": "string"},
            title="Only these tags",
            description="Source tags to consider, one a line; empty for all. "
            "They are decided again although they were rejected before.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Decide and say what would be done; the target is not touched.",
        ),
        "decide_again": Param(
            default=False,
            type="boolean",
            title="Decide again",
            description="Also consider images that this policy rejected before.",
        ),
        "override_reason": Param(
            default="",
            type=["string", "null"],
            title="Override",
            description="Why the tags above are promoted although a trigger does not hold. It is "
            "kept with your name. Leave it empty to let the triggers decide."
            if may_override
            else "This policy does not allow it (overrides: forbid).",
        ),
    }
