"""Promotions as the ledger returns them, for tests of what only reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from image_promotion.ledger.records import Promotion, State

PLANNED_AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def promotion_of(number: int) -> Promotion:
    """Return a planned promotion of this id."""
    return Promotion(
        id=number,
        observation_id=number,
        decision_id=number,
        source_connection="dev_registry",
        source_registry="dev",
        target_connection="qa_registry",
        target_registry="qa",
        target_repository="qa/website",
        target_tag=f"{number}-stable",
        target_key="qa_registry/qa/website:%n",
        existing_tag="fail",
        policy="website-stable-to-qa",
        policy_hash="sha256:0",
        source_repository="dev/website",
        source_tag=f"{number}-stable",
        digest=f"sha256:{number:064x}",
        target_digest=f"sha256:{number:064x}",
        state=State.PLANNED,
        failed_in=None,
        error="",
        planned_at=PLANNED_AT,
        copied_at=None,
        tagged_at=None,
        verified_at=None,
        ended_at=None,
        bytes_copied=None,
        bytes_skipped=None,
        bytes_mounted=None,
        seconds=None,
        run_key="run-1",
    )
