"""A real container registry (CNCF distribution) on loopback, ended with whoever started it.

It keeps everything in one folder: configuration, log and content. A second start on the same folder
finds the content of the first.
"""

from __future__ import annotations

import http.client
import os
import re
import secrets
import shutil
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import yaml

from sandbox.leash import LeashedProcess
from sandbox.ports import LOOPBACK, free_port, is_free

if TYPE_CHECKING:
    from sandbox.certificates import TlsFiles

_PROGRAMS = ("docker-registry", "registry")
_ADVICE = (
    "install it (Debian: apt-get install docker-registry), "
    "or put the program `registry` of CNCF distribution on PATH"
)
_ATTEMPTS = 4
_START_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.01
_ANSWER_TIMEOUT_S = 10.0
_LOG_TAIL_LINES = 20
_BCRYPT_COST = 4  # the least there is: these passwords guard nothing, and each request pays for it

# Constant, so that an upload begun before a restart goes on after it.
_UPLOAD_STATE_KEY = "sandbox"

# Every answer carries it with a value of its own: whoever answers at the port without it is another
# server that took the port before ours could.
_IDENTITY_HEADER = "X-Sandbox-Registry"

# The Common Log Format: `host - - [time] "GET /v2/ HTTP/1.1" 200 2 "" "client"`.
_LOGGED_REQUEST = re.compile(r'\] "([A-Z]+ \S+) HTTP/1\.[01]" \d{3} ')


class RegistryUnavailableError(Exception):
    """No registry program is installed here, or it does not start."""


@dataclass(frozen=True)
class Notified:
    """Whom a registry tells of what is pushed to it.

    Attributes:
        url: Where it posts its notifications.
        authorization: What it sends in the header Authorization.
    """

    url: str
    authorization: str


class TokenAuth(Protocol):
    """What a registry must know of the token service it sends its clients to."""

    @property
    def realm(self) -> str:
        """The URL clients ask for a token."""
        ...

    @property
    def service(self) -> str:
        """The name the registry has at the token service: the tokens' audience."""
        ...

    @property
    def issuer(self) -> str:
        """The name the token service gives itself in its tokens."""
        ...

    @property
    def root_certificates(self) -> Path:
        """A PEM file of the certificates that sign its tokens."""
        ...


def registry_command() -> str:
    """Find the registry program.

    Returns:
        Its path: Debian's `docker-registry`, else `registry`.

    Raises:
        RegistryUnavailableError: Neither is on PATH; says what to install.
    """
    for program in _PROGRAMS:
        if path := shutil.which(program):
            return path
    raise RegistryUnavailableError(f"there is no container registry on this machine: {_ADVICE}")


