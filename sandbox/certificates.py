"""A certificate authority for tests, and good and bad server certificates from it.

Only tests have `cryptography`: what the demo starts imports this module for its types alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
"""The names that a good certificate of a server on loopback holds."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A server's certificate and private key, and the CA the certificate is from, as PEM files."""

    certificate: Path
    key: Path
    ca: Path


class CertificateAuthority:
    """A CA that signs what it is asked to; make it with ``create``.

    Args:
        folder: Where its certificate and those it signs are kept.
        certificate: Its own certificate.
        key: Its private key, never written down.
    """

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._folder = folder
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, folder: Path, *, name: str = "Sandbox CA") -> Self:
        """Make a CA with a key of its own.

        Args:
            folder: Where its certificate and those it signs are kept; made when it is missing.
            name: Its common name, which clients see as the issuer.

        Returns:
            The CA, good from yesterday to tomorrow.
        """
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(name, key.public_key(), issuer=_name(name), issuer_key=key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(of_a_ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        authority = cls(folder, certificate, key)
        authority.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return authority

    @property
    def path(self) -> Path:
        """The PEM file of its certificate."""
        return self._folder / "ca.pem"

    @property
    def pem(self) -> str:
        """Its certificate as PEM text, as a connection's ``ca_certificate`` has it."""
        return self.path.read_text()

    def client_context(self) -> ssl.SSLContext:
        """Give TLS settings that trust this CA alone."""
        return ssl.create_default_context(cafile=self.path)

    def server(self) -> TlsFiles:
        """Issue a good certificate for a server on loopback."""
        return self.issue("server")

    def expired(self) -> TlsFiles:
        """Issue a certificate that ended yesterday."""
        now = datetime.now(UTC)
        return self.issue("expired", not_before=now - 9 * _DAY, not_after=now - _DAY)

    def wrong_host(self) -> TlsFiles:
        """Issue a certificate of another server, as one meets behind a wrong address."""
        return self.issue("wrong-host", names=("registry.invalid",))

    def issue(
        self,
        stem: str,
        *,
        names: Sequence[str] = LOOPBACK_NAMES,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> TlsFiles:
        """Issue a server certificate with a key of its own.

        Args:
            stem: The files' name, and the certificate's common name.
            names: Host names and IP addresses it is for.
            not_before: Its first moment, aware; yesterday by default.
            not_after: Its last moment, aware; tomorrow by default.

        Returns:
            The files.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(
                stem,
                key.public_key(),
                issuer=self._certificate.subject,
                issuer_key=self._key.public_key(),
                not_before=not_before,
                not_after=not_after,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(of_a_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        files = TlsFiles(self._folder / f"{stem}.pem", self._folder / f"{stem}.key", self.path)
        files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def _builder(
    name: str,
    key: ec.EllipticCurvePublicKey,
    *,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> x509.CertificateBuilder:
    """Begin a certificate with what RFC 5280 wants in all; Python 3.13 refuses less."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or now - _DAY)
        .not_valid_after(not_after or now + _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _usage(*, of_a_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not of_a_ca,
        key_cert_sign=of_a_ca,
        crl_sign=of_a_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
