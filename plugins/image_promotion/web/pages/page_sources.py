"""What the pages and the API are made of; tests put others in the place of Airflow's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from image_promotion.hooks.ledger import open_ledger
from image_promotion.ledger.ledger import Ledger
from image_promotion.promotion.stores import OpenStore
from image_promotion.registry import opening
from image_promotion.registry.side_probing import ProbeSide, probe_side
from image_promotion.web.connection_states import ConnectionStates
from image_promotion.web.dag_control import AirflowDags, DagControl
from image_promotion.web.form.audit import Audit, airflow_audit
from image_promotion.web.pages.airflow_state import AirflowDatabase, AirflowState
from image_promotion.web.pages.git_revision import GitRevisions
from image_promotion.web.pages.looks import Looks
from image_promotion.web.pages.policy_shelf import PolicyShelf
from image_promotion.web.registries import AirflowRegistries, Registries


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
        looks: What looks at registries while somebody waits.
        open_store: Opens the store that a connection leads to.
        registries: The registries behind Airflow's connections.
        connection_states: What Airflow says of connections.
        git: What Git says of policy files.
        dags: What people do with the policies' DAGs.
        probe_side: Tries one end of a policy.
        note_saved_policy: Notes that the form has written a policy file.
    """

    ledger: Callable[[], Ledger] = _shared_ledger
    airflow: AirflowState = field(default_factory=AirflowDatabase)
    shelf: PolicyShelf = field(default_factory=PolicyShelf)
    now: Callable[[], datetime] = _now
    looks: Looks = field(default_factory=Looks)
    open_store: OpenStore = opening.open_store
    registries: Registries = field(default_factory=AirflowRegistries)
    connection_states: ConnectionStates = field(default_factory=ConnectionStates)
    git: GitRevisions = field(default_factory=GitRevisions)
    dags: DagControl = field(default_factory=AirflowDags)
    probe_side: ProbeSide = probe_side
    note_saved_policy: Audit = airflow_audit
