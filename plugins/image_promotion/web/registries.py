"""The registries behind Airflow's connections, as its server reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from airflow.models.connection import Connection
from airflow.utils.session import create_session
from sqlalchemy import select

from image_promotion.errors import ConnectionSettingsError
from image_promotion.hooks.container_registry import ContainerRegistryHook, find_endpoint
from image_promotion.registry.endpoint import RegistryEndpoint

_VARIABLE = "AIRFLOW_CONN_"


class Registries(Protocol):
    """What the pages ask of connections."""

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        """Say where a connection leads; blocks, and must not be called in an event loop.

        Args:
            connection_id: The connection's id.

        Returns:
            Its endpoint, with the password.

        Raises:
            ConnectionSettingsError: There is none, or it cannot be used as it is written.
        """
        ...

    def connection_ids(self) -> Sequence[str]:
        """List the connections to registries that can be listed; blocks.

        Returns:
            Their ids, in order.
        """
        ...


class AirflowRegistries:
    """The connections of the Airflow whose server this is."""

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        """Say where a connection leads; see Registries."""
        try:
            return find_endpoint(connection_id)
        except ConnectionSettingsError:
            raise
        except Exception as error:
            # A secrets backend may raise anything, and its words may hold what is secret.
            raise ConnectionSettingsError(
                f"it cannot be read ({type(error).__name__})",
                connection_id=connection_id,
                advice="Look at it in Admin, Connections, and into the log of Airflow's server.",
            ) from error

    def connection_ids(self) -> Sequence[str]:
        """List the connections of Airflow's database and of the environment; see Registries.

        What a secrets backend holds cannot be listed; its connections can be used all the same.
        """
        written = select(Connection.conn_id).where(
            Connection.conn_type == ContainerRegistryHook.conn_type
        )
        with create_session(scoped=False) as session:
            stored = set(session.scalars(written))
        return sorted(stored | _in_environment())


def _in_environment() -> set[str]:
    """Return the connections that environment variables hold, by the ids that policies use."""
    found = set()
    for name, value in os.environ.items():
        if name.startswith(_VARIABLE) and _type_of(value) == ContainerRegistryHook.conn_type:
            found.add(name.removeprefix(_VARIABLE).lower())
    return found


def _type_of(value: str) -> str | None:
    """Return the type of a connection that is written as JSON or as a URI."""
    try:
        is_json = value.lstrip().startswith("{")
        made = Connection.from_json(value) if is_json else Connection(uri=value)
    except Exception:  # noqa: BLE001 - whatever it holds, it is no connection that can be offered
        return None
    return made.conn_type
