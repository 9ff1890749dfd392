"""Looks at registries: bounded in number and time, and never in the way of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine

import pytest

from image_promotion.errors import BusyError, NotFoundError, TimeUpError
from image_promotion.web.pages.looks import Looks

TURN = ("alice", "website-to-qa")


async def _said(words: str) -> str:
    return words


class _Held:
    """A look that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> Coroutine[None, None, str]:
        self.begun.set()
        assert self.let_go.wait(30)
        return _said("seen")

    async def until_begun(self) -> None:
        await asyncio.to_thread(self.begun.wait, 30)


async def test_a_look_runs_in_a_thread_of_its_own_outside_of_any_event_loop() -> None:
    def look() -> Coroutine[None, None, str]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return _said(threading.current_thread().name)

    assert (await Looks().take(None, look)).startswith("promotion-look")


async def test_the_event_loop_goes_on_while_a_look_blocks() -> None:
    looks, held = Looks(), _Held()
    asked = asyncio.create_task(looks.take(TURN, held))
    await held.until_begun()
    assert not asked.done()
    held.let_go.set()
    assert await asked == "seen"


async def test_somebody_looks_at_a_policy_once_at_a_time_and_others_may_meanwhile() -> None:
    looks, held = Looks(), _Held()
    asked = asyncio.create_task(looks.take(TURN, held))
    await held.until_begun()
    with pytest.raises(BusyError, match="website-to-qa already"):
        await looks.take(TURN, lambda: _said("second"))
    for other in (("bob", "website-to-qa"), ("alice", "shop-to-qa")):
        assert await looks.take(other, lambda: _said("other")) == "other"
    held.let_go.set()
    await asked
    assert await looks.take(TURN, lambda: _said("again")) == "again"


async def test_one_look_more_than_there_may_be_is_refused_and_does_not_wait() -> None:
    looks, held = Looks(at_once=1), _Held()
    asked = asyncio.create_task(looks.take(None, held))
    await held.until_begun()
    with pytest.raises(BusyError, match="1 looks at registries"):
        await looks.take(None, lambda: _said("second"))
    held.let_go.set()
    await asked
    assert await looks.take(None, lambda: _said("again")) == "again"


async def test_a_look_that_takes_too_long_is_stopped_and_makes_room() -> None:
    looks = Looks(at_once=1, time_s=0.05)
    was_stopped = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_stopped.set()

    with pytest.raises(TimeUpError, match=r"0 seconds.*dry_run"):
        await looks.take(TURN, for_ever)
    assert was_stopped.is_set()
    assert await looks.take(TURN, lambda: _said("again")) == "again"


async def test_a_look_that_fails_makes_room_too() -> None:
    looks = Looks(at_once=1)

    def fail() -> Coroutine[None, None, str]:
        raise NotFoundError("there is no tag 1")

    with pytest.raises(NotFoundError):
        await looks.take(TURN, fail)
    assert await looks.take(TURN, lambda: _said("again")) == "again"
