"""Triggers on the signatures of the image itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from image_promotion.policy.criteria.text import SHOWN, listed, quoted, require_values, unknown
from image_promotion.policy.criteria.verdict import Finding, Need, verdict_of
from image_promotion.policy.facts import ImageFacts, Signature


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
        """Look for a signature of one of them."""
        known = facts.signatures
        if known is None:
            why = facts.why_no_signatures or "no signatures looked at yet"
            return unknown(self.describe(), self.describe(), why)
        theirs = _said(each for each in known.items if each.by in self.signers)
        others = _said(each for each in known.items if each.by not in self.signers)
        found = (
            f"{len(theirs)} by them: {listed(theirs[:SHOWN], len(theirs))}"
            if theirs
            else "none by them"
        )
        if others:
            found += f"; {len(others)} by others: {listed(others[:SHOWN], len(others))}"
        elif not theirs:
            found = f"no valid signature{': ' if facts.why_no_signatures else ''}"
            found += facts.why_no_signatures
        return Finding(
            trigger=self.describe(),
            verdict=verdict_of(bool(theirs)),
            expected=self.describe(),
            found=found,
            source=known.source,
            count=len(theirs),
            items=theirs[:SHOWN],
        )


def _said(signatures: Iterable[Signature]) -> tuple[str, ...]:
    return tuple(
        sorted({f"{each.by} ({each.words})" if each.words else each.by for each in signatures})
    )
