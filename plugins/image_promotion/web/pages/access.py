"""Who may see and do what: Airflow's auth manager is asked at every route."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from fastapi import Depends, Request

from image_promotion.web.pages.rendering import MAKES_POLICIES


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


def runnable_dags(request: Request, user: GetUserDep, readable: Readable) -> frozenset[str]:
    """Return the DAGs that the user may see and trigger.

    Args:
        request: The request; its path may hold ``name``, a policy's.
        user: The user; Airflow answers 401 where there is none.
        readable: The DAGs that they may see.

    Returns:
        The DAGs' ids, of the request's policy or of all.

    Source: Airflow 3.3.2, `core_api.routes.public.dag_run.trigger_dag_run`: what it requires.
    """
    return _permitted(_asked_about(request, readable), user, "POST", DagAccessEntity.RUN)


Runnable = Annotated[frozenset[str], Depends(runnable_dags)]
"""The DAGs that whoever asks may see and trigger; of a request about one policy, only its."""


def pausable_dags(request: Request, user: GetUserDep, readable: Readable) -> frozenset[str]:
    """Return the DAGs that the user may see and pause; which ones, as for those they may trigger.

    Args:
        request: The request; its path may hold ``name``, a policy's.
        user: The user; Airflow answers 401 where there is none.
        readable: The DAGs that they may see.

    Returns:
        The DAGs' ids, of the request's policy or of all.

    Source: Airflow 3.3.2, `core_api.routes.public.dags.patch_dag`: what it requires.
    """
    return _permitted(_asked_about(request, readable), user, "PUT", None)


Pausable = Annotated[frozenset[str], Depends(pausable_dags)]
"""The DAGs that whoever asks may see and pause; of a request about one policy, only its."""


def editable_connections(
    user: BaseUser, connection_ids: Iterable[str | None]
) -> dict[str | None, bool]:
    """Say of connections whether a user may edit them; blocks.

    Args:
        user: The user.
        connection_ids: The connections' ids; None for connections whatsoever.

    Returns:
        Whether they may, for each.
    """
    asked = list(dict.fromkeys(connection_ids))
    named = [each for each in asked if each is not None]
    teams = Connection.get_conn_id_to_team_name_mapping(named) if named else {}
    manager = get_auth_manager()
    return {
        each: manager.is_authorized_connection(
            method="PUT",
            details=None
            if each is None
            else ConnectionDetails(conn_id=each, team_name=teams.get(each)),
            user=user,
        )
        for each in asked
    }


@dataclass(frozen=True, slots=True)
class ConnectionRights:
    """What a user may do with connections."""

    user: BaseUser

    def may_edit(self, *connection_ids: str) -> bool:
        """Say whether the user may edit all of some connections; blocks.

        Args:
            connection_ids: The connections' ids; none for connections whatsoever.

        Returns:
            Whether they may.
        """
        return all(editable_connections(self.user, connection_ids or (None,)).values())


def connection_rights(user: GetUserDep) -> ConnectionRights:
    """Return what the user may do with connections.

    Args:
        user: The user; Airflow answers 401 where there is none.

    Returns:
        Their rights, which are looked up when they are asked for.
    """
    return ConnectionRights(user)


Connections = Annotated[ConnectionRights, Depends(connection_rights)]
"""What whoever asks may do with connections."""


def may_edit_connections(request: Request, rights: Connections) -> bool:
    """Say whether the user may edit connections.

    Args:
        request: The request; where its path holds ``connection_id``, it is about that one.
        rights: The user's rights.

    Returns:
        Whether they may.
    """
    connection_id = request.path_params.get("connection_id")
    return rights.may_edit() if connection_id is None else rights.may_edit(connection_id)


ConnectionEditor = Annotated[bool, Depends(may_edit_connections)]
"""Whether whoever asks may edit connections, or the one that the request is about."""


def note_rights(request: Request, editor: ConnectionEditor) -> None:
    """Note in the request's state what its page offers to whoever asks.

    Args:
        request: The request.
        editor: Whether they may edit connections, and so make policies.
    """
    setattr(request.state, MAKES_POLICIES, editor)


def user_name(user: GetUserDep) -> str:
    """Return the name under which Airflow's audit log knows the user.

    Args:
        user: The user; Airflow answers 401 where there is none.

    Returns:
        Their name.
    """
    return user.get_name()


UserName = Annotated[str, Depends(user_name)]
"""The name of whoever asks."""


def _asked_about(request: Request, readable: frozenset[str]) -> frozenset[str]:
    """Return the DAGs that a request may be about.

    An auth manager may ask a service of its own about each DAG, so only these are asked about.
    """
    name = request.path_params.get("name")
    return readable if name is None else readable & {name}


def _permitted(
    dag_ids: frozenset[str], user: BaseUser, method: ResourceMethod, entity: DagAccessEntity | None
) -> frozenset[str]:
    if not dag_ids:
        return dag_ids
    manager = get_auth_manager()
    teams = DagModel.get_dag_id_to_team_name_mapping(sorted(dag_ids))
    return frozenset(
        dag_id
        for dag_id in dag_ids
        if manager.is_authorized_dag(
            method=method,
            access_entity=entity,
            details=DagDetails(id=dag_id, team_name=teams.get(dag_id)),
            user=user,
        )
    )
