"""Simple-signing payloads: what cosign signs to sign an image, in its older format."""

from __future__ import annotations

from dataclasses import dataclass

from image_promotion.errors import InvalidReferenceError
from image_promotion.evidence.trust.wrapping import read_wrapping, unreadable
from image_promotion.registry.digest import Digest

SIMPLE_SIGNING_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
"""The media type of the layer that holds the payload."""

SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
"""The annotation of that layer that holds the signature, in base64.

Source: cosign, specs/SIGNATURE_SPEC.md, "Properties" and "Storage".
"""

IMAGE_SIGNATURE = "cosign container image signature"
"""The only type of payload that signs an image; cosign itself accepts no other.

Source: sigstore, pkg/signature/payload/payload.go, CosignSignatureType.
"""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""Real payloads have some 300 bytes, and what the signer annotated."""


@dataclass(frozen=True, slots=True)
class SimpleSigning:
    """What a payload says, whether or not anybody vouches for it.

    Args:
        digest: The image that is signed.
        kind: The type of the payload.
        docker_reference: The name under which the image was signed. It is shown and never compared:
            promotion gives images other names.
    """

    digest: Digest
    kind: str
    docker_reference: str


def read_simple_signing(payload: bytes) -> SimpleSigning:
    """Read a document that must be a simple-signing payload.

    Args:
        payload: The document.

    Returns:
        What it says.

    Raises:
        UnreadableEvidenceError: It is too large, no such payload, or names no image.

    Source: containers/image, docs/containers-signature.5.md, "JSON data format".
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise unreadable(
            f"cannot read the signature's payload: it has {len(payload)} bytes, more than "
            f"{MAX_PAYLOAD_BYTES}"
        )
    fields = read_wrapping(payload, "the signature's payload")
    fields.refuse_lookalikes(("critical",))
    critical = fields.fields("critical")
    critical.refuse_lookalikes(("identity", "image", "type"))
    image = critical.fields("image")
    image.refuse_lookalikes(("docker-manifest-digest",))
    identity = critical.optional_fields("identity")
    try:
        digest = Digest.parse(image.text("docker-manifest-digest"))
    except InvalidReferenceError as error:
        raise unreadable(f"cannot read the signature's payload: {error.attempted}") from error
    return SimpleSigning(
        digest=digest,
        kind=critical.text("type"),
        docker_reference=(identity and identity.optional_text("docker-reference")) or "",
    )
