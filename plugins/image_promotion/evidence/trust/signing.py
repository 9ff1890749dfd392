"""Private keys: read from PEM, and made to sign. Elsewhere only public keys are known.

What signs is behind a protocol that a key management service can fulfil as well: it shows its
public half, and signs bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from image_promotion.errors import ConnectionSettingsError, PolicyError
from image_promotion.evidence.trust.keys import PublicKey, read_public_key

CONNECTION_TYPE = "signing_key"
"""The type of the Airflow connections that hold a private key."""

PASSPHRASE = "passphrase"  # noqa: S105 - the name of a field
"""The extra of such a connection that opens an encrypted key."""

_PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LINE = 64
_COSIGN_LABELS = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")

_ADVICE = (
    "Make a key with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem` "
    "and put the file's text into the connection's private key."
)


class SigningKey(Protocol):
    """Something that signs with a key of its own: a private key, a key management service."""

    @property
    def public_key_pem(self) -> bytes:
        """The public half in PEM, by which others check what was signed."""

    @property
    def key_id(self) -> str:
        """What the key is called in the ledger and in messages; no secret."""

    def sign(self, message: bytes) -> bytes:
        """Return a signature over some bytes: of ECDSA in DER, of RSA by PKCS #1 v1.5.

        It may wait for an answer from elsewhere, and is called in a thread.

        Raises:
            PromotionError: It cannot sign, or not now.
        """


@dataclass(frozen=True, slots=True)
class PrivateSigningKey:
    """A private key that is held in memory; implements SigningKey.

    The same key makes the same signature of the same bytes, whatever its kind, so that what is
    signed again is no second document. Make one by ``signing_key_of``.

    Args:
        public: The public half.
    """

    public: PublicKey
    _key: _PrivateKey = field(repr=False, compare=False)

    @property
    def public_key_pem(self) -> bytes:
        """The public half in PEM."""
        return _public_pem(self._key)

    @property
    def key_id(self) -> str:
        """The beginning of the SHA-256 of the public half, as decisions name signers' keys."""
        return self.public.id

    def sign(self, message: bytes) -> bytes:
        """Return the signature over some bytes.

        Source: RFC 6979 (deterministic ECDSA); RFC 8032 (Ed25519); RFC 8017, section 8.2.
        """
        match self._key:
            case Ed25519PrivateKey():
                return self._key.sign(message)
            case RSAPrivateKey():
                return self._key.sign(message, PKCS1v15(), SHA256())
            case _:
                # On larger curves too: `cosign verify-attestation --key` (3.1) takes no other hash.
                return self._key.sign(message, ECDSA(SHA256(), deterministic_signing=True))


def signing_key_of(
    connection_id: str,
    *,
    conn_type: str | None,
    password: str | None,
    extra: Mapping[str, object],
) -> PrivateSigningKey:
    """Read the private key of an Airflow connection.

    Args:
        connection_id: The connection's id, for errors.
        conn_type: Its type.
        password: The private key in PEM: PKCS #8, also encrypted, or what openssl wrote before it.
            Forms make one line of it; that is read too.
        extra: May hold the passphrase of an encrypted key.

    Returns:
        The key.

    Raises:
        ConnectionSettingsError: There is no key, or none that can be used; its text is not told.
    """
    if conn_type != CONNECTION_TYPE:
        raise ConnectionSettingsError(
            f"it is no connection of the type {CONNECTION_TYPE}",
            connection_id=connection_id,
            field="conn_type",
            advice="Name a connection of the type Signing key in the policy's "
            "attestation.connection.",
        )
    try:
        return _read(password or "", extra.get(PASSPHRASE) or None)
    except _Unusable as why:
        # What failed underneath may quote the key: no cause is kept.
        raise ConnectionSettingsError(
            str(why), connection_id=connection_id, field=why.field, advice=why.advice
        ) from None


class _Unusable(Exception):  # noqa: N818 - it never leaves this module
    """Why a key cannot be used."""

    def __init__(self, why: str, *, field: str = "password", advice: str = _ADVICE) -> None:
        super().__init__(why)
        self.field = field
        self.advice = advice


def _read(text: str, passphrase: object) -> PrivateSigningKey:
    if passphrase is not None and not isinstance(passphrase, str):
        raise _Unusable("the passphrase is no text", field=PASSPHRASE, advice="Put it in quotes.")
    # Half a character can be written in JSON, and be read by nobody.
    if not _is_writable(text):
        raise _Unusable("it holds no private key in PEM")
    if not _is_writable(passphrase or ""):
        raise _Unusable("the passphrase holds half a character", field=PASSPHRASE)
    label, pem = _pem_of(text)
    if not label:
        raise _Unusable("it holds no private key in PEM")
    if label in _COSIGN_LABELS:
        raise _Unusable(
            "it holds a key in cosign's own encryption, which is not read",
            advice="Convert the key to PKCS #8, or make another one; the page on attestations in "
            "docs/how-to shows both.",
        )
    key = _open(label, pem, passphrase)
    try:
        return PrivateSigningKey(read_public_key(_public_pem(key)), key)
    except PolicyError as error:
        raise _Unusable(
            "its private key is too weak, or of a kind that is not supported",
            advice=f"Allowed is the private half of {error.allowed}.",
        ) from None


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open(label: str, pem: bytes, passphrase: str | None) -> _PrivateKey:
    is_encrypted = label.startswith("ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in pem
    if is_encrypted and passphrase is None:
        raise _Unusable(
            "its private key is encrypted and there is no passphrase",
            field=PASSPHRASE,
            advice="Write it into the connection's passphrase.",
        )
    secret = passphrase.encode() if passphrase is not None and is_encrypted else None
    try:
        key = load_pem_private_key(pem, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_encrypted:
            raise _Unusable(
                "the passphrase does not open its private key, or the key is broken",
                field=PASSPHRASE,
                advice="Try it with `openssl pkey -in key.pem -noout`.",
            ) from None
        raise _Unusable("what is in the PEM is no private key") from None
    if not isinstance(key, _PrivateKey):
        raise _Unusable("its private key is of a kind that is not supported")
    return key


def _pem_of(text: str) -> tuple[str, bytes]:
    r"""Return the label of the first private key in a text, and it alone with its lines whole.

    A form's field keeps no line breaks, and in a URI or in JSON people write them as ``\n``. What
    openssl writes before the key, such as the curve's parameters, is left out.
    """
    for label, body in _PEM.findall(text.replace("\\n", "\n")):
        if not label.endswith("PRIVATE KEY"):
            continue
        # The older kind of encryption has header fields, which do need their lines.
        if ":" not in body:
            bare = "".join(body.split())
            body = "\n".join(bare[n : n + _LINE] for n in range(0, len(bare), _LINE))  # noqa: PLW2901 - the same, whole
        return label, f"-----BEGIN {label}-----\n{body.strip()}\n-----END {label}-----\n".encode()
    return "", b""


def _public_pem(key: _PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
