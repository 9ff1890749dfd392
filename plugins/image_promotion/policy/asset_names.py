"""What Airflow's assets that stand for repositories are called, so that all who need it agree."""

from __future__ import annotations

ASSET_SCHEME = "oci"


def asset_name(connection_id: str, repository: str) -> str:
    """Return the name of the asset that stands for a repository behind a connection.

    Args:
        connection_id: The Airflow connection's id.
        repository: The repository, or a pattern of them.

    Returns:
        The name; it is known without looking the connection up.
    """
    return f"{connection_id}/{repository}"


def asset_uri(connection_id: str, repository: str) -> str:
    """Return the URI of the asset that stands for a repository behind a connection.

    Args:
        connection_id: The Airflow connection's id.
        repository: The repository, or a pattern of them.

    Returns:
        The URI.
    """
    return f"{ASSET_SCHEME}://{asset_name(connection_id, repository)}"


def named_repository(name: str, uri: str) -> tuple[str, str] | None:
    """Return which repository an asset stands for.

    Args:
        name: The asset's name.
        uri: The asset's URI.

    Returns:
        The connection's id and the repository or pattern; None for an asset of somebody else.
    """
    connection_id, slash, repository = name.partition("/")
    ours = slash and repository and uri == asset_uri(connection_id, repository)
    return (connection_id, repository) if ours else None
