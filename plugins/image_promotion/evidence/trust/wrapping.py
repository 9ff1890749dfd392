"""JSON that wraps something signed: read within bounds, and refused as unreadable evidence."""

from __future__ import annotations

from image_promotion.errors import UnreadableEvidenceError
from image_promotion.evidence.formats.text import MAX_DEPTH, MAX_SIZE_BYTES
from image_promotion.evidence.trust.base64_text import decode_base64
from image_promotion.registry.document import Fields, read_fields

MAX_WRAPPED_BYTES = 2 * MAX_SIZE_BYTES
"""The largest document that wraps a report; base64 alone makes it a third larger."""

_ADVICE = "Have it signed anew by the tool that wrote it, and attach it again."


def unreadable(attempted: str) -> UnreadableEvidenceError:
    """Make the error for a document that breaks the rules of its own format.

    Args:
        attempted: What was read and which rule it breaks.

    Returns:
        The error.
    """
    return UnreadableEvidenceError(attempted, advice=_ADVICE)


def read_wrapping(content: bytes, document: str) -> Fields:
    """Read a document that must be one JSON object.

    Args:
        content: The document, in UTF-8.
        document: What it is, in words, such as ``the envelope``.

    Returns:
        Its members; reading them as what they are not raises an UnreadableEvidenceError too.

    Raises:
        UnreadableEvidenceError: It is too large, too deep, holds a key twice, or is no JSON object.
    """
    if len(content) > MAX_WRAPPED_BYTES:
        raise unreadable(
            f"cannot read {document}: it has {len(content)} bytes, more than {MAX_WRAPPED_BYTES}"
        )
    return read_fields(content, document, max_depth=MAX_DEPTH, refusal=unreadable)


def read_base64(fields: Fields, name: str) -> bytes:
    """Read a member that must be base64.

    Args:
        fields: The object.
        name: The member's name.

    Returns:
        The bytes.

    Raises:
        UnreadableEvidenceError: The member is missing, or anything but base64 as `decode_base64`
            takes it.
    """
    content = decode_base64(fields.text(name))
    if content is None:
        fields.refuse(name, "is no base64, or base64 that readers would decode differently")
    return content
