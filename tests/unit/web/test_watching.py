from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.web.notifications.event import Happening, ImageEvent
from image_promotion.web.watching import Outcome, Receipt, WatchedRepository, announce_events


@dataclass
class Board:
    """Airflow's assets as a list, and what was announced."""

    names: Sequence[str]
    announced: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    outcome: Outcome = Outcome.STARTED

    def watched(self) -> Sequence[WatchedRepository]:
        split = [name.partition("/") for name in self.names]
        return [
            WatchedRepository(number, connection_id, repository)
            for number, (connection_id, _, repository) in enumerate(split)
        ]

    def announce(
        self, watched: WatchedRepository, events: Sequence[ImageEvent], source: str
    ) -> Outcome:
        assert self.names[watched.asset_id] == f"{watched.connection_id}/{watched.repository}"
        told = tuple(str(event) for event in events)
        self.announced.append((self.names[watched.asset_id], told, source))
        return self.outcome

    @property
    def assets(self) -> list[str]:
        return sorted(name for name, _, _ in self.announced)


def _endpoint(
    connection_id: str, host: str = "registry.example.com", **fields: str
) -> RegistryEndpoint:
    return RegistryEndpoint.from_fields(
        connection_id, host=host, port=None, login=None, password=None, extra=fields
    )


ENDPOINTS = {
    endpoint.connection_id: endpoint
    for endpoint in (
        _endpoint("dev"),
        _endpoint("dev_of_shop", host="https://registry.example.com:443/v2/", namespace="shop"),
        _endpoint("qa", host="qa.example.com"),
        _endpoint("hub", host="", registry_type="docker_hub"),
        _endpoint("hub_too", host="index.docker.io", namespace="library"),
    )
}


def _announce(board: Board, connection_id: str, *repositories: str) -> Receipt:
    events = [ImageEvent(Happening.PUSHED, each, "1.0") for each in repositories]
    return announce_events(ENDPOINTS[connection_id], events, board, ENDPOINTS.get)


def test_an_event_is_announced_to_the_repository_and_to_patterns_of_it() -> None:
    board = Board(["dev/dev/website", "dev/dev/*", "dev/dev/web*", "dev/dev/shop", "dev/website"])

    receipt = _announce(board, "dev", "dev/website")

    assert board.assets == ["dev/dev/*", "dev/dev/web*", "dev/dev/website"]
    assert receipt == Receipt({Outcome.STARTED: 3}, unwatched=0)


def test_connections_to_the_same_registry_are_told_by_their_own_names() -> None:
    board = Board(["dev/shop/cart", "dev_of_shop/cart", "dev_of_shop/shop/cart", "qa/shop/cart"])

    _announce(board, "dev", "shop/cart")

    assert board.announced == [
        ("dev/shop/cart", ("shop/cart:1.0",), "dev"),
        ("dev_of_shop/cart", ("shop/cart:1.0",), "dev"),
    ]


def test_a_repository_out_of_a_connections_namespace_is_not_its_own() -> None:
    board = Board(["dev_of_shop/cart", "dev_of_shop/*"])

    receipt = _announce(board, "dev", "shopping/cart", "cart")

    assert board.announced == []
    assert receipt.unwatched == 2


@pytest.mark.parametrize("asset", ["hub/nginx", "hub/library/nginx", "hub_too/nginx", "hub/*"])
def test_official_images_of_docker_hub_are_known_by_both_names(asset: str) -> None:
    board = Board([asset])
    assert _announce(board, "hub", "library/nginx").outcomes == {Outcome.STARTED: 1}
    assert board.assets == [asset]


def test_several_events_of_a_repository_are_announced_at_once() -> None:
    board = Board(["dev/dev/*"])

    receipt = _announce(board, "dev", "dev/website", "dev/shop", "nobodys/website")

    assert board.announced == [("dev/dev/*", ("dev/website:1.0", "dev/shop:1.0"), "dev")]
    assert receipt == Receipt({Outcome.STARTED: 1}, unwatched=1)


def test_a_connection_that_cannot_be_used_keeps_nothing_from_the_others() -> None:
    board = Board(["broken/dev/website", "dev/dev/website"])
    _announce(board, "dev", "dev/website")
    assert board.assets == ["dev/dev/website"]


def test_no_events_ask_for_nothing() -> None:
    class Silent(Board):
        def watched(self) -> Sequence[WatchedRepository]:
            raise AssertionError

    assert announce_events(ENDPOINTS["dev"], [], Silent([]), ENDPOINTS.get) == Receipt()


def test_other_connections_are_looked_up_once_each() -> None:
    asked: list[str] = []

    def find(connection_id: str) -> RegistryEndpoint | None:
        asked.append(connection_id)
        return ENDPOINTS.get(connection_id)

    board = Board(["qa/a/b", "dev/a/b", "qa/a/c", "dev/a/*", "qa/a/d"])
    event = ImageEvent(Happening.PUSHED, "a/b")
    announce_events(ENDPOINTS["dev"], [event], board, find)

    assert asked == ["qa"]
    assert board.assets == ["dev/a/*", "dev/a/b"]


def test_docker_hub_is_one_registry_whatever_it_is_called() -> None:
    assert ENDPOINTS["hub"].registry_type is RegistryType.DOCKER_HUB
    assert ENDPOINTS["hub"].host == ENDPOINTS["hub_too"].host
