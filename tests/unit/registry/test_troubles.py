"""What is wrong with a connection, in one word."""

from __future__ import annotations

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ConnectionSettingsError,
    ContentMismatchError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RateLimitedError,
    UnreachableError,
)
from image_promotion.registry.failures import Cause
from image_promotion.registry.probe_result import Trouble
from image_promotion.registry.side_probing import trouble_of


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (AuthenticationError("no"), Trouble.LOGIN),
        (DeniedError("no"), Trouble.RIGHT_MISSING),
        (NotFoundError("no"), Trouble.REPOSITORY_MISSING),
        (RateLimitedError("no"), Trouble.RATE_LIMITED),
        (ProtocolViolationError("no"), Trouble.NOT_A_REGISTRY),
        (UnreachableError("no"), Trouble.BROKEN),
        (ConnectionSettingsError("no", connection_id="c"), Trouble.SETTINGS),
        (InvalidReferenceError("no", text="x"), Trouble.SETTINGS),
        (ContentMismatchError("no", expected="a", actual="b"), Trouble.OTHER),
    ],
)
def test_each_kind_of_error_has_its_word(error: PromotionError, word: Trouble) -> None:
    assert trouble_of(error) is word


def test_each_reason_why_no_answer_came_has_a_word() -> None:
    assert {each.value for each in Cause} <= {each.value for each in Trouble}
