"""The connections that imported policies name: one for each registry, without its password."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from image_promotion.errors import ConnectionSettingsError, PolicyError
from image_promotion.registry.endpoint import DOCKER_HUB_URL, RegistryEndpoint, RegistryType

CONNECTION_TYPE = "container_registry"

_NOT_IN_IDS = re.compile(r"[^a-z0-9]+")
_MAX_CHARACTERS = 100
_DOCKER_HUB_ID = "docker_io"


@dataclass(slots=True)
class Connection:
    """An Airflow connection that somebody must make.

    Args:
        connection_id: Its id.
        url: The registry's address.
        registry_type: What the registry is.
        skip_tls_verification: Whether any certificate is taken.
        requests_per_second: The most that is asked of it; None for no limit.
        login: The user name; None where there is none, or several.
        notes: What it must hold besides, a sentence each.
    """

    connection_id: str
    url: str
    registry_type: RegistryType
    skip_tls_verification: bool = False
    requests_per_second: float | None = None
    login: str | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Remember what it must hold besides, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    @property
    def command(self) -> str:
        """The command that makes it, without a password or access token."""
        extra: dict[str, object] = {"registry_type": str(self.registry_type)}
        if self.skip_tls_verification:
            extra["skip_tls_verification"] = True
        if self.requests_per_second is not None:
            extra["requests_per_second"] = self.requests_per_second
        words = ["airflow", "connections", "add", self.connection_id]
        words += ["--conn-type", CONNECTION_TYPE, "--conn-host", self.url]
        if self.login is not None:
            words += ["--conn-login", self.login]
        return shlex.join([*words, "--conn-extra", json.dumps(extra)])


class Connections:
    """The connections of one import; the same registry is always the same connection."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self._logins: dict[str, set[str]] = {}

    def add(
        self,
        address: str,
        *,
        registry_type: RegistryType = RegistryType.OCI,
        skip_tls_verification: bool = False,
        login: str | None = None,
        connection_id: str | None = None,
    ) -> Connection:
        """Return the connection of a registry.

        Args:
            address: A host with or without port, or a URL.
            registry_type: What the registry is; Docker Hub is recognised by its address.
            skip_tls_verification: Whether any certificate is taken.
            login: The user name that was used there.
            connection_id: The id it must have; None for one that is made of the address.

        Returns:
            The connection, made at its first use.

        Raises:
            PolicyError: It is no address of a registry; the text is not repeated, since it may hold
                a password.
        """
        url = _url_of(address)
        if url == DOCKER_HUB_URL:
            registry_type = RegistryType.DOCKER_HUB
        found = next((each for each in self.made if each.url == url), None)
        if found is None:
            found = Connection(connection_id or self._id_of(url), url, registry_type)
            self.made.append(found)
        if skip_tls_verification:
            found.skip_tls_verification = True
        if login:
            self._remember(found, login)
        return found

    def _remember(self, connection: Connection, login: str) -> None:
        if ":" in login or not login.isprintable() or "{{" in login:
            connection.note("Its user name could not be carried.")
            return
        logins = self._logins.setdefault(connection.connection_id, set())
        logins.add(login)
        connection.login = login if len(logins) == 1 else None
        if len(logins) > 1:
            connection.note("The export has several user names for it: choose one.")

    def _id_of(self, url: str) -> str:
        if url == DOCKER_HUB_URL:
            stem = _DOCKER_HUB_ID
        else:
            stem = _NOT_IN_IDS.sub("_", url.partition("://")[2]).strip("_")[:_MAX_CHARACTERS]
        taken = {each.connection_id for each in self.made}
        number, connection_id = 1, stem
        while connection_id in taken:
            number += 1
            connection_id = f"{stem}_{number}"
        return connection_id


def _url_of(address: str) -> str:
    extra: Mapping[str, object] = {}
    try:
        return RegistryEndpoint.from_fields(
            "imported", host=address, port=None, login=None, password=None, extra=extra
        ).url
    except ConnectionSettingsError as error:
        raise PolicyError(f"the address of a registry cannot be used: {error.attempted}") from None
