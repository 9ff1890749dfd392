"""Where images are and how to enter there: an Airflow connection's fields as one checked value."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from image_promotion.errors import ConnectionSettingsError, InvalidReferenceError
from image_promotion.registry.pace import NO_LIMIT, Pace
from image_promotion.registry.reference import is_registry, is_repository, split_port

DOCKER_HUB_URL = "https://registry-1.docker.io"
_DOCKER_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com")
_OFFICIAL_IMAGES = "library"

_PATHS_OF_THE_API = ("", "/", "/v1", "/v1/", "/v2", "/v2/")
"""What people paste after the host; the client adds ``/v2/`` by itself."""

MIN_WEBHOOK_SECRET_CHARACTERS = 16

_DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_PORT = 65535


class RegistryType(StrEnum):
    """What a connection says its registry is."""

    OCI = "oci"
    DTR = "dtr"
    DOCKER_HUB = "docker_hub"
    HARBOR = "harbor"
    OCI_LAYOUT = "oci_layout"


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """One way into one registry; ``from_fields`` makes it from what people type.

    Args:
        connection_id: The Airflow connection it comes from.
        url: ``https://host[:port]``, lower case, without a final slash; ``http://`` only where the
            host field says so itself. For a folder of OCI layouts ``file://`` and its path.
        registry_type: What the registry is.
        username: Who enters; None for anonymous, or when the password is an access token.
        password: The password or access token; never shown. Together with no user name, a token.
        namespace: What goes before each repository, such as ``team/site``; empty for nothing.
        ca_certificate: The certificate authorities to trust, as PEM; None for the system's own.
        skip_tls_verification: Whether any certificate is taken.
        test_repository: The repository on which the Test button tries to read and write, named as
            in policies; None for no such trial.
        creates_projects: Whether a project that is missing in Harbor is created.
        pace: The most that one process asks of the registry.
        webhook_secret: What the registry's own notifications must prove to know; never shown. None
            where it sends none.
    """

    connection_id: str
    url: str
    registry_type: RegistryType = RegistryType.OCI
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    namespace: str = ""
    ca_certificate: str | None = field(default=None, repr=False)
    skip_tls_verification: bool = False
    test_repository: str | None = None
    creates_projects: bool = False
    pace: Pace = NO_LIMIT
    webhook_secret: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The host, with its port where that is not the scheme's own; or the folder's path."""
        return str(self.folder or self.url.partition("://")[2])

    @property
    def folder(self) -> Path | None:
        """The folder of OCI layouts; None for a registry over HTTP."""
        if self.registry_type is not RegistryType.OCI_LAYOUT:
            return None
        return Path(unquote(urlsplit(self.url).path))

    def full_repository(self, repository: str) -> str:
        """Put the namespace before a repository's name.

        Args:
            repository: The name as policies have it.

        Returns:
            The registry's own name of it; on Docker Hub ``library/`` is implied as everywhere.

        Raises:
            InvalidReferenceError: The result is not a repository's name.
        """
        full = f"{self.namespace}/{repository}" if self.namespace else repository
        if "/" not in full and self.registry_type is RegistryType.DOCKER_HUB:
            full = f"{_OFFICIAL_IMAGES}/{full}"
        if not is_repository(full):
            raise InvalidReferenceError(
                f"{full[:255]!a} is not a repository's name",
                text=full,
                advice="It is lower-case components with slashes between them.",
            )
        return full

    def own_repository(self, full_repository: str) -> str | None:
        """Take the namespace off a registry's own name of a repository.

        Args:
            full_repository: The name as the registry's catalogue has it.

        Returns:
            The name as policies have it; None when it is not in this connection's namespace.
        """
        if not self.namespace:
            return full_repository
        namespace, _, repository = full_repository.partition(f"{self.namespace}/")
        return repository if not namespace and repository else None

    @classmethod
    def from_fields(
        cls,
        connection_id: str,
        *,
        host: str | None,
        port: int | None,
        login: str | None,
        password: str | None,
        extra: Mapping[str, object],
    ) -> RegistryEndpoint:
        """Check a connection's fields and make them one value.

        Args:
            connection_id: The Airflow connection's id.
            host: A host with or without port, or a URL; may be empty for Docker Hub. For a folder
                of OCI layouts its absolute path, or a ``file://`` URL.
            port: The port field, for connections that keep it apart.
            login: The user name.
            password: The password or access token.
            extra: ``registry_type``, ``namespace``, ``ca_certificate``, ``skip_tls_verification``,
                ``test_repository``, ``creates_projects``, ``requests_per_second``,
                ``bytes_per_second`` and ``webhook_secret``; empty texts and null count as not set.

        Returns:
            The endpoint.

        Raises:
            ConnectionSettingsError: A field cannot be used as it is written; the error names it
                and never repeats a secret.

        Source: DTR documentation, "Mirror images": connection fields of a mirroring policy.
        """
        return _FieldReader(connection_id, extra).endpoint(
            host=(host or "").strip(), port=port, login=(login or "").strip(), password=password
        )


