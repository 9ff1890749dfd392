"""The connection type `container_registry`: its form as an endpoint, and its Test button."""

from __future__ import annotations

from airflow.sdk import BaseHook

from image_promotion.errors import ConnectionSettingsError
from image_promotion.hooks.lookup import require_connection
from image_promotion.registry.endpoint import RegistryEndpoint


class ContainerRegistryHook(BaseHook):
    """Gives access to the container registry behind an Airflow connection.

    Args:
        registry_conn_id: The id of a connection of type ``container_registry``.
    """

    conn_name_attr = "registry_conn_id"
    default_conn_name = "container_registry_default"
    conn_type = "container_registry"
    hook_name = "Container registry"

    def __init__(self, registry_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.registry_conn_id = registry_conn_id

    def endpoint(self) -> RegistryEndpoint:
        """Return where the connection leads and how to enter there.

        Returns:
            The endpoint.

        Raises:
            ConnectionSettingsError: There is no such connection, or a field of it cannot be used as
                it is written.
        """
        connection = require_connection(
            self.registry_conn_id,
            advice="Make it in Admin, Connections, or set "
            f"AIRFLOW_CONN_{self.registry_conn_id.upper()} to its URI or JSON.",
        )
        if connection.conn_type != self.conn_type:
            raise ConnectionSettingsError(
                f"it is of type {connection.conn_type}, not of type {self.conn_type}",
                connection_id=self.registry_conn_id,
                field="conn_type",
                advice="Choose the type Container registry in Admin, Connections.",
            )
        return RegistryEndpoint.from_fields(
            self.registry_conn_id,
            host=connection.host,
            # Airflow's list of connections says 0 where the form was left empty.
            port=connection.port or None,
            login=connection.login,
            password=connection.password,
            extra=connection.extra_dejson,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Reach the registry, sign in, and say in plain words what the connection may do there.

        Returns:
            Whether all of it worked, and what to show to the person who pressed the button.
        """
        # Only the Test button pays for the client's imports, not every process that loads hooks.
        import asyncio  # noqa: PLC0415

        from image_promotion.registry.probing import probe  # noqa: PLC0415

        try:
            endpoint = self.endpoint()
        except ConnectionSettingsError as error:
            return False, str(error)
        result = asyncio.run(probe(endpoint))
        return result.ok, result.message


def find_endpoint(connection_id: str) -> RegistryEndpoint:
    """Return where an Airflow connection leads.

    Args:
        connection_id: The connection's id.

    Returns:
        Its endpoint.

    Raises:
        ConnectionSettingsError: The connection cannot be used as it is written.
    """
    return ContainerRegistryHook(connection_id).endpoint()
