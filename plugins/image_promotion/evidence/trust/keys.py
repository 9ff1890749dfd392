"""Public keys: read from PEM, named for people, and asked whether they made a signature.

The kind of the key decides how a signature is checked; nothing in a signed document is asked.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from image_promotion.errors import PolicyError
from image_promotion.evidence.trust.base64_text import decode_base64
from image_promotion.registry.digest import Digest

_Key: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

_PEM = re.compile(
    r"-----BEGIN PUBLIC KEY-----\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+)-----END PUBLIC KEY-----(?:\r?\n)*"
)
"""One key and nothing beside it, so that no changed character is overlooked."""

_HASHES_BY_CURVE: dict[type, tuple[HashAlgorithm, ...]] = {
    SECP256R1: (SHA256(),),
    SECP384R1: (SHA384(), SHA256()),
    SECP521R1: (SHA512(), SHA256()),
}
"""The hash of the curve's own strength; before version 3 cosign took SHA-256 for all of them.

Source: sigstore protobuf-specs, sigstore_common.proto, PublicKeyDetails; cosign 2, LoadPublicKey.
"""

_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192
_ID_CHARACTERS = 16
_ALLOWED = (
    "a public key in PEM, as cosign.pub has it: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of "
    f"{_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits"
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key whose signatures can be checked.

    Make one by ``read_public_key``. Two are equal when they are the same key.

    Args:
        encoded: The key as DER (SubjectPublicKeyInfo).
        kind: Such as ``ECDSA P-256``, for people.
    """

    encoded: bytes = field(repr=False)
    kind: str
    _key: _Key = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """Return the beginning of the SHA-256 of the key, in hexadecimal, for people."""
        return hashlib.sha256(self.encoded).hexdigest()[:_ID_CHARACTERS]

    @property
    def hint(self) -> str:
        """Return the SHA-256 of the key in base64, as cosign writes it into bundles."""
        return b64encode(hashlib.sha256(self.encoded).digest()).decode("ascii")

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether a signature over some bytes was made with this key.

        ECDSA is checked over the curve's own hash or SHA-256, RSA over SHA-256 with either padding
        (PKCS #1 v1.5, PSS), Ed25519 over the bytes themselves. Ed25519ph, which cosign 3 writes and
        by default does not accept, is not accepted.

        Args:
            message: The bytes.
            signature: The signature; an ECDSA signature in DER.
        """
        key = self._key
        if isinstance(key, Ed25519PublicKey):
            return _accepts(lambda: key.verify(signature, message))
        if isinstance(key, EllipticCurvePublicKey):
            return any(
                _accepts(lambda: key.verify(signature, message, ECDSA(algorithm)))  # noqa: B023 - called at once
                for algorithm in _HASHES_BY_CURVE[type(key.curve)]
            )
        return _rsa_accepts(key, signature, message, SHA256())

    def has_signed_content_of(self, digest: Digest, signature: bytes) -> bool:
        """Return whether a signature over bytes of a known digest was made with this key.

        Args:
            digest: The digest of the bytes. It must be the hash that the key signs over, sha256 for
                ECDSA P-256 and RSA; Ed25519 signs over the bytes themselves, and never holds here.
            signature: The signature; an ECDSA signature in DER.
        """
        algorithm: HashAlgorithm = SHA256() if digest.algorithm == "sha256" else SHA512()
        key, hashed, content = self._key, Prehashed(algorithm), bytes.fromhex(digest.encoded)
        if isinstance(key, Ed25519PublicKey):
            return False
        if isinstance(key, EllipticCurvePublicKey):
            names = [each.name for each in _HASHES_BY_CURVE[type(key.curve)]]
            return algorithm.name in names and _accepts(
                lambda: key.verify(signature, content, ECDSA(hashed))
            )
        return isinstance(algorithm, SHA256) and _rsa_accepts(key, signature, content, hashed)


def read_public_key(pem: bytes) -> PublicKey:
    """Read a public key.

    Args:
        pem: The key in PEM, alone in the file.

    Returns:
        The key.

    Raises:
        PolicyError: It is no such key, or one too weak or of a kind that is not supported.

    Source: RFC 7468, section 13 (PUBLIC KEY); RFC 5280, section 4.1.2.7.
    """
    block = _PEM.fullmatch(pem.decode("latin-1"))
    encoded = decode_base64("".join(block[1].split())) if block else None
    if encoded is None:
        raise _refuse("it is no public key in PEM, or something stands beside it")
    try:
        key = load_der_public_key(encoded)
        # Some encodings that are read are not the one that is written; each key has one here.
        canonical = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refuse("what is in the PEM is no key") from error
    if canonical != encoded:
        raise _refuse("the key is not encoded as DER demands")
    match key:
        case Ed25519PublicKey():
            return PublicKey(encoded, "Ed25519", key)
        case EllipticCurvePublicKey() if type(key.curve) in _HASHES_BY_CURVE:
            return PublicKey(encoded, f"ECDSA P-{key.key_size}", key)
        case RSAPublicKey() if _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
            return PublicKey(encoded, f"RSA {key.key_size}", key)
    raise _refuse("the key is too weak, or of a kind that is not supported")


def _accepts(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def _rsa_accepts(
    key: RSAPublicKey, signature: bytes, message: bytes, algorithm: HashAlgorithm | Prehashed
) -> bool:
    return any(
        _accepts(lambda: key.verify(signature, message, padding, algorithm))  # noqa: B023 - called at once
        for padding in (PKCS1v15(), PSS(MGF1(SHA256()), PSS.AUTO))
    )


def _refuse(why: str) -> PolicyError:
    return PolicyError(f"cannot read the public key: {why}", allowed=_ALLOWED)
