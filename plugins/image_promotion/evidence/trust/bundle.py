"""Sigstore bundles of version 0.3: a signature, what it is over, and who seems to have made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from image_promotion.errors import InvalidReferenceError
from image_promotion.evidence.trust.envelope import Envelope, envelope_of
from image_promotion.evidence.trust.wrapping import read_base64, unreadable
from image_promotion.registry.digest import Digest
from image_promotion.registry.document import Fields

BUNDLE_TYPES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    # Early writers of version 0.3; the specification asks readers to take both.
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
"""The media types of the bundles that are read.

Source: sigstore protobuf-specs, sigstore_bundle.proto, Bundle.media_type.
"""

ANY_BUNDLE = "application/vnd.dev.sigstore.bundle"
"""What the media types of all versions begin with."""

_ALGORITHMS = {"SHA2_256": "sha256", "SHA2_512": "sha512"}
"""Source: sigstore protobuf-specs, sigstore_common.proto, HashAlgorithm."""

_MEMBERS = ("mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature")
_MATERIALS = ("publicKey", "certificate", "x509CertificateChain", "tlogEntries")


@dataclass(frozen=True, slots=True)
class MessageSignature:
    """A signature over bytes that are not in the bundle.

    Args:
        digest: The digest of those bytes, as the bundle says; None when it does not say.
        signature: The signature.
    """

    digest: Digest | None
    signature: bytes


Signed: TypeAlias = Envelope | MessageSignature


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it is written; nothing of it is believed yet.

    Args:
        signed: What is signed.
        is_keyless: Whether it names its signer by a certificate, rather than by a public key that
            the verifier must have. The hint at which key is not kept: it is not signed, and the
            policy says which keys count.
        content: The whole bundle, byte by byte.
    """

    signed: Signed
    is_keyless: bool
    content: bytes = field(repr=False)


def bundle_of(fields: Fields, content: bytes) -> Bundle:
    """Read a document that must be a bundle.

    Args:
        fields: The members of the document.
        content: The document itself.

    Returns:
        The bundle.

    Raises:
        UnreadableEvidenceError: It is no bundle, one of another version, or breaks the rules of
            one; a bundle without verification material, or with several, does.

    Source: sigstore protobuf-specs, sigstore_bundle.proto.
    """
    fields.refuse_lookalikes(_MEMBERS)
    media_type = fields.text("mediaType")
    if media_type not in BUNDLE_TYPES:
        fields.refuse("mediaType", f"is not {BUNDLE_TYPES[0]}, the version that is read")
    material = fields.fields("verificationMaterial")
    material.refuse_lookalikes(_MATERIALS)
    # A oneof of the specification: exactly one of them; and chains are for older versions.
    named = [name for name in _MATERIALS[:3] if name in material]
    if named not in (["publicKey"], ["certificate"]):
        fields.refuse(
            "verificationMaterial",
            f"names its signer by {' and '.join(named) or 'nothing'}, not by either a publicKey "
            f"or a certificate",
        )
    return Bundle(_signed(fields), is_keyless=named == ["certificate"], content=content)


def _signed(fields: Fields) -> Signed:
    envelope = fields.optional_fields("dsseEnvelope")
    message = fields.optional_fields("messageSignature")
    if envelope is None and message is None:
        fields.refuse("dsseEnvelope", "is missing, and messageSignature too")
    if envelope is None:
        return _message_signature(fields.fields("messageSignature"))
    if message is not None:
        fields.refuse("dsseEnvelope", "and messageSignature are both there")
    signed = envelope_of(envelope)
    if len(signed.signatures) > 1:
        fields.refuse("dsseEnvelope", "has several signatures, and a bundle has one")
    return signed


def _message_signature(fields: Fields) -> MessageSignature:
    fields.refuse_lookalikes(("messageDigest", "signature"))
    said = fields.optional_fields("messageDigest")
    # cosign writes {} for it with an Ed25519 key.
    digest = _digest(said) if said is not None and "algorithm" in said else None
    return MessageSignature(digest, read_base64(fields, "signature"))


def _digest(said: Fields) -> Digest:
    algorithm = _ALGORITHMS.get(said.text("algorithm"))
    if algorithm is None:
        said.refuse("algorithm", f"is none of {', '.join(_ALGORITHMS)}")
    try:
        return Digest.parse(f"{algorithm}:{read_base64(said, 'digest').hex()}")
    except InvalidReferenceError as error:
        raise unreadable(f"cannot read the bundle: {error.attempted}") from error
