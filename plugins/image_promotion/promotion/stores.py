"""The stores of a run: each connection is opened once and closed at the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self, TypeVar

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry import opening
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.store import Store

FindEndpoint = Callable[[str], RegistryEndpoint]
OpenStore = Callable[[RegistryEndpoint], Store]

Result = TypeVar("Result")


class Stores:
    """Opens the stores that connections lead to, each when it is first asked for.

    Args:
        find_endpoint: Says where a connection leads: Airflow's hook in a task, the environment at
            the command line.
        connection_ids: The connections that may be asked for. They are all looked up at once,
            before anything runs, because Airflow's look-up must not happen within an event loop.
        perhaps: Further connections, of which those that cannot be found are left out.
        open_store: Opens the store at an endpoint; another one in tests.
    """

    def __init__(
        self,
        find_endpoint: FindEndpoint,
        connection_ids: set[str],
        perhaps: Collection[str] = (),
        *,
        open_store: OpenStore = opening.open_store,
    ) -> None:
        self._endpoints = {each: find_endpoint(each) for each in sorted(connection_ids)}
        for each in sorted(set(perhaps) - connection_ids):
            with suppress(ConnectionSettingsError):
                self._endpoints[each] = find_endpoint(each)
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

    async def lend(self, act: Callable[[Self], Awaitable[Result]]) -> Result:
        """Act on the stores, and close them.

        Args:
            act: What to do with them.

        Returns:
            What it returned.
        """
        async with self:
            return await act(self)

    def find(self, connection_id: str) -> Store | None:
        """Return the store a connection leads to; None for one that could not be found.

        Raises:
            ConnectionSettingsError: It leads nowhere, such as to a folder that is not there.
        """
        return self.of(connection_id) if connection_id in self._endpoints else None

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
