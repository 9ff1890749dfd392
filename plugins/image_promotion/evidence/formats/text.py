"""A report as text: decoded and read within bounds, before any format is known."""

from __future__ import annotations

from image_promotion.errors import PromotionError, UnreadableEvidenceError
from image_promotion.registry.document import Fields, read_fields

MAX_SIZE_BYTES = 128 * 1024 * 1024
"""The largest report that is read; one of 50,000 components has some 30 MB."""

MAX_DEPTH = 100
"""How deep a report may be nested; dependencies of dependencies are lists, not levels."""

MAX_ITEMS = 500_000
"""How many components, vulnerabilities or statements a report may have, each."""


def refuse(attempted: str) -> PromotionError:
    """Make the error for a report that is refused.

    Args:
        attempted: What is wrong with it.

    Returns:
        The error.
    """
    return UnreadableEvidenceError(
        attempted, advice="Have it made anew by the tool that wrote it, and attach it again."
    )


def read_json_report(content: bytes) -> Fields:
    """Read a report that must be one JSON object.

    Args:
        content: The report, in UTF-8.

    Returns:
        Its members; reading them as what they are not raises an UnreadableEvidenceError too.

    Raises:
        UnreadableEvidenceError: It is too large, too deep, or no JSON object.
    """
    if len(content) > MAX_SIZE_BYTES:
        raise refuse(
            f"cannot read the report: it has {len(content)} bytes, more than {MAX_SIZE_BYTES}"
        )
    return read_fields(content, "the report", max_depth=MAX_DEPTH, refusal=refuse)
