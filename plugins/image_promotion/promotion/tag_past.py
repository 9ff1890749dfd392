"""What a target tag held, one image after another, as the ledger tells it.

A rollback takes images away from the end, so that the one that was rolled back is not what the next
rollback goes back to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from image_promotion.ledger.records import Kind, Promotion, State


@dataclass(frozen=True, slots=True)
class Holding:
    """One image under a target tag.

    Attributes:
        digest: What the tag pointed at.
        promotion: What set it; None where somebody else did.
    """

    digest: str
    promotion: Promotion | None = None

    @property
    def is_dubious(self) -> bool:
        """Whether it was set by a promotion that was never verified."""
        return self.promotion is not None and self.promotion.state is not State.VERIFIED


@dataclass(frozen=True, slots=True)
class TagPast:
    """The past of a target tag.

    Attributes:
        holdings: What it held, the first first, the present last; without what was rolled back.
        withdrawn: What it held too, and was set back from.
    """

    holdings: tuple[Holding, ...] = ()
    withdrawn: tuple[Holding, ...] = ()

    @property
    def present(self) -> Holding | None:
        """What it holds now, as far as the ledger knows."""
        return self.holdings[-1] if self.holdings else None

    def before(self, digest: str | None) -> Holding | None:
        """Return what the tag is set back to when it holds this digest and nobody says more.

        Args:
            digest: What the tag holds now; None when it is not there.

        Returns:
            The last image before that is not the same, and did not fail to be verified; None when
            there is none.
        """
        earlier = list(self.holdings)
        if earlier and earlier[-1].digest == digest:
            earlier.pop()
        usable = [each for each in earlier if each.digest != digest and not each.is_dubious]
        return usable[-1] if usable else None

    def find(self, digest: str) -> Holding | None:
        """Return the last time that the tag held a digest, rolled back or not."""
        held = [each for each in (*self.withdrawn, *self.holdings) if each.digest == digest]
        by_us = [each for each in held if each.promotion is not None]
        found = by_us or held
        return found[-1] if found else None


def past_of(promotions: Iterable[Promotion]) -> TagPast:
    """Tell the past of a target tag.

    Args:
        promotions: What set it, the first first, as ``Rollbacks.tag_history`` lists it.

    Returns:
        Its past.
    """
    holdings: list[Holding] = []
    withdrawn: list[Holding] = []

    def held(holding: Holding) -> None:
        if not holdings or holdings[-1].digest != holding.digest:
            holdings.append(holding)

    for each in promotions:
        if each.former_digest is not None:
            held(Holding(each.former_digest))
        if each.kind is Kind.ROLLBACK:
            known = [at for at, one in enumerate(holdings) if one.digest == each.target_digest]
            if known:
                withdrawn += holdings[known[-1] + 1 :]
                del holdings[known[-1] + 1 :]
                continue
        held(Holding(each.target_digest, each))
    return TagPast(tuple(holdings), tuple(withdrawn))
