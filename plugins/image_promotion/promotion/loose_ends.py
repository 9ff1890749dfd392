"""What became of tags that were to be set when a registry's answer was lost for good.

A registry may have set a tag and not said so. Mostly the next try sees it. Where the source tag
moved on before there was one, nobody would look any more: the old image would stand in the target,
and the ledger would say that it was never tagged.
"""

from __future__ import annotations

from datetime import datetime

from image_promotion.errors import RegistryError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, Run, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.aiming import StoreOf

MOVED_ON = "the source tag moved on"


async def settle_uncertain(
    policy: Policy, *, target_of: StoreOf, ledger: Ledger, run: Run, now: datetime
) -> None:
    """Give up the promotions whose source tag moved on when their tag was to be set.

    What is seen to be tagged is recorded as tagged before. What cannot be looked at now is looked
    at by the next run.

    Args:
        policy: The policy.
        target_of: Gives the store of a target connection.
        ledger: The ledger.
        run: The run that looks.
        now: The moment.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    for promotion in ledger.uncertain(policy.name):
        # The policy may have had other targets.
        if promotion.target_connection in policy.target_connections:
            try:
                target = target_of(promotion.target_connection)
                held = await target.resolve(promotion.target_repository, promotion.target_tag)
            except RegistryError:
                continue
            if held is not None and str(held.digest) == promotion.target_digest:
                _note_tagged(promotion, ledger, run, now)
        ledger.supersede(promotion.id, reason=MOVED_ON, at=now, run_key=run.key)


def _note_tagged(promotion: Promotion, ledger: Ledger, run: Run, now: datetime) -> None:
    ledger.resume(promotion.id, at=now, run_key=run.key)
    ledger.advance(
        promotion.id,
        State.TAGGED,
        at=now,
        run_key=run.key,
        detail="the tag is set to it, although setting it failed",
    )
    ledger.fail(promotion.id, error=f"{MOVED_ON} before it was verified", at=now, run_key=run.key)
