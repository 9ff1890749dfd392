"""Airflow's connections as the server sees them, of which some may be broken."""

from __future__ import annotations

import logging

from image_promotion.errors import ConnectionSettingsError
from image_promotion.hooks.container_registry import find_endpoint
from image_promotion.registry.endpoint import RegistryEndpoint

log = logging.getLogger(__name__)


def usable_endpoint(connection_id: str) -> RegistryEndpoint | None:
    """Find where a connection leads, in whichever place Airflow keeps its connections.

    Args:
        connection_id: The connection's id.

    Returns:
        Its endpoint; None when it is missing or cannot be used, which the log then says.
    """
    try:
        return find_endpoint(connection_id)
    except ConnectionSettingsError as error:
        log.warning("%s", error)
    except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything, and one connection that cannot be read must not keep a push from the others
        log.warning(
            "the connection %a cannot be read: %s", connection_id[:64], type(error).__name__
        )
    return None
