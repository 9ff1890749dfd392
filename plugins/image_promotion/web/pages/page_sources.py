"""What the pages and the API are made of; tests put others in the place of Airflow's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from image_promotion.hooks.ledger import open_ledger
from image_promotion.ledger.ledger import Ledger
from image_promotion.web.pages.airflow_state import AirflowDatabase, AirflowState
from image_promotion.web.pages.policy_shelf import PolicyShelf


@cache
def _shared_ledger() -> Ledger:
    """Open the ledger once for all requests; where that fails, the next one tries again."""
    return open_ledger()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """Where the pages have what they show from.

    Attributes:
        ledger: Gives the ledger; it stays open.
        airflow: What Airflow knows.
        shelf: The policies.
        now: Gives the present moment.
    """

    ledger: Callable[[], Ledger] = _shared_ledger
    airflow: AirflowState = field(default_factory=AirflowDatabase)
    shelf: PolicyShelf = field(default_factory=PolicyShelf)
    now: Callable[[], datetime] = _now
