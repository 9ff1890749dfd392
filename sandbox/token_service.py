"""A token service for registries, as Docker's and most companies' registries have one.

It follows CNCF distribution's "Token Authentication Specification" (GET with basic auth), "Docker
Registry v2 Bearer token specification" (JWT, here RS256 with the certificate in `x5c`) and "OAuth2
token authentication" (POST). Every request is kept, so that tests can say who asked for what, how
often. Only tests import it: they have `cryptography`.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.certificates import TlsFiles
from sandbox.ports import LOOPBACK

PULL = frozenset({"pull"})
PUSH = frozenset({"pull", "push"})
EVERYTHING = frozenset({"*", "delete", "pull", "push"})

_ISSUER = "sandbox-token-service"
_KEY_BITS = 2048

# distribution accepts a token this long after its end (registry/auth/token, `Leeway`); it is taken
# off, so that `lifetime_s` is how long a registry really accepts a token.
_LEEWAY_S = 60


@dataclass(frozen=True, slots=True)
class User:
    """Somebody the service knows.

    Args:
        password: The password.
        grants: Allowed actions by repository; a name may have wildcards (``dev/*``).
            The catalog is the repository ``registry:catalog``.
        identity_token: What the user may send instead, as OAuth2's refresh token.
    """

    password: str = field(repr=False)
    grants: Mapping[str, Collection[str]] = field(default_factory=dict)
    identity_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request for a token as it arrived, and the status it was answered with."""

    method: str
    service: str
    scopes: tuple[str, ...]
    user: str | None
    status: int


class TokenService:
    """A running token service; make it with ``start``, use it as a context manager or ``stop`` it.

    It is what `RegistryProcess.start` takes as `token_auth`. Its behaviour may be changed while it
    runs: set `lifetime_s`, `announced_lifetime_s`, `deny_with`, `users`. Its arguments are those of
    ``start``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        service: str,
        users: Mapping[str, User],
        anonymous_grants: Mapping[str, Collection[str]],
        tls: TlsFiles | None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.service = service
        self.issuer = _ISSUER
        self.users = dict(users)
        self.anonymous_grants: Mapping[str, Collection[str]] = dict(anonymous_grants)
        self.lifetime_s = 300
        """Whole seconds that a registry accepts a token; below 0, it never does."""
        self.announced_lifetime_s: int | None = None
        """What it says of a token's life, if not the truth; 0 leaves ``expires_in`` out."""
        self.deny_with: HTTPStatus | None = None
        """A status to answer every request with, instead of a token."""
        self.root_certificates = folder / "token-service.pem"
        self._tls = tls is not None
        self._requests: list[TokenRequest] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        certificate = _self_signed(self._key)
        self._certificate = certificate.public_bytes(serialization.Encoding.DER)
        self.root_certificates.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._server = _Server(self, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        service: str = "sandbox-registry",
        users: Mapping[str, User] | None = None,
        anonymous_grants: Mapping[str, Collection[str]] | None = None,
        tls: TlsFiles | None = None,
    ) -> Self:
        """Start the service on a free port of 127.0.0.1.

        Args:
            folder: Where the certificate goes that registries check its tokens with.
            service: The name of the registry it gives tokens for.
            users: Who it knows, by name.
            anonymous_grants: What anybody may do, by repository as in `User.grants`.
            tls: Its certificate and key; it speaks plain http without.

        Returns:
            The service, ready for requests.
        """
        token_service = cls(
            folder,
            service=service,
            users=users or {},
            anonymous_grants=anonymous_grants or {},
            tls=tls,
        )
        token_service._thread.start()
        return token_service

    @property
    def realm(self) -> str:
        """The URL clients ask for a token."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self._server.server_port}/token"

    @property
    def requests(self) -> tuple[TokenRequest, ...]:
        """The requests it has answered, in their order."""
        return tuple(self._requests)

    @property
    def request_count(self) -> int:
        """How many requests it has answered."""
        return len(self._requests)

    def forget_requests(self) -> None:
        """Count from zero again."""
        self._requests.clear()

    def token(self, grants: Mapping[str, Collection[str]], *, user: str = "") -> str:
        """Make a token without asking; not counted as a request.

        Args:
            grants: Exact repository names with their actions.
            user: The subject; empty for nobody.

        Returns:
            The JWT.
        """
        now = datetime.now(UTC)
        end = now + timedelta(seconds=self.lifetime_s - _LEEWAY_S)
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": user,
            "aud": self.service,
            "exp": end,
            "nbf": now - timedelta(seconds=2 * _LEEWAY_S),
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": [_access(resource, actions) for resource, actions in grants.items()],
        }
        chain = [base64.b64encode(self._certificate).decode()]
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5c": chain})

    def pusher_auth(self, *repositories: str) -> httpx.Auth:
        """Give an httpx flow that may do everything in some repositories, to fill a registry.

        Args:
            *repositories: Their exact names.

        Returns:
            The flow; its token lives as long as `lifetime_s` says now.
        """
        return _BearerAuth(self.token(dict.fromkeys(repositories, EVERYTHING)))

    def stop(self) -> None:
        """End the service; safe to repeat."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def answer(self, asked: Asked) -> tuple[HTTPStatus, dict[str, object]]:
        """Decide one request and keep it.

        Args:
            asked: What it says.

        Returns:
            The status and the JSON to answer with.
        """
        status, body = self._decide(asked)
        self._requests.append(
            TokenRequest(asked.method, asked.service, asked.scopes, asked.user, status)
        )
        return status, body

    def _decide(self, asked: Asked) -> tuple[HTTPStatus, dict[str, object]]:
        if self.deny_with is not None:
            return self.deny_with, {"details": "the token service was told to deny"}
        if asked.service != self.service:
            return HTTPStatus.BAD_REQUEST, {"details": f"unknown service: {asked.service}"}
        grants = self.anonymous_grants
        user = asked.user
        if asked.identifies_itself:
            user = self._authenticate(asked)
            if user is None:
                return HTTPStatus.UNAUTHORIZED, {"details": "incorrect username or password"}
            grants = {**grants, **self.users[user].grants}
        # A request for more than the user may have gets a token for less, not an error
        # ("Token Authentication Specification", "Requesting a Token").
        access = {
            scope: allowed
            for scope, actions in _wanted(asked.scopes)
            if (allowed := actions & _allowed(grants, scope))
        }
        token = self.token(access, user=user or "")
        body: dict[str, object] = {"token": token, "access_token": token}
        if self.announced_lifetime_s != 0:
            body["expires_in"] = self.announced_lifetime_s or max(self.lifetime_s, 0)
        return HTTPStatus.OK, body

    def _authenticate(self, asked: Asked) -> str | None:
        """Give the name of the user who asks; None when the secret is not theirs."""
        for name, user in self.users.items():
            if asked.identity_token is not None and asked.identity_token == user.identity_token:
                return name
            if asked.user == name and asked.password == user.password:
                return name
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for a token says."""

    method: str
    service: str
    scopes: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def identifies_itself(self) -> bool:
        """Whether it carries anything that says who asks."""
        return self.user is not None or self.identity_token is not None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: TokenService, tls: TlsFiles | None) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.token_service = service
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            # Handshakes belong in the request's thread: a client that hangs must not stop others.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: a client that distrusts the certificate hangs up, which is a test's aim."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """Answer the "Token Authentication Specification"."""
        query = parse_qs(urlsplit(self.path).query)
        user, password = _basic(self.headers.get("Authorization", ""))
        self._reply(Asked("GET", _only(query, "service") or "", _scopes(query), user, password))

    def do_POST(self) -> None:
        """Answer "OAuth2 token authentication": the grants password and refresh_token."""
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(length).decode())
        self._reply(
            Asked(
                "POST",
                _only(form, "service") or "",
                _scopes(form),
                _only(form, "username"),
                _only(form, "password"),
                _only(form, "refresh_token"),
            )
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing on the terminal: `TokenService.requests` has it all."""

    def _reply(self, asked: Asked) -> None:
        if urlsplit(self.path).path != "/token":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        status, body = self.server.token_service.answer(asked)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _BearerAuth(httpx.Auth):
    """Sends one token with every request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _basic(header: str) -> tuple[str | None, str | None]:
    """Give user and password of an Authorization header; both None without one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password


def _only(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    return query.get(name, [None])[0]


def _scopes(query: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Give the scopes asked for: one parameter each, or several in one with spaces between."""
    return tuple(scope for value in query.get("scope", ()) for scope in value.split())


def _wanted(scopes: Sequence[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Read ``repository:dev/website:pull,push`` as a grant's name and its actions.

    A repository goes by its name alone, anything else by type and name (``registry:catalog``).
    """
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        yield resource.removeprefix("repository:"), frozenset(actions.split(","))


def _allowed(grants: Mapping[str, Collection[str]], resource: str) -> frozenset[str]:
    """Collect the actions of all grants whose name or wildcards fit."""
    return frozenset(
        action
        for pattern, actions in grants.items()
        if fnmatchcase(resource, pattern)
        for action in actions
    )


def _access(resource: str, actions: Collection[str]) -> dict[str, object]:
    """Give an entry of a token's ``access`` claim."""
    kind, colon, name = resource.partition(":")
    if not colon:
        kind, name = "repository", resource
    return {"type": kind, "name": name, "actions": sorted(actions)}


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    """Make the certificate that travels in each token and that the registry holds as its root."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ISSUER)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
