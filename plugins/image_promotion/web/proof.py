"""Whether who sends a notification knows the connection's secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

AUTHORIZATION = "authorization"
SIGNATURE = "x-hub-signature-256"

_SIGNATURE_PREFIX = "sha256="

# What is compared where there is no secret: nobody knows it, and comparing takes as long.
_NOBODYS_SECRET = secrets.token_hex(32)


def claims_to_know(headers: Mapping[str, str]) -> bool:
    """Return whether a request brings any proof; what brings none need not be read.

    Args:
        headers: The request's headers by their names in lower case.
    """
    return AUTHORIZATION in headers or SIGNATURE in headers


def knows_secret(secret: str | None, headers: Mapping[str, str]) -> bool:
    """Return whether a request names the secret in its header ``Authorization``.

    It may be a bearer token, the password of basic authentication with any user name, which is what
    HTTP clients make of a password in a URL, or the bare value, which is what Harbor sends.

    Args:
        secret: The connection's; None where there is no such connection, or none configured, and
            then nobody knows it.
        headers: The request's headers by their names in lower case.

    Source: RFC 6750, section 2.1, and RFC 7617, section 2; Harbor, "Auth Header" of a webhook.
    """
    value = headers.get(AUTHORIZATION, "")
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            offered = rest.strip()
        case "basic":
            offered = _password_of(rest.strip())
        case _:
            offered = value
    return _same(offered, secret)


def signed_with_secret(secret: str | None, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether the body is signed with the secret: an HMAC with SHA-256, in hexadecimal.

    Args:
        secret: As in `knows_secret`.
        headers: The request's headers by their names in lower case.
        body: The whole body as it came.

    Source: GitHub documentation, "Validating webhook deliveries", which many senders follow.
    """
    value = headers.get(SIGNATURE, "")
    key = (secret or _NOBODYS_SECRET).encode()
    wanted = _SIGNATURE_PREFIX + hmac.new(key, body, hashlib.sha256).hexdigest()
    # Both sides of "and" are worked out, so that the time tells nothing about the connection.
    same = hmac.compare_digest(_bytes(value), wanted.encode())
    return same and secret is not None


def _same(offered: str, secret: str | None) -> bool:
    same = hmac.compare_digest(_bytes(offered), (secret or _NOBODYS_SECRET).encode())
    return same and secret is not None


def _password_of(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2]


def _bytes(text: str) -> bytes:
    # compare_digest takes no text with other characters than ASCII, and headers may hold any.
    return text.encode("utf-8", "surrogateescape")
