"""How a run writes to the ledger what becomes of promotions: under its key, at its clock's time."""

from __future__ import annotations

from dataclasses import dataclass

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, State, TransferFigures
from image_promotion.promotion.clock import Clock


@dataclass(frozen=True, slots=True)
class Journal:
    """The ledger as the stages of one run see it.

    Args:
        ledger: The ledger.
        run_key: The run that acts.
        clock: The clock.
    """

    ledger: Ledger
    run_key: str
    clock: Clock

    def read(self, promotion_id: int) -> Promotion:
        """Return a promotion as it stands now."""
        return self.ledger.promotion(promotion_id)

    def advance(
        self,
        promotion: Promotion,
        to: State,
        detail: str,
        transfer: TransferFigures | None = None,
    ) -> None:
        """Note that a promotion came one step on; nothing is noted when it was there already."""
        self.ledger.advance(
            promotion.id,
            to,
            at=self.clock(),
            run_key=self.run_key,
            detail=detail,
            transfer=transfer,
        )

    def resume(self, promotion: Promotion) -> Promotion:
        """Take a failed promotion back to the state it failed in."""
        return self.ledger.resume(promotion.id, at=self.clock(), run_key=self.run_key)

    def fail(self, promotion: Promotion, error: str) -> None:
        """Note that a promotion failed, and how."""
        self.ledger.fail(promotion.id, error=error, at=self.clock(), run_key=self.run_key)

    def supersede(self, promotion: Promotion, reason: str) -> None:
        """Note that a promotion has been overtaken, and by what."""
        self.ledger.supersede(promotion.id, reason=reason, at=self.clock(), run_key=self.run_key)
