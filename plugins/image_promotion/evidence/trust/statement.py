"""In-toto statements, and how to open whatever wraps one without believing it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from image_promotion.errors import InvalidReferenceError
from image_promotion.evidence.formats.text import MAX_SIZE_BYTES
from image_promotion.evidence.trust.bundle import ANY_BUNDLE, Bundle, bundle_of
from image_promotion.evidence.trust.envelope import PAYLOAD_TYPE, Envelope, envelope_of
from image_promotion.evidence.trust.wrapping import read_wrapping, unreadable
from image_promotion.registry.digest import Digest
from image_promotion.registry.document import Fields

STATEMENT_TYPES = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
"""The versions of statements that are read.

Source: in-toto attestation framework, "Statement layer specification", v0.1 and v1.
"""

_ANY_STATEMENT = "https://in-toto.io/Statement/"
_MEMBERS = ("_type", "subject", "predicateType", "predicate")
_SIGNS = (b'"_type"', b'"payloadType"', b'"verificationMaterial"')
"""One of these stands in every document that is opened here; searching costs less than reading."""

_WHITE_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class InTotoStatement:
    """What a statement says, whether or not anybody vouches for it.

    Args:
        subject_digests: The digests of all it is about, sha256 and sha512; others are left out.
        predicate_type: What kind of claim it makes, such as ``https://spdx.dev/Document``.
        predicate: The claim; without members when the statement has none.
        payload: The whole statement, byte by byte.
    """

    subject_digests: frozenset[Digest]
    predicate_type: str
    predicate: Fields = field(compare=False, repr=False)
    payload: bytes = field(repr=False)

    def is_about(self, digest: Digest) -> bool:
        """Return whether an image is among the subjects.

        Args:
            digest: The image's digest.
        """
        return digest in self.subject_digests

    def predicate_content(self) -> bytes:
        """Return the claim as a JSON document of its own, for those who read whole documents."""
        members: dict[str, object] = json.loads(self.payload)
        return json.dumps(members.get("predicate") or {}).encode("ascii")


def open_statement(content: bytes) -> InTotoStatement | None:
    """Take a statement out of whatever wraps it, without checking any signature.

    For showing a document, and for sources that the policy believes whoever signed. A bare
    statement, a DSSE envelope and a sigstore bundle are recognised.

    Args:
        content: Any document.

    Returns:
        The statement, for which nobody vouches; None when the document is none of these.

    Raises:
        UnreadableEvidenceError: The document is one of these and breaks its own rules, or wraps
            something other than a statement.
    """
    document = unwrap(content)
    if isinstance(document, Bundle):
        if not isinstance(document.signed, Envelope):
            raise unreadable("cannot read the bundle: it signs bytes, and holds no statement")
        return statement_of(document.signed)
    return statement_of(document) if isinstance(document, Envelope) else document


def unwrap(content: bytes) -> Bundle | Envelope | InTotoStatement | None:
    """Recognise whatever may hold a statement, and read it without checking any signature.

    Args:
        content: Any document.

    Returns:
        The bundle, the envelope or the bare statement; None when the document is none of these.

    Raises:
        UnreadableEvidenceError: The document is one of these and breaks its own rules.
    """
    if not content.lstrip(_WHITE_SPACE).startswith(b"{"):
        return None
    if not any(sign in content for sign in _SIGNS):
        return None
    document = read_wrapping(content, "the document")
    if "verificationMaterial" in document or _begins(document, "mediaType", ANY_BUNDLE):
        return bundle_of(document, content)
    if "payloadType" in document and "payload" in document:
        return envelope_of(document)
    return read_statement(content) if _begins(document, "_type", _ANY_STATEMENT) else None


def statement_of(envelope: Envelope) -> InTotoStatement:
    """Read the statement that an envelope holds, without checking any signature.

    Args:
        envelope: The envelope.

    Returns:
        The statement.

    Raises:
        UnreadableEvidenceError: The envelope holds something else.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise unreadable(
            f"cannot read the envelope: it holds {envelope.payload_type[:100]!a}, and only "
            f"{PAYLOAD_TYPE} is read"
        )
    return read_statement(envelope.payload)


def read_statement(payload: bytes) -> InTotoStatement:
    """Read a document that must be a statement.

    Args:
        payload: The document.

    Returns:
        The statement.

    Raises:
        UnreadableEvidenceError: It is too large, no statement, one of another version, or breaks
            the rules of one.

    Source: in-toto attestation framework, "Statement layer specification", v0.1 and v1.
    """
    if len(payload) > MAX_SIZE_BYTES:
        raise unreadable(
            f"cannot read the statement: it has {len(payload)} bytes, more than {MAX_SIZE_BYTES}"
        )
    fields = read_wrapping(payload, "the statement")
    fields.refuse_lookalikes(_MEMBERS)
    if fields.text("_type") not in STATEMENT_TYPES:
        fields.refuse("_type", f"is none of {' and '.join(STATEMENT_TYPES)}")
    return InTotoStatement(
        subject_digests=frozenset(
            digest for subject in fields.each_fields("subject") for digest in _digests_of(subject)
        ),
        predicate_type=fields.text("predicateType"),
        predicate=fields.optional_fields("predicate")
        or Fields("the statement", "predicate", {}, unreadable),
        payload=payload,
    )


def _digests_of(subject: Fields) -> tuple[Digest, ...]:
    """Read the digests of one subject; those that name no image, such as gitCommit, are left out.

    Source: in-toto attestation framework, "DigestSet".
    """
    digests = []
    for algorithm, encoded in subject.text_by_key("digest").items():
        if algorithm in ("sha256", "sha512"):
            try:
                digests.append(Digest.parse(f"{algorithm}:{encoded}"))
            except InvalidReferenceError as error:
                subject.refuse("digest", f"is broken: {error.attempted}")
    return tuple(digests)


def _begins(document: Fields, name: str, beginning: str) -> bool:
    return name in document and document.text(name).startswith(beginning)
