"""Authentication: who, of those who are trusted, vouches for a document about an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_promotion.errors import Distrust, Subject, UntrustedEvidenceError
from image_promotion.evidence.trust.base64_text import decode_base64
from image_promotion.evidence.trust.bundle import Bundle, MessageSignature
from image_promotion.evidence.trust.envelope import PAYLOAD_TYPE, Envelope
from image_promotion.evidence.trust.keys import PublicKey
from image_promotion.evidence.trust.signers import KeylessSigner, KeySigner, Signer
from image_promotion.evidence.trust.simple_signing import IMAGE_SIGNATURE, read_simple_signing
from image_promotion.evidence.trust.statement import InTotoStatement, read_statement, unwrap
from image_promotion.registry.digest import Digest

SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate that signs an image, where others only say something about it.

Source: cosign 3, `cosign sign`; its own `cosign verify` passes any attestation for a signature.
"""

_MAX_SHOWN_DIGESTS = 3


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A document for which somebody trusted vouches, about the image that was asked for.

    Args:
        signers: The trusted signers who made a signature of it; never empty.
        signs_image: Whether it is a signature of the image itself.
        statement: The statement that is signed; None for a signature that holds none.
        docker_reference: The name under which the image was signed; empty when it does not say.
    """

    signers: tuple[Signer, ...]
    signs_image: bool
    statement: InTotoStatement | None = None
    docker_reference: str = ""

    @property
    def by(self) -> str:
        """Return who vouches for it, in words for a decision."""
        return " and ".join(str(signer) for signer in self.signers)

    def require_image_signature(self) -> None:
        """Refuse a claim about the image where a signature of the image is asked for.

        Raises:
            UntrustedEvidenceError: It is such a claim.
        """
        if not self.signs_image and self.statement is not None:
            raise UntrustedEvidenceError(
                f"the document is a claim about the image ({self.statement.predicate_type[:100]}), "
                f"not a signature of it",
                reason=Distrust.NOT_IMAGE_SIGNATURE,
                advice="Sign the image itself, with `cosign sign`.",
            )


def authenticate(content: bytes, digest: Digest, signers: Sequence[Signer]) -> Authenticated:
    """Find out who vouches for an attestation, or for a signature in a bundle.

    Args:
        content: The document: a DSSE envelope or a sigstore bundle.
        digest: The digest of the image that it must be about. A signature of an index is none of
            the images in it.
        signers: Who is trusted; one of them must have signed.

    Returns:
        What is vouched for.

    Raises:
        UntrustedEvidenceError: Nobody trusted vouches for it, or it is about another image; the
            error's `reason` says which.
        UnreadableEvidenceError: It breaks the rules of its format.

    Source: DSSE protocol 1.0.2, "Verification"; in-toto attestation framework, "Validation model";
        cosign, specs/BUNDLE_SPEC.md.
    """
    document = unwrap(content)
    if isinstance(document, Envelope):
        return _authenticate_envelope(document, digest, signers, keyless=None)
    if isinstance(document, Bundle):
        keyless = document if document.is_keyless else None
        if isinstance(document.signed, Envelope):
            return _authenticate_envelope(document.signed, digest, signers, keyless=keyless)
        return _authenticate_message(document.signed, digest, signers, keyless=keyless)
    raise _distrust(
        Distrust.NO_SIGNATURE,
        "the document is neither an envelope nor a bundle, so nobody signed it",
        digest,
    )


def authenticate_simple_signing(
    payload: bytes, signature: str, digest: Digest, signers: Sequence[Signer]
) -> Authenticated:
    """Find out who vouches for an image by a signature in cosign's older format.

    Args:
        payload: The content of the layer (`SIMPLE_SIGNING_TYPE`), byte by byte.
        signature: The layer's annotation `SIGNATURE_ANNOTATION`; empty when there is none.
        digest: The digest of the image that must be signed.
        signers: Who is trusted. Keyless signers count in bundles alone.

    Returns:
        What is vouched for.

    Raises:
        UntrustedEvidenceError: Nobody trusted signed it, or another image is signed; the error's
            `reason` says which.
        UnreadableEvidenceError: The payload breaks the rules of its format.

    Source: cosign, specs/SIGNATURE_SPEC.md, "Signature verification".
    """
    if not signature:
        raise _distrust(Distrust.NO_SIGNATURE, "there is no signature beside the payload", digest)
    decoded = decode_base64(signature)
    if decoded is None:
        raise _distrust(
            Distrust.NOT_BY_SIGNER, "the signature beside the payload is no base64", digest
        )
    vouching = _signers_by(signers, lambda key: key.has_signed(payload, decoded), None, digest)
    said = read_simple_signing(payload)
    if said.kind != IMAGE_SIGNATURE:
        raise _distrust(Distrust.OTHER_PAYLOAD, f"what is signed is a {said.kind[:100]!a}", digest)
    if said.digest != digest:
        raise _distrust(Distrust.OTHER_IMAGE, f"what is signed is the image {said.digest}", digest)
    return Authenticated(vouching, signs_image=True, docker_reference=said.docker_reference)


def _authenticate_envelope(
    envelope: Envelope, digest: Digest, signers: Sequence[Signer], *, keyless: Bundle | None
) -> Authenticated:
    if not envelope.signatures:
        raise _distrust(Distrust.NO_SIGNATURE, "the envelope has no signatures", digest)
    signed = envelope.signed_bytes()

    def has_signed(key: PublicKey) -> bool:
        return any(key.has_signed(signed, signature) for signature in envelope.signatures)

    vouching = _signers_by(signers, has_signed, keyless, digest)
    # Only what somebody trusted signed is looked into.
    if envelope.payload_type != PAYLOAD_TYPE:
        raise _distrust(
            Distrust.OTHER_PAYLOAD,
            f"what is signed is {envelope.payload_type[:100]!a}, not {PAYLOAD_TYPE}",
            digest,
        )
    statement = read_statement(envelope.payload)
    if not statement.is_about(digest):
        others = sorted(str(each) for each in statement.subject_digests)[:_MAX_SHOWN_DIGESTS]
        raise _distrust(
            Distrust.OTHER_IMAGE,
            f"the statement is about {', '.join(others) or 'no image'}",
            digest,
        )
    return Authenticated(
        vouching,
        signs_image=statement.predicate_type == SIGN_PREDICATE,
        statement=statement,
        docker_reference="",
    )


def _authenticate_message(
    message: MessageSignature,
    digest: Digest,
    signers: Sequence[Signer],
    *,
    keyless: Bundle | None,
) -> Authenticated:
    """Authenticate a signature over the image's manifest itself."""
    # The digest in the bundle is not signed; it can only show what was meant.
    if message.digest is not None and message.digest != digest:
        raise _distrust(Distrust.OTHER_IMAGE, f"the bundle is for {message.digest}", digest)
    vouching = _signers_by(
        signers, lambda key: key.has_signed_content_of(digest, message.signature), keyless, digest
    )
    return Authenticated(vouching, signs_image=True)


