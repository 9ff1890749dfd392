"""Telling a ledger what happened, in few words: one policy, one repository, a clock that ticks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import (
    Decision,
    NewDecision,
    NewPromotion,
    Observation,
    Outcome,
    PolicyVersion,
    Promotion,
    Reason,
    Run,
    Sighting,
    State,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPOSITORY = "dev/website"
HELD = (Reason("tag ends with -stable", "held", "-stable", "1.4-stable", ""),)
NOT_HELD = (Reason("tag ends with -stable", "not_held", "-stable", "1.4-rc1", ""),)


class Story:
    """A ledger, and what a policy's runs tell it."""

    def __init__(self, ledger: Ledger, policy: str = "website-to-qa") -> None:
        self.ledger = ledger
        self.policy = policy
        self._minutes = itertools.count()
        self._runs = itertools.count(1)

    def now(self) -> datetime:
        """Give a moment later than any before."""
        return START + timedelta(minutes=next(self._minutes))

    def version(self, version: str = "1") -> PolicyVersion:
        return PolicyVersion(self.policy, f"sha256:{version}", f'{{"version": "{version}"}}')

    def run(self, version: str = "1", key: str | None = None) -> Run:
        return self.ledger.begin_run(
            self.version(version),
            key=key or f"{self.policy}/{next(self._runs)}",
            kind="scheduled",
            at=self.now(),
        )

    def scan(
        self, run: Run, at: datetime | None = None, *, complete: bool = True, **digests: str
    ) -> dict[str, Observation]:
        """Observe that each tag points at its digest, and that there are no others."""
        return self.scan_tags(run, digests, at, complete=complete)

    def scan_tags(
        self,
        run: Run,
        digests: Mapping[str, str],
        at: datetime | None = None,
        *,
        complete: bool = True,
    ) -> dict[str, Observation]:
        observed = self.ledger.observe(
            run,
            [Sighting(REPOSITORY, tag, digest) for tag, digest in digests.items()],
            complete_repositories=[REPOSITORY] if complete else [],
            tags_seen=len(digests),
            tags_rejected_by_name=0,
            at=at or self.now(),
        )
        return {observation.tag: observation for observation in observed}

    def candidate_tags(self, run: Run, *, decide_again: bool = False) -> list[str]:
        found = self.ledger.candidates(run, decide_again=decide_again)
        return [candidate.observation.tag for candidate in found]

    def decide(
        self,
        run: Run,
        observation: Observation,
        outcome: Outcome = Outcome.PROMOTE,
        reasons: tuple[Reason, ...] = HELD,
        *,
        target_tag: str | None = None,
        overridden_by: str | None = None,
        override_reason: str | None = None,
    ) -> Decision:
        new = NewDecision(
            observation.id, outcome, reasons, None, target_tag, overridden_by, override_reason
        )
        (decision,) = self.ledger.decide(run, [new], self.now())
        return decision

    def plan(self, run: Run, observation: Observation, **changes: str) -> Promotion:
        """Decide to promote an observation, and plan it."""
        decision = self.decide(run, observation)
        new = new_promotion(decision, observation.tag, **changes)
        (promotion,) = self.ledger.plan(run, [new], self.now())
        return promotion

    def promotion_in(self, state: State, *, tag: str = "1.4-stable") -> Promotion:
        """Bring a new promotion to a state by the shortest way."""
        run = self.run()
        promotion = self.plan(run, self.scan_tags(run, {tag: "sha256:a"}, complete=False)[tag])
        if state is State.FAILED:
            return self.fail(promotion)
        if state is State.SUPERSEDED:
            return self.ledger.supersede(
                promotion.id, reason="it moved", at=self.now(), run_key=run.key
            )
        for step in (State.COPIED, State.TAGGED, State.VERIFIED):
            if promotion.state is not state:
                promotion = self.advance(promotion, step)
        return promotion

    def advance(self, promotion: Promotion, to: State) -> Promotion:
        return self.ledger.advance(promotion.id, to, at=self.now(), run_key="advancing")

    def advance_to_verified(self, promotion: Promotion) -> Promotion:
        for step in (State.COPIED, State.TAGGED, State.VERIFIED):
            promotion = self.advance(promotion, step)
        return promotion

    def fail(self, promotion: Promotion, error: str = "the registry is down") -> Promotion:
        return self.ledger.fail(promotion.id, error=error, at=self.now(), run_key="failing")


def new_promotion(decision: Decision, target_tag: str, /, **changes: str) -> NewPromotion:
    """Say where a decided image goes; ``changes`` replace fields by name."""
    fields: dict[str, Any] = {
        "source_connection": "dev_registry",
        "source_registry": "dev.example:5000",
        "target_connection": "qa_registry",
        "target_registry": "qa.example:5000",
        "target_repository": "qa/website",
        "target_tag": target_tag,
        "target_key": "qa_registry/qa/website",
        "existing_tag": "fail",
        "target_digest": "sha256:a",
    } | changes
    return NewPromotion(decision.observation_id, decision.id, **fields)
