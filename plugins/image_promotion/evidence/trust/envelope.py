"""DSSE envelopes: a payload, its type, and signatures over both."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_promotion.evidence.trust.wrapping import read_base64
from image_promotion.registry.document import Fields

PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""The payload type of an envelope that holds a statement, and the only one that is trusted.

Source: in-toto attestation framework, "Envelope layer specification".
"""

MAX_SIGNATURES = 32
"""How many signatures an envelope may have; each costs a verification by each trusted key."""

_MEMBERS = ("payload", "payloadType", "signatures")


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as it is written; nothing of it is believed yet.

    Key identifiers are not kept: they are not signed, and the policy says which keys count.

    Args:
        payload_type: What the payload is.
        payload: What is signed, together with its type.
        signatures: The signatures; empty when somebody took them off.
    """

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: tuple[bytes, ...]

    def signed_bytes(self) -> bytes:
        """Return the bytes that the signatures are over: the pre-authentication encoding.

        Source: DSSE protocol 1.0.2, "Signature Definition", PAE.
        """
        kind = self.payload_type.encode("utf-8")
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)


def envelope_of(fields: Fields) -> Envelope:
    """Read an envelope that stands in a larger document, or alone.

    Args:
        fields: The members of the envelope.

    Returns:
        The envelope.

    Raises:
        UnreadableEvidenceError: It breaks the rules of an envelope.

    Source: DSSE envelope 1.0.2, "Standard JSON envelope".
    """
    fields.refuse_lookalikes(_MEMBERS)
    signatures = fields.each_fields("signatures") if "signatures" in fields else ()
    if len(signatures) > MAX_SIGNATURES:
        fields.refuse("signatures", f"are {len(signatures)}, more than {MAX_SIGNATURES}")
    for signature in signatures:
        signature.refuse_lookalikes(("sig",))
    return Envelope(
        payload_type=fields.text("payloadType"),
        payload=read_base64(fields, "payload"),
        signatures=tuple(read_base64(signature, "sig") for signature in signatures),
    )
