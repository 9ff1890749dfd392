from __future__ import annotations

import httpx
import pytest

from image_promotion.errors import ProtocolViolationError
from image_promotion.registry import paging
from image_promotion.registry.failures import Attempt
from image_promotion.registry.paging import Paging

ATTEMPT = Attempt("listing", "GET", httpx.URL("https://registry.example.com/v2/_catalog"))


@pytest.mark.parametrize("first", ["", "a"])
def test_a_page_that_was_there_before_is_a_circle(first: str) -> None:
    pages = Paging(first)
    pages.turn(ATTEMPT, "b", 200)
    for mark in (first, "b"):
        with pytest.raises(ProtocolViolationError, match="circle"):
            pages.turn(ATTEMPT, mark, 200)


def test_pages_may_be_so_many_and_no_more() -> None:
    pages = Paging()
    for number in range(paging.MAX_PAGES - 1):
        pages.turn(ATTEMPT, str(number), 200)
    with pytest.raises(ProtocolViolationError, match="never end: 10000 have come"):
        pages.turn(ATTEMPT, "one more", 200)


def test_a_mark_that_would_fill_the_memory_is_none() -> None:
    with pytest.raises(ProtocolViolationError, match="never end"):
        Paging().turn(ATTEMPT, "x" * 5000, 200)


def test_pages_that_are_waited_for_too_long_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_WAITING_S", 0.0)
    pages = Paging()
    pages.turn(ATTEMPT, "a", 200)
    with pages.waiting():
        pass
    with pytest.raises(ProtocolViolationError, match="never end"):
        pages.turn(ATTEMPT, "b", 200)
