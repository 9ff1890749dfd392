"""Triggers on the signatures of the image itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from image_promotion.policy.criteria.text import SHOWN, listed, quoted, require_values, unknown
from image_promotion.policy.criteria.verdict import Finding, Need, Verdict
from image_promotion.policy.facts import ImageFacts, Signature

NO_SIGNATURES = "no signature yet"


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Asks for a valid signature of the image itself, by one of certain signers.

    Args:
        signers: Their names, as the policy's evidence defines them; any of several is enough.
    """

    signers: tuple[str, ...]

    def __post_init__(self) -> None:
        require_values(self.signers)

    @property
    def needs(self) -> frozenset[Need]:
        """The signatures."""
        return frozenset({Need.SIGNATURES})

    def describe(self) -> str:
        """Say what it asks for."""
        return f"signed by {quoted(self.signers)}"

    def judge(self, facts: ImageFacts, now: datetime) -> Finding:  # noqa: ARG002 - the protocol's
        """Look for a signature of one of them.

        Where there is none the answer is not known: images are pushed before they are signed, so
        that one may come at any moment.
        """
        known = facts.signatures
        items = known.items if known else ()
        theirs = _said(each for each in items if each.by in self.signers)
        others = _said(each for each in items if each.by not in self.signers)
        if not theirs:
            why = facts.why_no_signatures or NO_SIGNATURES
            if others:
                by_others = f"{len(others)} by others: {listed(others[:SHOWN], len(others))}"
                why = f"none by them; {by_others}" + (
                    f"; {facts.why_no_signatures}" if facts.why_no_signatures else ""
                )
            return unknown(self.describe(), self.describe(), why)
        found = f"{len(theirs)} by them: {listed(theirs[:SHOWN], len(theirs))}"
        if others:
            found += f"; {len(others)} by others: {listed(others[:SHOWN], len(others))}"
        return Finding(
            trigger=self.describe(),
            verdict=Verdict.HELD,
            expected=self.describe(),
            found=found,
            source=known.source if known else "",
            count=len(theirs),
            items=theirs[:SHOWN],
        )


def _said(signatures: Iterable[Signature]) -> tuple[str, ...]:
    return tuple(
        sorted({f"{each.by} ({each.words})" if each.words else each.by for each in signatures})
    )
