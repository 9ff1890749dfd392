"""The report: what a run came to, for people and for those who only ask whether it went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome, Promotion, Run, State

SHOWN = 20


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run came to.

    Attributes:
        tags_seen: How many tags the source had.
        rejected_by_name: How many of them their name alone ruled out.
        decided: How many images were decided how.
        promotions: The promotions that the run took up, as they stand now.
        problems: What did not go well, each a sentence.
    """

    tags_seen: int
    rejected_by_name: int
    decided: Counter[Outcome]
    promotions: tuple[Promotion, ...]
    problems: tuple[str, ...]

    def in_state(self, state: State) -> tuple[Promotion, ...]:
        """Return the promotions that stand so."""
        return tuple(each for each in self.promotions if each.state is state)

    @property
    def verified(self) -> tuple[Promotion, ...]:
        """Return the promotions that arrived."""
        return self.in_state(State.VERIFIED)

    def __str__(self) -> str:
        decided = ", ".join(f"{self.decided[outcome]} {outcome}" for outcome in Outcome)
        states = Counter(each.state for each in self.promotions)
        stand = ", ".join(f"{states[state]} {state}" for state in State if states[state])
        return (
            f"{self.tags_seen} tags seen, {self.rejected_by_name} rejected by name; "
            f"decided: {decided}; promotions: {stand or 'none, nothing new'}"
        )

    def error(self) -> PromotionError | None:
        """Return the error that the run ends with; None when all went well."""
        if not self.problems:
            return None
        shown = "; ".join(self.problems[:SHOWN])
        return PromotionError(
            f"{len(self.problems)} images need attention: {shown}",
            advice="What succeeded stays promoted. The next run tries the others again.",
        )


def report(ledger: Ledger, run: Run, *, unreadable: Sequence[str] = ()) -> RunReport:
    """Sum up a run.

    Args:
        ledger: The ledger.
        run: The run.
        unreadable: What the scan could not look at, each a sentence.

    Returns:
        The report.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    decisions = ledger.run_decisions(run)
    promotions = ledger.run_promotions(run)
    problems = list(unreadable)
    for decision in decisions:
        if decision.outcome is Outcome.CONFLICT:
            last = decision.reasons[-1]
            problems.append(f"conflict: {last.trigger} {last.found}")
    for promotion in promotions:
        image = f"{promotion.source_repository}:{promotion.source_tag}"
        if promotion.state is State.FAILED:
            problems.append(f"{image} failed ({promotion.failed_in}): {promotion.error}")
        elif promotion.state not in (State.VERIFIED, State.SUPERSEDED):
            problems.append(f"{image} is {promotion.state}: its next stage did not run")
    return RunReport(
        tags_seen=run.tags_seen,
        rejected_by_name=run.tags_rejected_by_name,
        decided=Counter(decision.outcome for decision in decisions),
        promotions=promotions,
        problems=tuple(problems),
    )
