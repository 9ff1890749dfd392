"""Sealing: a statement becomes a signed bundle, as cosign writes one with a key of its own."""

from __future__ import annotations

import json
from base64 import b64encode

from image_promotion.evidence.trust.bundle import BUNDLE_TYPES
from image_promotion.evidence.trust.envelope import PAYLOAD_TYPE, Envelope
from image_promotion.evidence.trust.keys import read_public_key
from image_promotion.evidence.trust.signing import SigningKey

BUNDLE_TYPE = BUNDLE_TYPES[0]

CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
"""What cosign 3 says beside a bundle that is attached to an image."""

ENVELOPE_CONTENT = "dsse-envelope"


def seal(statement: bytes, key: SigningKey) -> bytes:
    """Sign a statement and wrap it in a sigstore bundle of version 0.3, without a log's entry.

    Args:
        statement: The statement, byte by byte.
        key: What signs it.

    Returns:
        The bundle; the same for the same statement if the key signs alike each time.

    Raises:
        PromotionError: As from the key.

    Source: sigstore protobuf-specs, sigstore_bundle.proto; DSSE protocol 1.0.2, "Signature
    Definition"; cosign 3, `cosign attest`.
    """
    signature = key.sign(Envelope(PAYLOAD_TYPE, statement, ()).signed_bytes())
    bundle = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": read_public_key(key.public_key_pem).hint}},
        "dsseEnvelope": {
            "payload": _base64(statement),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _base64(signature)}],
        },
    }
    return json.dumps(bundle, separators=(",", ":")).encode("ascii")


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
