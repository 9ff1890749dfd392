"""The operator of the stage `approve`: the task waits until people have decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context, Param
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.execution_time.hitl import HITLUser

from image_promotion.operators.evaluation import BatchArguments
from image_promotion.operators.interruption import InterruptibleOperator
from image_promotion.operators.runs import RunRequest, run_key
from image_promotion.policy.model import Policy

if TYPE_CHECKING:
    from image_promotion.promotion.approval_form import Form

# The auth manager of which a user's id is the name that people know. Others compare ids of their
# own with `assigned_users`, so that nobody whose name stands in a policy could answer.
_KNOWS_NAMES = "SimpleAuthManager"


class ApproveOperator(InterruptibleOperator, HITLOperator):
    """Asks people about the promotions that a run has planned, and passes on those they approve.

    Where a policy asks for the approval of several people there is one such task for each, one
    after another, so that each sees who has approved before. A task of which nothing is left to be
    asked asks nobody. Nothing is skipped by a rejection: what is rejected or undecided is simply
    not in the result, over which the stages copy, retag and verify are mapped.

    Args:
        policy: The policy; a run that was scanned goes on with the version it was scanned with.
        is_first: Whether no other such task goes before, so that this one asks about all.
        is_last: Whether no other such task follows, so that this one waits for all approvals.
        only_tags: The source tags the run was asked for by a person, as a list or a text. About
            those people are asked again although another run waits for them.
        evaluate_task_id: The task that planned the promotions.
    """

    template_fields: Collection[str] = ("only_tags",)
    ui_color = "#fde7c7"

    def __init__(
        self,
        *,
        policy: Policy,
        is_first: bool = True,
        is_last: bool = True,
        only_tags: str = "",
        evaluate_task_id: str = "evaluate",
        **kwargs: Any,
    ) -> None:
        approval = policy.approval
        super().__init__(
            subject=f"Promote images by {policy.name}?",
            # The words are those of approval_form; to import it here would load the ledger.
            options=["Approve", "Reject"],
            assigned_users=_assigned(approval.users if approval else None),
            response_timeout=approval.timeout if approval else None,
            **kwargs,
        )
        self.policy = policy
        self.is_first = is_first
        self.is_last = is_last
        self.only_tags = only_tags
        self.evaluate_task_id = evaluate_task_id

    def execute(self, context: Context) -> list[BatchArguments]:
        """Ask, if there is anything to be asked.

        Args:
            context: Airflow's context.

        Returns:
            The lines of work, where nobody need be asked.

        Raises:
            TaskAwaitingInput: People were asked; `execute_complete` goes on with their answer.
            PromotionError: A registry cannot be asked, or the ledger cannot be written.
        """
        from image_promotion.operators.approvals import (  # noqa: PLC0415 - too heavy for parsing
            approved_lines,
            ask_people,
        )

        ids = self._planned(context)
        if not ids:
            return []
        insist = bool(RunRequest.read(self.only_tags).tags)
        asked = ask_people(
            self, ids if self.is_first else None, key=run_key(context), insist=insist
        )
        for line in asked.said:
            self.log.info("%s", line)
        if asked.form is None:
            return approved_lines(ids, key=run_key(context))
        self._show(asked.form)
        self.response_timeout = asked.timeout
        return self._wait(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> list[BatchArguments]:
        """Go on with an answer, or without one when the time has run out.

        Args:
            context: Airflow's context.
            event: What Airflow knows of the answer.

        Returns:
            The lines of work, of the approved promotions alone.

        Raises:
            TaskAwaitingInput: The answer does not count, or more people must answer this task.
            HITLTriggerEventError: Airflow could not read the answer.
            LedgerError: The ledger cannot be written.
        """
        from image_promotion.operators.approvals import (  # noqa: PLC0415 - too heavy for parsing
            approved_lines,
            end_waiting,
            take_answer,
        )

        ids = self._planned(context)
        key = run_key(context)
        if "error" in event:
            if event.get("error_type") != "timeout":
                self.process_trigger_event_error(event)
            for line in end_waiting(key):
                self.log.warning("%s", line)
            return approved_lines(ids, key=key)
        taken = take_answer(
            self,
            key=key,
            chosen=event["chosen_options"],
            fields=event.get("params_input") or {},
            user=event.get("responded_by_user"),
            at=_moment(event.get("responded_at")),
            is_last=self.is_last,
        )
        for line in taken.said:
            self.log.info("%s", line)
        if taken.form is not None:
            self.log.warning("still waiting for an answer that decides")
            self._show(taken.form)
            self.response_timeout = taken.timeout
            return self._wait(context)
        return approved_lines(ids, key=key)

    def _planned(self, context: Context) -> list[int]:
        """Return the promotions that the evaluation of this run has planned."""
        lines = context["ti"].xcom_pull(task_ids=self.evaluate_task_id) or []
        return [int(each) for line in lines for each in line["promotion_ids"]]

    def _show(self, form: Form) -> None:
        self.subject = form.subject
        self.body = form.body
        self.params = ParamsDict(_fields(form.choices))

    def _wait(self, context: Context) -> NoReturn:
        """Ask by Airflow's own operator, which parks the task by what it raises."""
        HITLOperator.execute(self, context)
        raise AssertionError  # it has parked the task


def _fields(choices: Collection[str]) -> Mapping[str, Param]:
    """Return the fields of the form; their names are those of approval_form."""

    def images(title: str, description: str) -> Param:
        return Param(
            default=[],
            type=["array", "null"],
            items={"type": "string"},
            # Of these the page makes a list to choose from.
            examples=list(choices),
            title=title,
            description=description,
        )

    return {
        "reject_images": images(
            "Reject these", "Rejected although the others are approved. Empty for none."
        ),
        "leave_images": images(
            "Leave these", "Neither approved nor rejected; a later run asks again."
        ),
        "comment": Param(
            default="",
            type=["string", "null"],
            title="Comment",
            description="Kept in the ledger with the decision.",
        ),
    }


def _assigned(users: Collection[str] | None) -> list[HITLUser] | None:
    """Return whom Airflow itself lets answer, where its auth manager calls them as policies do."""
    if users is None or not conf.get("core", "auth_manager", fallback="").endswith(_KNOWS_NAMES):
        return None
    return [HITLUser(id=each, name=each) for each in users]


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.now(UTC)
