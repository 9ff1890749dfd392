"""What Airflow says of the connections that a policy names; no registry is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.api.models import ConnectionState
from image_promotion.web.registries import Registries

KEPT_S = 10.0
WAITED_S = 1.0
"""A page waits so long; a secrets backend may be slow, and what it says later is shown later."""

MAX_KEPT = 1_000
AT_ONCE = 4


class ConnectionStates:
    """Looks connections up, and keeps what was found for a while.

    Passwords are not kept: only what is shown.

    Args:
        clock: Gives seconds that never go back.
        waited_s: How long a page waits, in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, waited_s: float = WAITED_S
    ) -> None:
        self._clock = clock
        self._waited_s = waited_s
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="promotion-connections")
        self._lock = Lock()
        self._asked: dict[str, tuple[float, Future[ConnectionState]]] = {}

    def of(
        self, registries: Registries, connection_ids: Sequence[str]
    ) -> tuple[ConnectionState, ...]:
        """Say how connections stand.

        Args:
            registries: Where connections are from.
            connection_ids: Their ids.

        Returns:
            How each stands, in the same order.
        """
        asked = [self._ask(registries, each) for each in connection_ids]
        wait(asked, timeout=self._waited_s)
        return tuple(
            each.result() if each.done() else _not_known_yet(connection_id)
            for connection_id, each in zip(connection_ids, asked, strict=True)
        )

    def _ask(self, registries: Registries, connection_id: str) -> Future[ConnectionState]:
        now = self._clock()
        with self._lock:
            kept = self._asked.get(connection_id)
            if kept is not None and (not kept[1].done() or now - kept[0] < KEPT_S):
                return kept[1]
            if len(self._asked) >= MAX_KEPT:
                self._asked.clear()
            future = self._pool.submit(_state_of, registries, connection_id)
            self._asked[connection_id] = now, future
            return future


def _state_of(registries: Registries, connection_id: str) -> ConnectionState:
    try:
        return _described(registries.endpoint(connection_id))
    except ConnectionSettingsError as error:
        return ConnectionState(
            connection=connection_id,
            usable=False,
            registry_type=None,
            address=None,
            problem=str(error),
        )


def _described(endpoint: RegistryEndpoint) -> ConnectionState:
    return ConnectionState(
        connection=endpoint.connection_id,
        usable=True,
        registry_type=endpoint.registry_type.value,
        address=endpoint.host,
        problem="",
    )


def _not_known_yet(connection_id: str) -> ConnectionState:
    return ConnectionState(
        connection=connection_id,
        usable=None,
        registry_type=None,
        address=None,
        problem="Airflow has not read it yet; look again in a moment.",
    )
