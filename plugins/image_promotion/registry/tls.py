"""Whose certificates are believed, and whose certificate was shown."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache

import httpx

from image_promotion.errors import ConnectionSettingsError
from image_promotion.registry.endpoint import RegistryEndpoint

_HTTPS_PORT = 443
_HTTP_PORT = 80


def context_for(endpoint: RegistryEndpoint) -> ssl.SSLContext:
    """Return how the certificates of a registry are checked.

    The connection's own authorities are believed besides the system's: a registry with a private
    authority may keep its blobs, or its token service, where a public one is used.

    Args:
        endpoint: The registry, with the authorities it needs, or the wish to skip the check.

    Returns:
        A context for the client.

    Raises:
        ConnectionSettingsError: The CA certificate is not PEM.
    """
    try:
        return _context(endpoint.ca_certificate, skips=endpoint.skip_tls_verification)
    except (ssl.SSLError, ValueError) as error:
        raise ConnectionSettingsError(
            "the CA certificate cannot be read as PEM",
            connection_id=endpoint.connection_id,
            field="ca_certificate",
        ) from error


# Reading the system's authorities takes some 30 ms, and both ends of a copy mostly want the same.
@lru_cache(maxsize=8)
def _context(ca_certificate: str | None, *, skips: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_certificate is not None:
        context.load_verify_locations(cadata=ca_certificate)
    if skips:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """What a server's certificate says about itself; none of it is proved.

    Args:
        subject: Whom it was issued to, such as ``CN=registry.example.com``.
        issuer: By whom, such as ``CN=Example CA``.
    """

    subject: str
    issuer: str


async def look_at_certificate(url: httpx.URL, *, timeout_s: float) -> PresentedCertificate | None:
    """Look at the certificate that a server shows, without believing it and without saying a word.

    It serves to tell a person which authority is missing, or that a server speaks TLS at all.

    Args:
        url: The server; whether it says http or https does not matter.
        timeout_s: How long to wait for it, in seconds.

    Returns:
        Its certificate's names; None when the server does not speak TLS, or does not answer.
    """
    address = (url.host, url.port or (_HTTP_PORT if url.scheme == "http" else _HTTPS_PORT))
    try:
        pem = await asyncio.to_thread(ssl.get_server_certificate, address, timeout=timeout_s)
    except (OSError, ValueError):
        return None
    # Loaded here alone: it is needed once something has failed, and costs as much as this package.
    from cryptography import x509  # noqa: PLC0415

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        return PresentedCertificate(
            subject=_name(certificate.subject.rfc4514_string()),
            issuer=_name(certificate.issuer.rfc4514_string()),
        )
    except ValueError:
        return None


def _name(text: str) -> str:
    """Return a stranger's name fit for a message."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200] or "(no name)"
