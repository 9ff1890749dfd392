"""From a connection's endpoint to the store that it leads to."""

from __future__ import annotations

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.store import Store


def open_store(endpoint: RegistryEndpoint) -> Store:
    """Open the store at an endpoint: a registry over HTTP, or a folder of OCI layouts.

    A registry of a known type comes with its product's own interface, ``catalogue.HasCatalogue``.

    Args:
        endpoint: The connection.

    Returns:
        The store; to be closed.

    Raises:
        ConnectionSettingsError: The folder is not there, or the CA certificate cannot be read.
    """
    if endpoint.folder is None:
        if endpoint.registry_type is RegistryType.OCI:
            return RegistryClient(endpoint)
        # What reads the products' interfaces takes as long to load as all else here.
        from image_promotion.registry.products.client import ProductClient  # noqa: PLC0415

        return ProductClient(endpoint)
    if not endpoint.folder.is_dir():
        # Not made on the way: where a disk should be and is not mounted, images would vanish.
        raise ConnectionSettingsError(
            f"there is no folder {endpoint.folder} on this machine",
            connection_id=endpoint.connection_id,
            field="host",
            advice="Create it, or mount it; every worker of Airflow must reach it by this path.",
        )
    return LayoutStore(endpoint.folder, namespace=endpoint.namespace)
