"""A copy in which one connection cannot be made: each in turn, refused or reset.

A connection is made for each request, so that each request is once the one that has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from image_promotion.errors import UnreachableError
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Fault
from sandbox.registry_process import RegistryProcess
from tests.support.crossing import Crossing, Planned, push_to_copy


@pytest.fixture(scope="module")
def crossing(dev: RegistryProcess, qa: RegistryProcess) -> Iterator[Crossing]:
    image = push_to_copy(dev.url, ["linux/amd64"])
    with (
        FaultProxy(dev.url, keeps_connections=False) as source,
        FaultProxy(qa.url, keeps_connections=False) as target,
        httpx.Client(base_url=qa.url, trust_env=False, verify=False) as raw,  # noqa: S501 - plain http
    ):
        yield Crossing(image, {"source": source, "target": target}, raw)


@pytest.fixture(autouse=True)
def no_pause_is_waited_for(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    crossing.give_away_pauses(monkeypatch)


@pytest.fixture(scope="module")
def connections(crossing: Crossing) -> list[Planned]:
    """Every connection that a copy makes, by its request."""
    return crossing.watch()


@dataclass(frozen=True)
class Refuse(Fault):
    """Lets a request pass, and refuses the connection after it; `Crossing.pause` ends that."""

    proxy: FaultProxy

    def instead(self) -> None:
        self.proxy.refuse_connections()


def plan_refusal(crossing: Crossing, connections: list[Planned], planned: Planned) -> None:
    """Plan that nobody listens when a connection is tried."""
    proxy = crossing.proxies[planned.side]
    if planned.position == 0:
        proxy.refuse_connections()
        return
    place = (planned.side, planned.position - 1)
    (before,) = [each for each in connections if (each.side, each.position) == place]
    proxy.on(before.exchange.method, "", Refuse(proxy), skip=before.nth)


async def test_a_refused_connection_is_made_again_and_the_copy_is_right(
    crossing: Crossing, connections: list[Planned]
) -> None:
    async with crossing.clients() as clients:
        for planned in connections:
            crossing.begin()
            plan_refusal(crossing, connections, planned)

            error = await crossing.copied(clients, f"refused: {planned}")

            assert error is None, f"{planned}: {error}"
            assert len(crossing.slept_s) == 1, f"{planned}: it was not refused once"


async def test_a_connection_that_is_reset_at_once_is_made_again_and_the_copy_is_right(
    crossing: Crossing, connections: list[Planned]
) -> None:
    async with crossing.clients() as clients:
        for planned in connections:
            crossing.begin()
            crossing.proxies[planned.side].reset_connection(skip=planned.position)

            error = await crossing.copied(clients, f"reset: {planned}")

            assert error is None, f"{planned}: {error}"
            assert len(crossing.slept_s) == 1, f"{planned}: it was not reset once"


async def test_a_registry_that_refuses_from_then_on_ends_in_an_error_that_names_it(
    crossing: Crossing, connections: list[Planned]
) -> None:
    async with crossing.clients() as clients:
        for planned in connections:
            crossing.begin()
            crossing.pauses_end_refusals = False
            plan_refusal(crossing, connections, planned)

            error = await crossing.copied(clients, f"refused for good: {planned}")

            assert isinstance(error, UnreachableError), planned
            assert error.retryable, planned
            assert error.subject.registry == crossing.proxies[planned.side].host, planned
            assert error.subject.repository, planned
            assert "refuses the connection" in str(error), planned
