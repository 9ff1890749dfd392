"""Why something was decided, trigger by trigger."""

from __future__ import annotations

from image_promotion.ledger import records
from image_promotion.web.api import models


def shown_reason(reason: records.Reason) -> models.Reason:
    """Return a reason as the pages and the API have it.

    Args:
        reason: The reason, with its parts.

    Returns:
        The same.
    """
    return models.Reason(
        trigger=reason.trigger,
        verdict=reason.verdict,
        expected=reason.expected,
        found=reason.found,
        source=reason.source,
        count=reason.count,
        items=reason.items,
        parts=tuple(shown_reason(each) for each in reason.parts),
    )
