"""A report as text: decoded and read within bounds, before any format is known."""

from __future__ import annotations

from datetime import UTC, datetime

from image_promotion.errors import PromotionError, UnreadableEvidenceError
from image_promotion.registry.document import Fields, read_fields

MAX_SIZE_BYTES = 128 * 1024 * 1024
"""The largest report that is read; one of 50,000 components has some 30 MB."""

MAX_DEPTH = 100
"""How deep a report may be nested; dependencies of dependencies are lists, not levels."""

MAX_ITEMS = 500_000
"""How many components, vulnerabilities or statements a report may have, each."""

MAX_VALUES = 8_000_000
"""How many values of any kind a report may have; a list of nothing but `[]` fills the memory."""


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
    refuse_large(content)
    # Each value but the first of a list or an object follows a comma, and each of these begins with
    # a bracket; those within texts are counted too, so that this may err to the strict side alone.
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise refuse(f"cannot read the report: it may have more than {MAX_VALUES} values")
    return read_fields(content, "the report", max_depth=MAX_DEPTH, refusal=refuse)


def refuse_large(content: bytes) -> None:
    """Refuse a report by its size.

    Raises:
        UnreadableEvidenceError: It is larger than MAX_SIZE_BYTES.
    """
    if len(content) > MAX_SIZE_BYTES:
        raise refuse(
            f"cannot read the report: it has {len(content)} bytes, more than {MAX_SIZE_BYTES}"
        )


def items_of(fields: Fields, name: str) -> tuple[Fields, ...]:
    """Read a member that may be a list of objects, within the bounds of reports.

    Args:
        fields: The object that it is a member of.
        name: Its name.

    Returns:
        The objects; none when the member is absent.

    Raises:
        UnreadableEvidenceError: It is something else, or has more than MAX_ITEMS objects.
    """
    if name not in fields:
        return ()
    items = fields.each_fields(name)
    if len(items) > MAX_ITEMS:
        fields.refuse(name, f"has {len(items)} entries, more than {MAX_ITEMS}")
    return items


def needed_text(fields: Fields, name: str) -> str:
    """Read a member without which nothing can be counted: a name, an identifier.

    Args:
        fields: The object that it is a member of.
        name: Its name.

    Returns:
        The text, without white space around it.

    Raises:
        UnreadableEvidenceError: It is missing, no text, or empty.
    """
    text = fields.text(name).strip()
    if not text:
        fields.refuse(name, "is empty")
    return text


def optional_time(fields: Fields, name: str) -> datetime | None:
    """Read a member that may be a time.

    Args:
        fields: The object that it is a member of.
        name: Its name.

    Returns:
        The time in UTC, which is also meant where no zone is given; None when the member is absent
        or empty.

    Raises:
        UnreadableEvidenceError: It is something else: how old the report is cannot be told then.

    Source: RFC 3339; ISO 8601.
    """
    text = fields.optional_text(name)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        fields.refuse(name, "is no time")
