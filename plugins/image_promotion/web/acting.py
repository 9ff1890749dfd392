"""Who acts on a policy, and what comes of it; for the pages and the API alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette import status

from image_promotion.errors import (
    BusyError,
    DagRefusedError,
    InvalidReferenceError,
    LedgerError,
    NotFoundError,
    PromotionError,
)
from image_promotion.policy.model import Policy
from image_promotion.promotion.run_links import run_path
from image_promotion.web.api.action_models import Actions, RunRequest, StartedRun
from image_promotion.web.dag_control import OBSTACLES, Standing
from image_promotion.web.pages.access import (
    ConnectionRights,
    Connections,
    Pausable,
    Readable,
    Runnable,
    UserName,
)
from image_promotion.web.pages.addresses import dag_path
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.policy_shelf import ShelvedPolicy

MAY_NOT_RUN = "You may not trigger this policy's Dag."
MAY_NOT_PAUSE = "You may not pause this policy's Dag."
MAY_NOT_CONNECT = "You may not edit this policy's connections, which this would use."
RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever asks, and what they may do with the policy that they ask about.

    Args:
        name: Their name, for Airflow's history.
        readable: The DAGs that they may see.
        runnable: Those that they may trigger.
        pausable: Those that they may pause.
        connections: What they may do with connections.
    """

    name: str
    readable: frozenset[str]
    runnable: frozenset[str]
    pausable: frozenset[str]
    connections: ConnectionRights


def visitor(
    name: UserName,
    readable: Readable,
    runnable: Runnable,
    pausable: Pausable,
    connections: Connections,
) -> Visitor:
    """Put together what Airflow says of whoever asks; its arguments are a Visitor's."""
    return Visitor(name, readable, runnable, pausable, connections)


Visiting = Annotated[Visitor, Depends(visitor)]
"""Whoever asks."""


def shelved(site: Site, who: Visitor, name: str) -> ShelvedPolicy | None:
    """Return a policy, if there is one that whoever asks may see; blocks."""
    return site.shelf.policies(site.ledger(), who.readable & {name}).get(name)


def actions_of(site: Site, who: Visitor, policy: Policy) -> Actions:
    """Say what whoever asks can do with a policy now; blocks.

    Args:
        site: Where it is from.
        who: Whoever asks.
        policy: The policy, which they may see.

    Returns:
        What they can do, and what keeps the policy's DAG from running.
    """
    standing = site.dags.standing(policy.name)
    obstacle = OBSTACLES.get(standing)
    return Actions(
        standing=standing,
        obstacle=f"{obstacle.reason}. {obstacle.advice}" if obstacle else "",
        may_run=policy.name in who.runnable,
        may_pause=policy.name in who.pausable,
        may_connect=who.connections.may_edit(*connections_of(policy)),
    )


def connections_of(policy: Policy) -> tuple[str, ...]:
    """Return the connections that a policy names, each once."""
    return tuple(dict.fromkeys((policy.source.connection, *policy.target_connections)))


def start_run(site: Site, who: Visitor, dag_id: str, asked: RunRequest) -> StartedRun:
    """Have a policy's DAG run; blocks.

    Args:
        site: Where the DAGs are.
        who: Whoever asks, who may trigger it.
        dag_id: The DAG.
        asked: The run's parameters.

    Returns:
        The run.

    Raises:
        DagRefusedError: Airflow does not take it.
    """
    run_id = site.dags.trigger(
        dag_id,
        {
            "tags": list(asked.tags),
            "dry_run": asked.dry_run,
            "decide_again": asked.decide_again,
        },
        user_name=who.name,
    )
    return StartedRun(
        run_id=run_id,
        path=run_path(f"{dag_id}/{run_id}", "") or dag_path(dag_id),
        waits=site.dags.standing(dag_id) is Standing.PAUSED,
    )


def status_of(error: PromotionError) -> int:
    """Return the status of an answer that says why something could not be done.

    Args:
        error: What failed.

    Returns:
        The status.
    """
    match error:
        case BusyError():
            return status.HTTP_429_TOO_MANY_REQUESTS
        case InvalidReferenceError():
            return status.HTTP_400_BAD_REQUEST
        case NotFoundError():
            return status.HTTP_404_NOT_FOUND
        case DagRefusedError(retryable=False):
            return status.HTTP_409_CONFLICT
        case DagRefusedError() | LedgerError():
            return status.HTTP_503_SERVICE_UNAVAILABLE
        case _:
            return status.HTTP_424_FAILED_DEPENDENCY