def _signers_by(
    signers: Sequence[Signer],
    has_signed: Callable[[PublicKey], bool],
    keyless: Bundle | None,
    digest: Digest,
) -> tuple[Signer, ...]:
    """Return the trusted signers who signed.

    Args:
        signers: Who is trusted.
        has_signed: Says whether a key made a signature.
        keyless: The bundle, if it names its signer by a certificate.
        digest: The image, for errors.

    Raises:
        UntrustedEvidenceError: None of them did.
    """
    if not signers:
        raise _distrust(Distrust.NO_SIGNER, "the policy trusts nobody", digest)
    vouching: list[Signer] = []
    refusals: list[UntrustedEvidenceError] = []
    for signer in signers:
        if isinstance(signer, KeySigner):
            if has_signed(signer.key):
                vouching.append(signer)
        elif keyless is not None:
            try:
                _require_keyless(keyless, signer, digest)
            except UntrustedEvidenceError as error:
                refusals.append(error)
            else:
                vouching.append(signer)
    if vouching:
        return tuple(vouching)
    if len(signers) == len(refusals) == 1:
        refusals[0].about(Subject(digest=str(digest)))
        raise refusals[0]
    names = ", ".join(str(signer) for signer in signers)
    raise _distrust(
        Distrust.NOT_BY_SIGNER,
        f"the signature is not by {names}, or what it is over was changed",
        digest,
        advice=_ADVICE_FOR_ED25519 if _has_ed25519(signers) else "",
    )


_ADVICE_FOR_ED25519 = (
    "With an Ed25519 key cosign 3 writes Ed25519ph, which it does not verify by default and which "
    "is not accepted: sign with an ECDSA P-256 key."
)


def _has_ed25519(signers: Sequence[Signer]) -> bool:
    return any(isinstance(each, KeySigner) and each.key.kind == "Ed25519" for each in signers)


def _require_keyless(bundle: Bundle, signer: KeylessSigner, digest: Digest) -> None:
    from image_promotion.evidence.trust.keyless import (  # noqa: PLC0415 - loads sigstore
        require_keyless,
    )

    require_keyless(bundle, signer, digest)


def _distrust(
    reason: Distrust, why: str, digest: Digest, *, advice: str = ""
) -> UntrustedEvidenceError:
    return UntrustedEvidenceError(
        f"the document does not count: {why}",
        reason=reason,
        subject=Subject(digest=str(digest)),
        advice=advice,
    )