class _FieldReader:
    """Reads one connection's fields; exists so that each refusal can name the connection."""

    def __init__(self, connection_id: str, extra: Mapping[str, object]) -> None:
        self._connection_id = connection_id
        self._extra = extra

    def endpoint(
        self, *, host: str, port: int | None, login: str, password: str | None
    ) -> RegistryEndpoint:
        self._refuse_unknown_extras()
        registry_type = self._registry_type()
        if registry_type is RegistryType.OCI_LAYOUT:
            self._refuse_what_a_folder_has_not(login, password)
            url = self._folder_url(host)
        else:
            url = self._url(host, port, registry_type)
        username, secret = self._credentials(login, password)
        endpoint = RegistryEndpoint(
            connection_id=self._connection_id,
            url=url,
            registry_type=registry_type,
            username=username,
            password=secret,
            namespace=self._namespace(),
            ca_certificate=self._ca_certificate(),
            skip_tls_verification=self._switch("skip_tls_verification"),
            test_repository=self._text("test_repository") or None,
            creates_projects=self._switch("creates_projects"),
            pace=Pace(self._limit("requests_per_second"), self._limit("bytes_per_second")),
            webhook_secret=self._webhook_secret(),
        )
        if endpoint.creates_projects and registry_type is not RegistryType.HARBOR:
            self._refuse("creates_projects", "only Harbor has projects", "Leave it off.")
        if endpoint.test_repository is not None:
            try:
                endpoint.full_repository(endpoint.test_repository)
            except InvalidReferenceError as error:
                self._refuse("test_repository", error.attempted, error.advice)
        return endpoint

    def _refuse(self, name: str, rule: str, advice: str = "") -> NoReturn:
        raise ConnectionSettingsError(
            rule, connection_id=self._connection_id, field=name, advice=advice
        )

    def _refuse_unknown_extras(self) -> None:
        for name in self._extra:
            if name not in _EXTRAS:
                self._refuse(
                    name[:64] if name.isprintable() else ascii(name[:64]),
                    "there is no such field",
                    f"The extra fields are {', '.join(_EXTRAS)}.",
                )

    def _text(self, name: str) -> str:
        value = self._extra.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._refuse(name, "the field must be a text")
        return value.strip()

    def _switch(self, name: str) -> bool:
        value = self._extra.get(name)
        # A connection written as a URI can only hold texts.
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in (*_ON, *_OFF):
            self._refuse(name, "the field must be true or false")
        return word in _ON

    def _limit(self, name: str) -> float | None:
        value = self._extra.get(name)
        # As above, and a form that was left empty.
        text = value.strip() if isinstance(value, str) else value
        if text in (None, ""):
            return None
        try:
            number = float(text) if isinstance(text, (int, float, str)) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(text, bool) or not (math.isfinite(number) and number > 0):
            self._refuse(name, "the field must be a number above 0", "Leave it empty for no limit.")
        return number

    def _registry_type(self) -> RegistryType:
        word = self._text("registry_type") or RegistryType.OCI
        try:
            return RegistryType(word)
        except ValueError:
            self._refuse(
                "registry_type",
                f"{word[:64]!a} is not a registry type",
                f"It is one of {', '.join(RegistryType)}.",
            )

    def _url(self, host: str, port: int | None, registry_type: RegistryType) -> str:
        if not host:
            if registry_type is RegistryType.DOCKER_HUB:
                return DOCKER_HUB_URL
            self._refuse("host", "it says no registry", "Write its address: registry.example.com.")
        try:
            # The port is read here and not in _authority, since it is urlsplit that may refuse it.
            parts = urlsplit(host if "://" in host else f"https://{host}")
            written_port = parts.port
        except ValueError:
            self._refuse("host", "it is no address of a registry", _HOST_ADVICE)
        if parts.username is not None or parts.password is not None:
            self._refuse(
                "host",
                "it holds a user name or password",
                "They have fields of their own.",
            )
        if parts.scheme not in _DEFAULT_PORTS:
            self._refuse(
                "host", f"{parts.scheme}:// is not how registries are reached", _HOST_ADVICE
            )
        if parts.path not in _PATHS_OF_THE_API or parts.query or parts.fragment:
            self._refuse(
                "host",
                "something follows the address",
                "What goes before each repository belongs into the field namespace.",
            )
        if port is not None and written_port is not None and port != written_port:
            self._refuse("port", f"it is {port}, but the host says {written_port}")
        name = parts.netloc.lower()
        if not is_registry(name):
            self._refuse("host", f"{name[:255]!a} is no address of a registry", _HOST_ADVICE)
        name, _ = split_port(name)
        if name in _DOCKER_HUB_NAMES:
            return DOCKER_HUB_URL
        return f"{parts.scheme}://{name}{self._port_suffix(parts.scheme, port or written_port)}"

    def _folder_url(self, host: str) -> str:
        if not host:
            self._refuse("host", "it says no folder", _FOLDER_ADVICE)
        path = host
        if "://" in host:
            try:
                parts = urlsplit(host)
            except ValueError:
                self._refuse("host", "it is no path of a folder", _FOLDER_ADVICE)
            if parts.scheme != "file" or parts.netloc.lower() not in ("", "localhost"):
                self._refuse("host", "it is no folder of this machine", _FOLDER_ADVICE)
            if parts.query or parts.fragment:
                self._refuse("host", "something follows the path", _FOLDER_ADVICE)
            path = unquote(parts.path)
        if not path.startswith("/") or not path.isprintable():
            self._refuse("host", "it is not the absolute path of a folder", _FOLDER_ADVICE)
        return Path("/" + path.strip("/")).as_uri()

    def _refuse_what_a_folder_has_not(self, login: str, password: str | None) -> None:
        """Refuse fields that say something about a network, which somebody may rely on.

        The port is let pass: Airflow 3.3's Test button wants one, whatever the connection is.
        """
        fields = {
            "login": login,
            "password": password,
            "ca_certificate": self._text("ca_certificate"),
            "skip_tls_verification": self._switch("skip_tls_verification"),
        }
        for name, value in fields.items():
            if value:
                self._refuse(
                    name,
                    "it means nothing for a folder of OCI layouts",
                    "Leave it empty: the rights of the files decide who may read and write.",
                )

    def _port_suffix(self, scheme: str, port: int | None) -> str:
        if port is None or port == _DEFAULT_PORTS[scheme]:
            return ""
        if isinstance(port, bool) or not 0 < port <= _MAX_PORT:
            self._refuse("port", f"it is {port}, not a number from 1 to {_MAX_PORT}")
        return f":{port}"

    def _credentials(self, login: str, password: str | None) -> tuple[str | None, str | None]:
        # A line end comes along when a token is pasted or read from a file, and no header takes it.
        secret = (password or "").strip("\r\n")
        if login and not secret:
            self._refuse("password", "there is a user name, but no password or access token")
        # RFC 7617, section 2: a user name with a colon cannot be sent.
        if ":" in login or not login.isprintable():
            self._refuse("login", "a user name cannot hold a colon or unprintable characters")
        if not secret.isprintable():
            self._refuse("password", "it holds unprintable characters")
        return login or None, secret or None

    def _webhook_secret(self) -> str | None:
        secret = self._text("webhook_secret")
        # It stands in a header, and whoever guesses it may start runs.
        sendable = secret.isascii() and secret.isprintable() and " " not in secret
        if secret and not (sendable and len(secret) >= MIN_WEBHOOK_SECRET_CHARACTERS):
            self._refuse(
                "webhook_secret",
                "it is too short, or holds blanks or other characters than those of ASCII",
                f"Take {MIN_WEBHOOK_SECRET_CHARACTERS} or more: `openssl rand -hex 32` makes 64.",
            )
        return secret or None

    def _namespace(self) -> str:
        namespace = self._text("namespace").strip("/")
        if namespace and not is_repository(namespace):
            self._refuse(
                "namespace",
                f"{namespace[:255]!a} cannot stand before a repository's name",
                "It is lower-case components with slashes between them.",
            )
        return namespace

    def _ca_certificate(self) -> str | None:
        certificate = self._text("ca_certificate")
        if not certificate:
            return None
        if "\n" not in certificate:
            # In an environment variable, line ends are often written as two characters.
            certificate = certificate.replace("\\n", "\n")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError, TypeError) as error:
            self._refuse(
                "ca_certificate",
                f"it cannot be read as certificates in PEM ({type(error).__name__})",
                "Paste it whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
            )
        return certificate + "\n"


_ON = (True, "true", "1", "yes", "on")
_OFF = (None, "", False, "false", "0", "no", "off")
_EXTRAS = (
    "registry_type",
    "namespace",
    "ca_certificate",
    "skip_tls_verification",
    "test_repository",
    "creates_projects",
    "requests_per_second",
    "bytes_per_second",
    "webhook_secret",
)
_FOLDER_ADVICE = (
    "Write its absolute path, such as /mnt/transfer, or file:///mnt/transfer. In an AIRFLOW_CONN_ "
    "variable write the connection as JSON: Airflow's URIs have no place for a path."
)
_HOST_ADVICE = "Write a host name, perhaps with a port: registry.example.com or localhost:5000."
