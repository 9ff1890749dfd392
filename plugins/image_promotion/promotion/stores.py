"""The stores of a run: each connection is opened once and closed at the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from image_promotion.registry import opening
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.store import Store

FindEndpoint = Callable[[str], RegistryEndpoint]
OpenStore = Callable[[RegistryEndpoint], Store]


class Stores:
    """Opens the stores that connections lead to, each when it is first asked for.

    Args:
        find_endpoint: Says where a connection leads: Airflow's hook in a task, the environment at
            the command line.
        connection_ids: The connections that may be asked for. They are all looked up at once,
            before anything runs, because Airflow's look-up must not happen within an event loop.
        open_store: Opens the store at an endpoint; another one in tests.
    """

    def __init__(
        self,
        find_endpoint: FindEndpoint,
        connection_ids: set[str],
        *,
        open_store: OpenStore = opening.open_store,
    ) -> None:
        self._endpoints = {each: find_endpoint(each) for each in sorted(connection_ids)}
        self._open_store = open_store
        self._open: dict[str, Store] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._closing.aclose()

    def of(self, connection_id: str) -> Store:
        """Return the store a connection leads to.

        Args:
            connection_id: One of the connections given at the start.

        Returns:
            The store, open until this object is left.

        Raises:
            ConnectionSettingsError: It leads nowhere, such as to a folder that is not there.
        """
        if connection_id not in self._open:
            store = self._open_store(self._endpoints[connection_id])
            self._closing.push_async_callback(store.aclose)
            self._open[connection_id] = store
        return self._open[connection_id]