class RegistryProcess:
    """A running registry; make it with ``start``, use it as a context manager or ``stop`` it.

    Args:
        process: The registry's process.
        folder: Where it keeps configuration, log and content.
        name: What people call it, in messages.
        port: Its port on 127.0.0.1.
        tls: Whether it speaks https.
    """

    def __init__(
        self, process: LeashedProcess, *, folder: Path, name: str, port: int, tls: bool
    ) -> None:
        self._process = process
        self.folder = folder
        self.name = name
        self.port = port
        self.tls = tls

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        name: str = "registry",
        tls: TlsFiles | None = None,
        htpasswd: Mapping[str, str] | None = None,
        token_auth: TokenAuth | None = None,
        port: int | None = None,
        keep_port: bool = False,
        delete_enabled: bool = True,
        allowed_urls: Sequence[str] = (),
        notified: Notified | None = None,
        logs_requests: bool = False,
    ) -> Self:
        """Start a registry and wait until it answers.

        Args:
            folder: Where it keeps everything; made when it is missing, and its content is kept.
            name: What people call it, in messages.
            tls: Its certificate and key; it speaks plain http without.
            htpasswd: User names and passwords it lets in; anybody may do anything without.
            token_auth: The token service it sends its clients to, instead of `htpasswd`.
            port: Its port on 127.0.0.1; a free one by default.
            keep_port: Take the port of the last start on this folder again if it is still free.
            delete_enabled: Whether manifests and blobs may be deleted.
            allowed_urls: Regular expressions of the URLs that manifests may name for layers which
                are not here; none by default, as CNCF distribution has it.
            notified: Whom it tells of every push, again and again until it is heard; nobody by
                default.
            logs_requests: Whether its log has a line for each request; see `requests`.

        Returns:
            The registry, ready for requests.

        Raises:
            RegistryUnavailableError: It is not installed or does not start; with its log's tail.
            ValueError: Both `htpasswd` and `token_auth` are given; it knows one way at a time.
        """
        if htpasswd is not None and token_auth is not None:
            raise ValueError("a registry has htpasswd or token_auth, not both")
        command = registry_command()
        folder.mkdir(parents=True, exist_ok=True)
        if port is None and keep_port:
            port = _last_port(folder)
        for _ in range(_ATTEMPTS if port is None else 1):
            identity = secrets.token_hex(8)
            chosen = free_port() if port is None else port
            configuration = _configuration(
                folder,
                chosen,
                identity=identity,
                tls=tls,
                htpasswd=htpasswd,
                token_auth=token_auth,
                delete_enabled=delete_enabled,
                allowed_urls=allowed_urls,
                notified=notified,
                logs_requests=logs_requests,
            )
            (folder / "config.yml").write_text(yaml.safe_dump(configuration, sort_keys=False))
            process = LeashedProcess.start(
                [command, "serve", folder / "config.yml"],
                log=folder / "registry.log",
                environment=_environment(),
            )
            registry = cls(process, folder=folder, name=name, port=chosen, tls=tls is not None)
            try:
                answers = registry._wait_until_ready(identity)
            except BaseException:
                registry.stop()
                raise
            if answers:
                (folder / "port").write_text(f"{chosen}\n")
                return registry
            registry.stop()
        raise RegistryUnavailableError(
            f"the registry {name} does not start (status {process.exit_status}):\n"
            + registry.log_tail()
        )

    @property
    def host(self) -> str:
        """Its address as image references have it: ``127.0.0.1:40123``."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """Its URL: ``http://127.0.0.1:40123``."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    @property
    def content(self) -> Path:
        """The folder of its storage, for tests that look or tamper behind its back."""
        return self.folder / "content"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.running

    def log_tail(self) -> str:
        """Give the last lines of its log: warnings and errors only."""
        lines = (self.folder / "registry.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def requests(self) -> list[str]:
        """List the requests in its log, each as method, blank and target, in their order.

        The registry writes a line when it has answered. The first ask whether it is up.
        """
        log = (self.folder / "registry.log").read_text(errors="replace")
        return _LOGGED_REQUEST.findall(log)

    def stop(self) -> None:
        """End it, keeping its content; safe to repeat."""
        self._process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_until_ready(self, identity: str) -> bool:
        """Wait for the first answer; False when it ended before, for want of its port say."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self.running:
            with suppress(OSError, http.client.HTTPException):
                if self._answers_as(identity):
                    return True
            if time.monotonic() > deadline:
                raise RegistryUnavailableError(
                    f"the registry {self.name} does not answer at {self.url} "
                    f"after {_START_TIMEOUT_S:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(_POLL_INTERVAL_S)
        return False

    def _answers_as(self, identity: str) -> bool:
        """Ask for its API version; 401 is an answer too, when it wants to know who asks."""
        if self.tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                LOOPBACK, self.port, timeout=_ANSWER_TIMEOUT_S, context=_trust_anybody()
            )
        else:
            connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", "/v2/")
            answer = connection.getresponse()
            return answer.status in {200, 401} and answer.headers[_IDENTITY_HEADER] == identity
        finally:
            connection.close()


def _configuration(
    folder: Path,
    port: int,
    *,
    identity: str,
    tls: TlsFiles | None,
    htpasswd: Mapping[str, str] | None,
    token_auth: TokenAuth | None,
    delete_enabled: bool,
    allowed_urls: Sequence[str],
    notified: Notified | None,
    logs_requests: bool,
) -> dict[str, object]:
    """Give the registry's configuration, as CNCF distribution's "Configuring a registry" has it."""
    listener: dict[str, object] = {
        "addr": f"{LOOPBACK}:{port}",
        "secret": _UPLOAD_STATE_KEY,
        "headers": {_IDENTITY_HEADER: [identity]},
    }
    if tls is not None:
        listener["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    configuration: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": not logs_requests}},
        "storage": {
            "filesystem": {"rootdirectory": str((folder / "content").resolve())},
            "delete": {"enabled": delete_enabled},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": listener,
    }
    if allowed_urls:
        configuration["validation"] = {"manifests": {"urls": {"allow": list(allowed_urls)}}}
    if notified is not None:
        endpoint = {
            "name": "notified",
            "url": notified.url,
            "headers": {"Authorization": [notified.authorization]},
            "timeout": "5s",
            "threshold": 3,
            "backoff": "1s",
            "ignore": {"mediatypes": ["application/octet-stream"], "actions": ["pull"]},
        }
        configuration["notifications"] = {"endpoints": [endpoint]}
    if htpasswd is not None:
        path = folder / "htpasswd"
        path.write_text(_htpasswd_lines(htpasswd))
        configuration["auth"] = {"htpasswd": {"realm": "sandbox", "path": str(path.resolve())}}
    if token_auth is not None:
        configuration["auth"] = {
            "token": {
                "realm": token_auth.realm,
                "service": token_auth.service,
                "issuer": token_auth.issuer,
                "rootcertbundle": str(token_auth.root_certificates.resolve()),
            }
        }
    return configuration


def _htpasswd_lines(users: Mapping[str, str]) -> str:
    """Give an htpasswd file; distribution accepts bcrypt and nothing else."""
    import bcrypt  # noqa: PLC0415 - only tests have it; the demo's registries let anybody in

    return "".join(
        f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode()}\n"
        for user, password in users.items()
    )


def _trust_anybody() -> ssl.SSLContext:
    """Give the TLS settings of the first question: tests start registries nobody should trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _environment() -> dict[str, str]:
    """Give our environment less REGISTRY_*, which would override the configuration file."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")
    }
    return environment | {"OTEL_TRACES_EXPORTER": "none"}  # distribution 3 else looks for one


def _last_port(folder: Path) -> int | None:
    """Give the port of the last start on this folder, if it can be had again."""
    try:
        port = int((folder / "port").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if is_free(port) else None
