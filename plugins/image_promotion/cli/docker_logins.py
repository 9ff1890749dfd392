"""The logins that Docker keeps: who `docker login` has made us at a registry.

They stand in ``config.json``, or with a credential helper that the file names: a program that is
asked and answers. A helper is run without a shell, by its name on PATH alone, and for a time.

Source: Docker, "docker login", "Credential stores" and "Credential helpers"; the protocol of
docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.reference import DEFAULT_REGISTRY

FOLDER_VARIABLE = "DOCKER_CONFIG"

HELPER_TIMEOUT_S = 60.0
"""How long a helper may take; some ask a person, or a cloud."""

_MAX_CONFIG_BYTES = 1024 * 1024
_MAX_ANSWER_CHARACTERS = 64 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = (DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io")

_TOKEN_USER = "<token>"  # noqa: S105 - the name of a user, not a secret
"""The user name by which a helper says that the secret is a token."""

_NOT_FOUND = "credentials not found in native keychain"
"""How helpers say that they do not know a registry: the protocol has no other sign.

Source: docker-credential-helpers, ``credentials`` package, error messages.
"""


@dataclass(frozen=True, slots=True)
class DockerLogin:
    """Who we are at a registry.

    Args:
        username: The user name; None when the secret is a token.
        secret: The password, or the token.
    """

    username: str | None
    secret: str = field(repr=False)


def find_login(registry: str, environ: Mapping[str, str]) -> DockerLogin | None:
    """Return who Docker's configuration says that we are at a registry.

    A helper for this registry comes first, then the one for all, then what the file holds itself.

    Args:
        registry: The registry as references name it: ``docker.io``, ``localhost:5000``.
        environ: The environment: DOCKER_CONFIG, HOME and PATH.

    Returns:
        The login; None when there is none.

    Raises:
        ConnectionSettingsError: The file or a helper's answer cannot be used; never quotes them.
    """
    return _LoginReader(registry, environ).login()


class _LoginReader:
    """Reads one registry's login; exists so that each refusal can name the registry."""

    def __init__(self, registry: str, environ: Mapping[str, str]) -> None:
        self._registry = registry
        self._environ = environ
        folder = environ.get(FOLDER_VARIABLE) or ""
        home = environ.get("HOME") or ""
        self._path = (
            Path(folder) / "config.json"
            if folder
            else Path(home) / ".docker" / "config.json"
            if home
            else None
        )

    def login(self) -> DockerLogin | None:
        config = self._config()
        helpers = self._member(config, "credHelpers")
        helper = helpers.get(self._entry_key(helpers) or "") or config.get("credsStore")
        if helper:
            asked = self._ask_helper(helper)
            if asked is not None:
                return asked
        logins = self._member(config, "auths")
        key = self._entry_key(logins)
        return None if key is None else self._entry_login(self._member(logins, key))

    def _refuse(self, rule: str, advice: str, name: str = "") -> NoReturn:
        # What caused it may quote a secret: each raise is "from None" or outside an except block.
        raise ConnectionSettingsError(
            rule, connection_id=self._registry, field=name, advice=advice
        ) from None

    def _config(self) -> Mapping[str, object]:
        if self._path is None:
            return {}
        advice = f"Correct it, or name another folder in {FOLDER_VARIABLE}."
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_CONFIG_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._refuse(
                f"Docker's configuration {self._path} cannot be read ({type(error).__name__})",
                advice,
            )
        if len(content) > _MAX_CONFIG_BYTES:
            self._refuse(f"Docker's configuration {self._path} is too large", advice)
        try:
            config = json.loads(content)
        except (ValueError, RecursionError):
            self._refuse(f"Docker's configuration {self._path} is not JSON", advice)
        if not isinstance(config, dict):
            self._refuse(f"Docker's configuration {self._path} is not an object", advice)
        return config

    def _member(self, parent: Mapping[str, object], name: str) -> Mapping[str, object]:
        value = parent.get(name) or {}
        if not isinstance(value, dict):
            self._refuse(
                f"Docker's configuration {self._path} holds something else than an object",
                "Correct the file.",
                name,
            )
        return value

    def _entry_key(self, entries: Mapping[str, object]) -> str | None:
        """Find the key that means our registry; older Dockers wrote a URL."""
        wanted = _host(self._registry)
        if self._registry in entries:
            return self._registry
        return next((key for key in entries if _host(key) == wanted), None)

    def _entry_login(self, entry: Mapping[str, object]) -> DockerLogin | None:
        token = entry.get("identitytoken")
        if isinstance(token, str) and token:
            return DockerLogin(None, token)
        username, password = entry.get("username"), entry.get("password")
        coded = entry.get("auth")
        if coded:
            try:
                text = base64.b64decode(str(coded), validate=True).decode("utf-8")
            except (binascii.Error, ValueError):
                text = ""
            # Old Dockers padded the password with zeros.
            username, colon, password = text.rstrip("\0").partition(":")
            if not colon:
                self._refuse(
                    f"Docker's configuration {self._path} holds a login that cannot be read",
                    "Log in again with `docker login`.",
                    "auth",
                )
        if isinstance(username, str) and isinstance(password, str) and username and password:
            return _login(username, password)
        return None

    def _ask_helper(self, helper: object) -> DockerLogin | None:
        if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
            self._refuse(
                f"Docker's configuration {self._path} names a credential helper that cannot be one",
                "It is the end of a program's name: `ecr-login` for docker-credential-ecr-login.",
                "credHelpers",
            )
        name = f"docker-credential-{helper}"
        program = shutil.which(name, path=self._environ.get("PATH"))
        if program is None:
            self._refuse(
                f"there is no program {name} on PATH, which Docker's configuration names",
                f"Install it, or name another folder in {FOLDER_VARIABLE}.",
            )
        is_hub = self._registry == DEFAULT_REGISTRY
        advice = f"See what `{name} get` says with the registry's name as its input."
        try:
            done = subprocess.run(  # noqa: S603 - a name of the user's own, without a shell
                [program, "get"],
                input=_DOCKER_HUB_KEY if is_hub else self._registry,
                env=dict(self._environ),
                capture_output=True,
                encoding="utf-8",
                timeout=HELPER_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError, UnicodeError) as error:
            self._refuse(f"{name} cannot be asked ({type(error).__name__})", advice)
        if done.returncode != 0:
            if done.stdout.strip() == _NOT_FOUND:
                return None
            self._refuse(f"{name} has failed with the status {done.returncode}", advice)
        try:
            if len(done.stdout) > _MAX_ANSWER_CHARACTERS:
                raise ValueError  # noqa: TRY301 - an answer like any other that is none
            answer = json.loads(done.stdout)
            username, secret = answer["Username"], answer["Secret"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self._refuse(f"{name} has answered what is no login", advice)
        if not (isinstance(username, str) and isinstance(secret, str)):
            self._refuse(f"{name} has answered what is no login", advice)
        return _login(username, secret) if secret else None


def _login(username: str, secret: str) -> DockerLogin:
    return DockerLogin(None if username == _TOKEN_USER else username or None, secret)


def _host(key: str) -> str:
    """Return the host that a key of the configuration means, with its port.

    Source: Docker, ``registry`` package, ``ConvertToHostname``: the scheme and the path go.
    """
    host = key.partition("://")[2] if "://" in key else key
    host = host.partition("/")[0].lower()
    return DEFAULT_REGISTRY if host in _DOCKER_HUB_HOSTS else host
