"""A document: bytes that may be evidence about an image, and where they were found.

Nothing of it is believed yet. ``trust`` says whose word it is, ``formats`` say what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from image_promotion.errors import PromotionError
from image_promotion.evidence.formats.text import MAX_DEPTH
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from image_promotion.registry.document import Fields, read_fields


class Kind(StrEnum):
    """What a document is, as far as who speaks in it: a plain report, or what wraps one.

    Members:
        REPORT: A report in the format of its tool; nobody signed it.
        STATEMENT: An in-toto statement without an envelope; nobody signed it.
        ENVELOPE: A DSSE envelope.
        BUNDLE: A sigstore bundle.
        SIMPLE_SIGNING: The payload of a simple signature, which stands in the annotations.
    """

    REPORT = "report"
    STATEMENT = "statement"
    ENVELOPE = "envelope"
    BUNDLE = "bundle"
    SIMPLE_SIGNING = "simple_signing"


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes that may be evidence.

    Args:
        content: The bytes.
        kind: What they are, by what was said of them; whoever reads them finds out.
        media_type: What they are said to be, such as ``application/spdx+json``; empty when nothing
            is said.
        source: The source that fetched them.
        location: Where they were found, in words for people, on one line; never holds a secret.
        subject: The digest they were found at: of the image, or of the image of one platform. It is
            the source's claim: what the bytes themselves are about is in them.
        annotations: What is said beside them: of a layer in a registry its annotations, with
            signatures in them. Empty elsewhere.
        artifact_type: The type of the artifact they are a part of; empty elsewhere.
        at: When they were written, by the word of whoever keeps them; None when not said.
        digest: Of the content, ``sha256:..``; computed.
    """

    content: bytes = field(repr=False)
    kind: Kind
    media_type: str
    source: SourceName
    location: str
    subject: str
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    at: datetime | None = None
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", str(Digest.of(self.content)))


_MARKS = (
    ("verificationMaterial", Kind.BUNDLE),
    ("payloadType", Kind.ENVELOPE),
    ("predicateType", Kind.STATEMENT),
)
"""The member that a document of each kind must have, and that no report has."""


def kind_of(content: bytes) -> Kind:
    """Tell the kind of a document that nobody says anything about.

    Args:
        content: The document.

    Returns:
        What its outermost members show it to be; a report where they show nothing, or where it
        cannot be read: whoever reads reports says why.
    """
    # To search is much faster than to read, and most reports have none of the words in them.
    if not any(b'"%b"' % mark.encode() in content for mark, _ in _MARKS):
        return Kind.REPORT
    try:
        fields: Fields = read_fields(content, "the document", max_depth=MAX_DEPTH)
    except PromotionError:
        return Kind.REPORT
    return next((kind for mark, kind in _MARKS if mark in fields), Kind.REPORT)
