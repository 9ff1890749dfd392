"""How a run writes to the ledger what becomes of promotions: under its key, at its clock's time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from image_promotion.errors import LedgerError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, State, Step, TransferFigures
from image_promotion.policy.model import Policy
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
    _noted: dict[int, Step] = field(default_factory=dict, init=False, repr=False)
    _policies: dict[str, Policy] = field(default_factory=dict, init=False, repr=False)

    def read_all(self, promotion_ids: Collection[int]) -> tuple[Promotion, ...]:
        """Return promotions as they stand now."""
        return self.ledger.promotions(promotion_ids)

    def policy_of(self, promotion: Promotion) -> Policy:
        """Return the policy, in the version that decided a promotion; its file may say otherwise.

        Raises:
            LedgerError: The ledger does not know the run that planned the promotion.
            PolicyError: The version was recorded by another version of the product.
        """
        key = promotion.run_key
        # A batch has a thousand promotions of one run; to read it each time would be felt.
        if key not in self._policies:
            run = self.ledger.run(key)
            if run is None:
                raise LedgerError(f"the ledger has no run {key}, which planned the promotion")
            self._policies[key] = Policy.from_document(run.document)
        return self._policies[key]

    def note(
        self,
        promotion: Promotion,
        to: State,
        detail: str,
        transfer: TransferFigures | None = None,
    ) -> None:
        """Note that a promotion came one step on, to be written with others by ``write``.

        What was done and is not written yet when this process is killed is done again, which finds
        it done: each stage bears its repetition.
        """
        step = Step(promotion.id, to, self.clock(), self.run_key, detail, transfer)
        self._noted[promotion.id] = step

    def write(self) -> Mapping[int, LedgerError]:
        """Write the steps noted, in one transaction; one that was taken before is no step.

        Returns:
            Why some promotions could not take theirs, by their ids.
        """
        steps = tuple(self._noted.values())
        self._noted.clear()
        return self.ledger.advance_all(steps) if steps else {}

    def note_former(self, promotion: Promotion, digest: str | None) -> None:
        """Note what a target tag holds just before it is set; at once, since it is lost then.

        The usual, a free tag of which nothing was noted, costs no transaction.
        """
        if digest != promotion.former_digest:
            self.ledger.rollbacks.note_former(promotion.id, digest)

    def withdrawal_of(self, promotion: Promotion) -> Promotion | None:
        """Return the rollback that withdrew the image of a promotion; None if none did."""
        digests = (promotion.target_digest, promotion.digest)
        found = self.ledger.rollbacks.withdrawn(
            promotion.target_registry, promotion.target_repository, digests
        )
        return next((found[each] for each in digests if each in found), None)

    def resume(self, promotion: Promotion) -> Promotion:
        """Take a failed promotion back to the state it failed in."""
        return self.ledger.resume(promotion.id, at=self.clock(), run_key=self.run_key)

    def fail(self, promotion: Promotion, error: str) -> None:
        """Note that a promotion failed, and how."""
        self.ledger.fail(promotion.id, error=error, at=self.clock(), run_key=self.run_key)

    def supersede(self, promotion: Promotion, reason: str) -> None:
        """Note that a promotion has been overtaken, and by what."""
        self.ledger.supersede(promotion.id, reason=reason, at=self.clock(), run_key=self.run_key)
