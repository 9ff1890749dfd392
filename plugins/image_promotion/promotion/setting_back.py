"""What second thoughts undo: target tags of images that fail are set back to what they held before.

It happens only where the policy says `recheck: {on_failure: roll_back}`, and through the same plan
and stages as a rollback that a person asks for. It may be killed at any moment: what was planned
and not finished is taken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from image_promotion.errors import RollbackError, Subject
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.rechecks import Recheck
from image_promotion.ledger.records import Promotion, Run
from image_promotion.policy.governance import AfterFailedRecheck, Mode
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage
from image_promotion.promotion.clock import Clock
from image_promotion.promotion.decision import in_one_line
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.pipeline import ProgressOf, Stages
from image_promotion.promotion.rollback import (
    RollbackRequest,
    find_rollback,
    plan_rollback,
    stores_for,
)
from image_promotion.promotion.stores import FindEndpoint, Stores

RECHECKER = "recheck"
"""Who asks for these rollbacks, in the ledger."""

Result = TypeVar("Result")
Act = Callable[[Stores], Coroutine[Any, Any, Result]]


class WithStores(Protocol):
    """Acts on stores in an event loop, and closes them: as an Airflow task does it, or a command.

    Looking connections up must not happen within an event loop, so each rollback has its own.
    """

    def __call__(self, stores: Stores, act: Act[Result], /) -> Result:
        """Act, and close the stores."""


@dataclass(frozen=True, slots=True)
class SetBack:
    """What was undone.

    Attributes:
        done: The rollbacks, each verified.
        refused: Why others could not be done; those tags stay as they are.
    """

    done: tuple[Promotion, ...] = ()
    refused: tuple[RollbackError, ...] = ()


def set_back_failed(
    policy: Policy,
    *,
    ledger: Ledger,
    run: Run,
    clock: Clock,
    find_endpoint: FindEndpoint,
    with_stores: WithStores,
    progress_of: ProgressOf,
) -> SetBack:
    """Set the target tags back whose images fail, if the policy wants that.

    Args:
        policy: The policy.
        ledger: The ledger.
        run: The run that looked at them.
        clock: The clock.
        find_endpoint: Says where a connection leads.
        with_stores: Acts on stores in an event loop.
        progress_of: Gives the progress of one image's copy, by the image's label.

    Returns:
        What was undone.

    Raises:
        PromotionError: A rollback was planned and did not get through; the next run takes it up.
    """
    if policy.mode is Mode.AUDIT or policy.recheck is None:
        return SetBack()
    if policy.recheck.on_failure is not AfterFailedRecheck.ROLL_BACK:
        return SetBack()
    refused = []

    def plan(look: Recheck) -> Promotion | None:
        request = _request(look)
        key = f"{run.key}/{RECHECKER}/{look.id}"

        async def act(stores: Stores) -> Promotion:
            await _require_better(policy, request, stores=stores, ledger=ledger)
            return await plan_rollback(
                policy, request, stores=stores, ledger=ledger, run_key=key, now=clock()
            )

        try:
            stores = stores_for(policy, request, ledger=ledger, find_endpoint=find_endpoint)
            return with_stores(stores, act)
        except RollbackError as refusal:
            refused.append(refusal)
            return None

    def finish(planned: Promotion) -> Promotion:
        async def act(stores: Stores) -> None:
            stages = Stages(stores, Journal(ledger, planned.run_key, clock), progress_of)
            for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
                await stages.carry_out(stage, [planned.id])

        # What is whole in the target is not asked for at its source, which may be gone by now.
        perhaps = {planned.source_connection}
        with_stores(Stores(find_endpoint, {planned.target_connection}, perhaps=perhaps), act)
        return ledger.promotion(planned.id)

    begun = ledger.rechecks.unfinished_rollbacks(policy.name, started_by=RECHECKER)
    new = (plan(look) for look in ledger.rechecks.failing(policy.name))
    done = [finish(planned) for planned in (*begun, *new) if planned is not None]
    return SetBack(tuple(done), tuple(refused))


def _request(look: Recheck) -> RollbackRequest:
    promotion = look.promotion
    return RollbackRequest(
        tag=promotion.target_tag,
        reason=f"it does not pass any more: {in_one_line(look.reasons)}",
        who=RECHECKER,
        expected=promotion.target_digest,
        repository=promotion.target_repository,
        connection=promotion.target_connection,
    )


async def _require_better(
    policy: Policy, request: RollbackRequest, *, stores: Stores, ledger: Ledger
) -> None:
    """Refuse to set a tag back to an image that is known to fail as well."""
    new = (await find_rollback(policy, request, stores=stores, ledger=ledger)).new
    failed = ledger.rechecks.failed_digests(
        new.target_registry, new.target_repository, [new.target_digest]
    )
    if failed:
        raise RollbackError(
            f"what the tag held before, {new.target_digest}, does not pass either",
            subject=Subject(new.target_registry, new.target_repository, new.target_tag),
            advice="Promote a repaired image, or set the tag back by hand to one that passes: "
            f"promotion rollback {policy.name} --tag {new.target_tag} --to DIGEST",
        )
