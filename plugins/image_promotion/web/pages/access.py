"""Who may see what: Airflow's auth manager is asked at every route."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends


def readable_dags(user: GetUserDep) -> frozenset[str]:
    """Return the DAGs that the user may see; whoever may see a policy's may see its promotions.

    Args:
        user: The user; Airflow answers 401 where there is none.

    Returns:
        The DAGs' ids, which are the policies' names.
    """
    return frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))


Readable = Annotated[frozenset[str], Depends(readable_dags)]
"""The DAGs that whoever asks may see."""
