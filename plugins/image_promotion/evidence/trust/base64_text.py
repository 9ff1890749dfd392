"""Bytes that stand in JSON as base64: read in one way only."""

from __future__ import annotations

import base64
import re

_STANDARD = re.compile(r"[A-Za-z0-9+/]*+={0,2}")
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*+={0,2}")
_GROUP = 4


def decode_base64(text: str) -> bytes | None:
    """Decode base64, in the standard or the URL-safe alphabet, with all of its padding or none.

    All that is read differently by different readers is refused: white space, both alphabets in one
    text, half of the padding, and bits after the last byte that are not zero. So every content has
    exactly four spellings, and none is one changed bit away from another.

    Args:
        text: What stands in the document.

    Returns:
        The bytes; None when the text is no such base64.

    Source: RFC 4648, sections 3.5 (canonical encoding), 4 and 5. DSSE protocol 1.0.2, "Parameters":
        either alphabet. Protocol Buffers, "ProtoJSON format", bytes: either alphabet, with or
        without padding.
    """
    if not (_STANDARD.fullmatch(text) or _URL_SAFE.fullmatch(text)):
        return None
    bare = text.rstrip("=")
    padded = bare + "=" * (-len(bare) % _GROUP)
    if len(bare) % _GROUP == 1 or text not in (bare, padded):
        return None
    standard = padded.replace("-", "+").replace("_", "/")
    content = base64.b64decode(standard, validate=True)
    return content if base64.b64encode(content) == standard.encode("ascii") else None
