"""The report: what a run came to, for people and for those who only ask whether it went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from image_promotion.errors import PromotionError
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.rechecks import Recheck
from image_promotion.ledger.records import Outcome, Promotion, Run, State
from image_promotion.policy.governance import Mode
from image_promotion.policy.model import Policy
from image_promotion.promotion.approval import standing
from image_promotion.promotion.attestation import unattested
from image_promotion.promotion.decision import in_one_line
from image_promotion.promotion.rechecking import Rechecking

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
        is_audit: Whether the policy only decides, so that nothing was to be promoted.
        awaited: How many promotions people have not approved yet.
        rechecked: The promoted images that the run looked at again.
    """

    tags_seen: int
    rejected_by_name: int
    decided: Counter[Outcome]
    promotions: tuple[Promotion, ...]
    problems: tuple[str, ...]
    is_audit: bool = False
    awaited: int = 0
    rechecked: tuple[Recheck, ...] = ()

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
        said = (
            f"{'1 tag' if self.tags_seen == 1 else f'{self.tags_seen} tags'} seen, "
            f"{self.rejected_by_name} rejected by name; "
            f"decided: {decided}; "
        )
        if self.is_audit:
            said += f"audit: would promote {self.decided[Outcome.PROMOTE]}, and copies nothing"
        else:
            said += f"promotions: {stand or 'none, nothing new'}"
        if self.awaited:
            await_ = "awaits" if self.awaited == 1 else "await"
            said += f"; {self.awaited} of them {await_} approval, which people give in Airflow"
        return f"{said}; {Rechecking(self.rechecked)}" if self.rechecked else said

    def error(self) -> PromotionError | None:
        """Return the error that the run ends with; None when all went well."""
        if not self.problems:
            return None
        shown = "; ".join(self.problems[:SHOWN])
        number = len(self.problems)
        need = "1 image needs" if number == 1 else f"{number} images need"
        return PromotionError(
            f"{need} attention: {shown}",
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
    left_alone, awaited = _awaited(ledger, run, promotions)
    for decision in decisions:
        if decision.outcome is Outcome.CONFLICT:
            last = decision.reasons[-1]
            problems.append(f"conflict: {last.trigger} {last.found}")
    for promotion in promotions:
        image = f"{promotion.source_repository}:{promotion.source_tag}"
        if promotion.state is State.FAILED:
            problems.append(f"{image} failed ({promotion.failed_in}): {promotion.error}")
        elif promotion.id in left_alone:
            continue
        elif promotion.state not in (State.VERIFIED, State.SUPERSEDED):
            problems.append(f"{image} is {promotion.state}: its next stage did not run")
    rechecked = ledger.rechecks.of_run(run.key)
    problems += [
        f"{look.promotion.target_repository}:{look.promotion.target_tag} "
        f"({look.promotion.target_digest}) was promoted, and does not pass any more: "
        f"{in_one_line(look.reasons)}"
        for look in rechecked
        if look.outcome is Outcome.REJECT
    ]
    # Those of earlier runs too: nobody else would say that they still lack theirs.
    for promotion in unattested(ledger, Policy.from_document(run.document)):
        image = f"{promotion.source_repository}:{promotion.source_tag}"
        problems.append(f"{image} is verified, and not attested")
    return RunReport(
        tags_seen=run.tags_seen,
        rejected_by_name=run.tags_rejected_by_name,
        decided=Counter(decision.outcome for decision in decisions),
        promotions=promotions,
        problems=tuple(problems),
        awaited=awaited,
        is_audit=Policy.from_document(run.document).mode is Mode.AUDIT,
        rechecked=rechecked,
    )


def _awaited(
    ledger: Ledger, run: Run, promotions: Sequence[Promotion]
) -> tuple[frozenset[int], int]:
    """Return which promotions this run had to leave alone, and how many of them await people.

    Those that people approved for another run, after this one had looked, are that run's.
    """
    policy = Policy.from_document(run.document)
    if policy.approval is None:
        return frozenset(), 0
    found = standing(policy, ledger, [each.id for each in promotions])
    looked_at = run.evaluated_at or run.started_at
    later = {
        number
        for number, words in found.approvals.items()
        if words and words[-1].run_key != run.key and words[-1].at > looked_at
    }
    left = frozenset(later | {each.id for each in (*found.undecided, *found.unearned)})
    return left, len(found.undecided)
