"""A signer that makes what cosign makes with a key: payloads, envelopes and bundles."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from image_promotion.evidence.trust.envelope import PAYLOAD_TYPE
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.signers import KeySigner
from image_promotion.registry.digest import Digest

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
SPDX_PREDICATE = "https://spdx.dev/Document"
VULNERABILITIES_PREDICATE = "https://cosign.sigstore.dev/attestation/vuln/v1"
STATEMENT_V01 = "https://in-toto.io/Statement/v0.1"
STATEMENT_V1 = "https://in-toto.io/Statement/v1"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_HASHES: dict[str, HashAlgorithm] = {
    "secp256r1": SHA256(),
    "secp384r1": SHA384(),
    "secp521r1": SHA512(),
}


@dataclass(frozen=True)
class SigningKey:
    """A private key, and what cosign does with it."""

    private: PrivateKey

    @property
    def pem(self) -> bytes:
        """The public half, as `cosign.pub`."""
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def hint(self) -> str:
        encoded = self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return base64(hashlib.sha256(encoded).digest())

    def signer(self, name: str = "release") -> KeySigner:
        return KeySigner(name, read_public_key(self.pem))

    def sign(self, message: bytes) -> bytes:
        match self.private:
            case ed25519.Ed25519PrivateKey():
                return self.private.sign(message)
            case rsa.RSAPrivateKey():
                return self.private.sign(message, padding.PKCS1v15(), SHA256())
            case _:
                algorithm = _HASHES[self.private.curve.name]
                return self.private.sign(message, ec.ECDSA(algorithm))


def ecdsa_key(curve: ec.EllipticCurve | None = None) -> SigningKey:
    return SigningKey(ec.generate_private_key(curve or ec.SECP256R1()))


def ed25519_key() -> SigningKey:
    return SigningKey(ed25519.Ed25519PrivateKey.generate())


@cache
def rsa_key(bits: int = 2048) -> SigningKey:
    """An RSA key, made once a process: making one takes a while."""
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=bits))


def base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def compact(value: object) -> bytes:
    """Write JSON as Go writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def simple_signing_payload(
    digest: Digest,
    *,
    reference: str = "registry.example.com/dev/website",
    kind: str = "cosign container image signature",
) -> bytes:
    return compact(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": str(digest)},
                "type": kind,
            },
            "optional": None,
        }
    )


def statement(
    *digests: Digest,
    predicate_type: str = SPDX_PREDICATE,
    predicate: Mapping[str, object] | None = None,
    version: str = STATEMENT_V01,
) -> bytes:
    return compact(
        {
            "_type": version,
            "subject": [
                {"name": "registry.example.com/dev/website", "digest": {d.algorithm: d.encoded}}
                for d in digests
            ],
            "predicateType": predicate_type,
            "predicate": {} if predicate is None else predicate,
        }
    )


def sign_statement(digest: Digest) -> bytes:
    """The statement by which cosign 3 signs an image."""
    return compact(
        {
            "_type": STATEMENT_V1,
            "subject": [{"digest": {digest.algorithm: digest.encoded}, "annotations": {}}],
            "predicateType": SIGN_PREDICATE,
            "predicate": {},
        }
    )


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Written out again, since a verifier's own would agree with itself."""
    kind = payload_type.encode()
    return b" ".join(
        (b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload)
    )


def envelope_members(
    keys: Sequence[SigningKey], payload: bytes, payload_type: str = PAYLOAD_TYPE
) -> dict[str, object]:
    signed = pre_authentication_encoding(payload_type, payload)
    return {
        "payload": base64(payload),
        "payloadType": payload_type,
        "signatures": [{"sig": base64(key.sign(signed))} for key in keys],
    }


def envelope(*keys: SigningKey, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """A layer of the older format's ``.att`` tag."""
    return compact(envelope_members(keys, payload, payload_type))


def bundle(key: SigningKey, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """A bundle with an envelope, as cosign 3 attaches it: a signature or an attestation."""
    return compact(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key.hint}},
            "dsseEnvelope": envelope_members([key], payload, payload_type),
        }
    )


def message_bundle(key: SigningKey, message: bytes) -> bytes:
    """A bundle over bytes that are elsewhere, as `cosign sign-blob` writes it."""
    return compact(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key.hint}},
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": base64(hashlib.sha256(message).digest()),
                },
                "signature": base64(key.sign(message)),
            },
        }
    )
