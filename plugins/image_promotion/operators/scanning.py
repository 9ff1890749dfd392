"""The operator of the stage `scan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from airflow.sdk import Context

from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.metrics import count_scan
from image_promotion.operators.runs import RunRequest, run_key, started_by
from image_promotion.policy.model import Policy

SHOWN = 20


class ScanSummary(TypedDict):
    """What the scan leaves for people and for the report."""

    tags_seen: int
    rejected_by_name: int
    looked_up: int
    unreadable: list[str]


class ScanOperator(InterruptibleOperator):
    """Looks at the source of a policy and records in the ledger which images are there.

    Args:
        policy: The policy.
        only_tags: The source tags to look at, as a list or a text; empty for all.
        plan_only: Look and record nothing.
        override: Why the tags are promoted although a trigger does not hold; empty otherwise.
    """

    template_fields: Sequence[str] = ("only_tags", "plan_only", "override")
    ui_color = "#e8f0fa"

    def __init__(
        self,
        *,
        policy: Policy,
        only_tags: Sequence[str] | str = (),
        plan_only: bool | str = False,
        override: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.only_tags = only_tags
        self.plan_only = plan_only
        self.override = override

    def execute(self, context: Context) -> ScanSummary:
        """Scan.

        Args:
            context: Airflow's context.

        Returns:
            Counts, and what could not be looked at.

        Raises:
            PromotionError: The source cannot be listed, or the ledger cannot be written.
        """
        from image_promotion.operators.execution import (  # noqa: PLC0415 - too heavy for parsing
            look_at_source,
            scan_source,
        )

        request = RunRequest.read(self.only_tags, dry_run=self.plan_only, override=self.override)
        who = started_by(context)
        if request.dry_run:
            seen = look_at_source(self, self.policy, request, who=who)
        else:
            # An enumeration, whose str() is the name of its class and member.
            run_type = context["dag_run"].run_type
            kind = str(getattr(run_type, "value", run_type))
            seen = scan_source(self, self.policy, request, key=run_key(context), kind=kind, who=who)
            count_scan(self.policy.name, tags_seen=seen.tags_seen)
        self.log.info("%s: %s", self.policy.source.repository, seen)
        for problem in seen.problems:
            self.log.error("could not be looked at: %s", problem)
        named = seen.rejected[:SHOWN]
        for name in named:
            self.log.info("rejected by name: %s:%s", name.repository, name.tag)
        if seen.rejected_count > len(named):
            self.log.info("and %d more rejected by name", seen.rejected_count - len(named))
        return ScanSummary(
            tags_seen=seen.tags_seen,
            rejected_by_name=seen.rejected_count,
            looked_up=len(seen.sightings),
            unreadable=[str(problem) for problem in seen.problems[:SHOWN]],
        )
