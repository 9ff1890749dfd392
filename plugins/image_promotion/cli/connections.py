"""Connections as Airflow reads them from the environment, without Airflow.

`AIRFLOW_CONN_<ID>` holds a URI or JSON. Source: Airflow, "Managing Connections", "Storing
connections in environment variables"; a test compares each field with what Airflow itself reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.endpoint import RegistryEndpoint

if TYPE_CHECKING:
    from image_promotion.evidence.trust.signing import PrivateSigningKey

CONNECTION_TYPE = "container_registry"

_EXTRA_KEY = "__extra__"


@dataclass(frozen=True, slots=True)
class ConnectionFields:
    """The fields of an Airflow connection that a registry needs."""

    conn_type: str | None = None
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)


def find_endpoint(connection_id: str, environ: Mapping[str, str]) -> RegistryEndpoint:
    """Return where a connection of the environment leads.

    Args:
        connection_id: The connection's id.
        environ: The environment.

    Returns:
        Its endpoint.

    Raises:
        ConnectionSettingsError: There is no such connection, or it cannot be used as it is written.
    """
    fields = _fields_of(connection_id, environ)
    if fields.conn_type != CONNECTION_TYPE:
        # Airflow's tasks would refuse it too.
        raise ConnectionSettingsError(
            f"the connection is of another type than {CONNECTION_TYPE}",
            connection_id=connection_id,
            field="conn_type",
            advice=f"Begin the URI with {CONNECTION_TYPE.replace('_', '-')}:// or write "
            f'"conn_type": "{CONNECTION_TYPE}" in the JSON.',
        )
    return RegistryEndpoint.from_fields(
        connection_id,
        host=fields.host,
        port=fields.port,
        login=fields.login,
        password=fields.password,
        extra=fields.extra,
    )


def find_signing_key(connection_id: str, environ: Mapping[str, str]) -> PrivateSigningKey:
    """Return the private key that a connection of the environment holds.

    Args:
        connection_id: The connection's id.
        environ: The environment.

    Returns:
        The key.

    Raises:
        ConnectionSettingsError: There is no such connection, or no key in it that can be used.
    """
    from image_promotion.evidence.trust.signing import (  # noqa: PLC0415 - loads cryptography
        signing_key_of,
    )

    fields = _fields_of(connection_id, environ)
    return signing_key_of(
        connection_id, conn_type=fields.conn_type, password=fields.password, extra=fields.extra
    )


def _fields_of(connection_id: str, environ: Mapping[str, str]) -> ConnectionFields:
    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    text = environ.get(variable, "").strip()
    if not text:
        raise ConnectionSettingsError(
            "there is no such connection in the environment",
            connection_id=connection_id,
            advice=f"Set {variable} to its URI or JSON, as for Airflow.",
        )
    try:
        return connection_fields(text)
    except (ValueError, TypeError, AttributeError):
        # The cause may quote the text, and with it a password.
        raise ConnectionSettingsError(
            f"{variable} is neither a connection's JSON nor its URI", connection_id=connection_id
        ) from None


def connection_fields(text: str) -> ConnectionFields:
    """Read the value of an AIRFLOW_CONN_ variable.

    Args:
        text: JSON when it begins like it, else a URI.

    Returns:
        Its fields, unchecked.

    Raises:
        ValueError: It is neither.
        TypeError: A field of the JSON is of a type that it cannot have.
        AttributeError: The same.

    Source: Airflow 3.3, ``Connection.from_json`` and ``Connection.from_uri``.
    """
    return _from_json(text) if text.startswith("{") else _from_uri(text)


def _from_json(text: str) -> ConnectionFields:
    document = json.loads(text)
    extra = document.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    port = document.get("port")
    return ConnectionFields(
        conn_type=_normal(document.get("conn_type") or ""),
        host=document.get("host") or None,
        port=int(port) if port else None,
        login=document.get("login") or None,
        password=document.get("password") or None,
        extra=dict(extra),
    )


def _from_uri(text: str) -> ConnectionFields:
    # `container-registry://http://user:password@host:5000`: the inner scheme belongs to the host.
    _, separator, rest = text.partition("://")
    if not separator:
        raise ValueError(text)
    protocol, inner, remainder = rest.partition("://")
    parts = urlsplit(f"//{remainder if inner else rest}")
    host = unquote(parts.hostname or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra: dict[str, object] = dict(query)
    if _EXTRA_KEY in query:
        extra = json.loads(query[_EXTRA_KEY])
    return ConnectionFields(
        # An underscore is not allowed in a scheme, so that the type is written with a dash.
        conn_type=_normal(urlsplit(text).scheme),
        host=(f"{protocol}://{host}" if inner and host else host) or None,
        port=parts.port,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        extra=extra,
    )


def _normal(conn_type: str) -> str:
    return conn_type.replace("-", "_")
