"""Which assets a notification is about, and what becomes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from image_promotion.policy.repositories import name_in
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.web.notifications.event import ImageEvent

EndpointFinder = Callable[[str], RegistryEndpoint | None]
"""Finds where a connection leads; None for one that cannot be used."""

_OFFICIAL_IMAGES = "library/"


class Outcome(StrEnum):
    """What became of an asset that a notification is about."""

    STARTED = "started"
    """An event was written, and Airflow will start the policies."""

    COVERED = "covered"
    """Every policy has a run to come anyway, which will see what was pushed."""

    IDLE = "idle"
    """No policy that is switched on waits for it."""


@dataclass(frozen=True, slots=True)
class WatchedRepository:
    """An asset that stands for a repository.

    Args:
        asset_id: Airflow's own id of the asset.
        connection_id: The connection.
        repository: The repository as policies name it, or a pattern of them.
    """

    asset_id: int
    connection_id: str
    repository: str


class AssetBoard(Protocol):
    """Airflow's assets, as far as notifications need them."""

    def watched(self) -> Sequence[WatchedRepository]:
        """Return the repositories that somebody's DAG names now."""
        ...

    def announce(
        self, watched: WatchedRepository, events: Sequence[ImageEvent], source: str
    ) -> Outcome:
        """Make the policies that wait for an asset run, unless each will run anyway.

        Args:
            watched: The asset.
            events: What happened there.
            source: The connection whose webhook was called.

        Returns:
            What became of it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a notification.

    Args:
        outcomes: How many assets had each outcome.
        unwatched: How many of its repositories no asset stands for.
    """

    outcomes: Mapping[Outcome, int] = field(default_factory=Counter)
    unwatched: int = 0


def announce_events(
    endpoint: RegistryEndpoint,
    events: Sequence[ImageEvent],
    board: AssetBoard,
    find_endpoint: EndpointFinder,
) -> Receipt:
    """Announce what happened in a registry to whoever watches it there, by whichever connection.

    Args:
        endpoint: The registry whose notification it is.
        events: What happened.
        board: Airflow's assets.
        find_endpoint: Finds the other connections that assets name.

    Returns:
        What became of it.
    """
    if not events:
        return Receipt()
    outcomes: Counter[Outcome] = Counter()
    seen: set[str] = set()
    for watched, concerned in _concerned(endpoint, events, board.watched(), find_endpoint):
        seen.update(event.repository for event in concerned)
        outcomes[board.announce(watched, concerned, endpoint.connection_id)] += 1
    return Receipt(outcomes, len({event.repository for event in events} - seen))


def _concerned(
    endpoint: RegistryEndpoint,
    events: Sequence[ImageEvent],
    watched: Iterable[WatchedRepository],
    find_endpoint: EndpointFinder,
) -> Iterator[tuple[WatchedRepository, Sequence[ImageEvent]]]:
    by_connection = attrgetter("connection_id")
    for connection_id, theirs in groupby(sorted(watched, key=by_connection), by_connection):
        own = connection_id == endpoint.connection_id
        other = endpoint if own else find_endpoint(connection_id)
        # Two teams may reach one registry by two connections, with namespaces of their own.
        if other is None or other.host != endpoint.host:
            continue
        named = [(event, _names_of(event.repository, other)) for event in events]
        for each in theirs:
            concerned = [
                event
                for event, names in named
                if any(name_in(each.repository, name) is not None for name in names)
            ]
            if concerned:
                yield each, concerned


def _names_of(full_repository: str, endpoint: RegistryEndpoint) -> tuple[str, ...]:
    """Return what policies may call a repository; on Docker Hub `library/` need not be said."""
    own = endpoint.own_repository(full_repository)
    names: tuple[str, ...] = () if own is None else (own,)
    if endpoint.registry_type is RegistryType.DOCKER_HUB:
        names += tuple(
            each.removeprefix(_OFFICIAL_IMAGES)
            for each in names
            if each.startswith(_OFFICIAL_IMAGES)
        )
    return names
