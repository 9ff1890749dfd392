"""The Airflow connection that a hook is about, or the error that says it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from image_promotion.errors import ConnectionSettingsError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def require_connection(connection_id: str, *, advice: str) -> Connection:
    """Look an Airflow connection up.

    Args:
        connection_id: The connection's id.
        advice: How to make it, for people who have not.

    Returns:
        The connection.

    Raises:
        ConnectionSettingsError: There is none.
    """
    try:
        return BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        raise ConnectionSettingsError(
            "there is no such connection", connection_id=connection_id, advice=advice
        ) from None
