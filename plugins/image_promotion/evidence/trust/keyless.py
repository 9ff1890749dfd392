"""Keyless signatures: by a certificate for an identity, checked offline against a trust root."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from sigstore.hashes import Hashed
from sigstore.models import Bundle as SigstoreBundle
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import AllOf, AnyOf, Identity, OIDCIssuer, OIDCIssuerV2
from sigstore_models.common.v1 import HashAlgorithm

from image_promotion.errors import Distrust, UntrustedEvidenceError
from image_promotion.evidence.trust.bundle import Bundle
from image_promotion.evidence.trust.envelope import Envelope
from image_promotion.evidence.trust.signers import KeylessSigner
from image_promotion.registry.digest import Digest

_MAX_TRUST_ROOTS = 16
_SHOWN_CHARACTERS = 300


def require_keyless(bundle: Bundle, signer: KeylessSigner, digest: Digest) -> None:
    """Require that a signer made the signature in a bundle.

    The certificate must lead to an authority of the trust root and have been logged; the signature
    must stand in a transparency log of the trust root, and have been made while the certificate was
    valid, by the log's word or a time-stamping authority's; the certificate must name the identity
    and the issuer. All that is checked within the bundle: no network is used.

    Args:
        bundle: The bundle, with a certificate.
        signer: Who must have made it.
        digest: The image's digest, for a bundle that signs the image's manifest itself.

    Raises:
        UntrustedEvidenceError: The signer did not make it, or cannot be checked.

    Source: sigstore client specification, "Verification".
    """
    verifier = _verifier_of(signer)
    identity = AllOf(
        [
            AnyOf([OIDCIssuer(signer.issuer), OIDCIssuerV2(signer.issuer)]),
            Identity(identity=signer.identity),
        ]
    )
    # The library raises its own errors, and those of the parsers below it: any refuses.
    try:
        theirs = SigstoreBundle.from_json(bundle.content)
    except Exception as error:
        raise _refuse(
            Distrust.NOT_BY_SIGNER, f"the bundle is incomplete: {_words(error)}"
        ) from error
    try:
        identity.verify(theirs.signing_certificate)
    except Exception as error:
        raise _refuse(
            Distrust.OTHER_IDENTITY, f"its certificate is not for {signer}: {_words(error)}"
        ) from error
    try:
        if isinstance(bundle.signed, Envelope):
            verified = verifier.verify_dsse(theirs, identity)
        else:
            verifier.verify_artifact(_hashed(digest), theirs, identity)
            verified = None
    except Exception as error:
        raise _refuse(Distrust.NOT_BY_SIGNER, f"it is not by {signer}: {_words(error)}") from error
    # What was verified must be what we read, however differently the two readers may read.
    if isinstance(bundle.signed, Envelope) and verified != (
        bundle.signed.payload_type,
        bundle.signed.payload,
    ):
        raise _refuse(Distrust.NOT_BY_SIGNER, "the bundle can be read in two ways")


def _hashed(digest: Digest) -> Hashed:
    algorithms = {"sha256": HashAlgorithm.SHA2_256, "sha512": HashAlgorithm.SHA2_512}
    return Hashed(algorithm=algorithms[digest.algorithm], digest=bytes.fromhex(digest.encoded))


def _verifier_of(signer: KeylessSigner) -> Verifier:
    try:
        return _verifier(signer.trust_root)
    except Exception as error:
        raise _refuse(
            Distrust.NO_SIGNER, f"the trust root of {signer.name} cannot be used: {_words(error)}"
        ) from error


@lru_cache(maxsize=_MAX_TRUST_ROOTS)
def _verifier(trust_root: bytes) -> Verifier:
    # The library reads trust roots from files alone.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trusted_root.json"
        file.write_bytes(trust_root)
        return Verifier(trusted_root=TrustedRoot.from_file(str(file)))


def _words(error: Exception) -> str:
    """Return what the library says, cut and in ASCII: it repeats what the bundle says."""
    return str(error)[:_SHOWN_CHARACTERS].encode("unicode_escape").decode("ascii")


def _refuse(reason: Distrust, why: str) -> UntrustedEvidenceError:
    return UntrustedEvidenceError(f"the keyless signature does not count: {why}", reason=reason)
