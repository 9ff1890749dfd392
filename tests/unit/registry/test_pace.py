"""How hard a registry is asked."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_promotion.registry.pace import NO_LIMIT, AdaptiveLimit, Pace, Pacer


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["requests_per_second", "bytes_per_second"])
def test_a_limit_is_a_positive_number(name: str, limit: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Pace(**{name: limit})


async def test_nothing_is_waited_for_without_a_limit() -> None:
    clock = Clock()
    pacer = Pacer(Pace(), sleep=clock.sleep, clock=clock)
    for _ in range(1000):
        await pacer.before_request()
        await pacer.before_bytes(10**9)
    assert clock.now_s == 100.0


async def test_requests_are_spread_evenly() -> None:
    clock = Clock()
    pacer = Pacer(Pace(requests_per_second=4), sleep=clock.sleep, clock=clock)
    moments = []
    for _ in range(4):
        await pacer.before_request()
        moments.append(clock.now_s - 100)
    assert moments == [0, 0.25, 0.5, 0.75]


async def test_time_without_requests_is_not_saved_up() -> None:
    clock = Clock()
    pacer = Pacer(Pace(requests_per_second=1), sleep=clock.sleep, clock=clock)
    await pacer.before_request()
    clock.now_s += 60
    await pacer.before_request()
    await pacer.before_request()
    assert clock.now_s == 161


@settings(max_examples=50)
@given(st.lists(st.integers(min_value=1, max_value=65536), min_size=2, max_size=200))
def test_no_more_bytes_pass_than_allowed(sizes: list[int]) -> None:
    clock = Clock()

    async def pass_all() -> None:
        pacer = Pacer(Pace(bytes_per_second=50_000), sleep=clock.sleep, clock=clock)
        for size_bytes in sizes:
            await pacer.before_bytes(size_bytes)

    asyncio.run(pass_all())
    # What may be owed is less than the shortest pause.
    assert clock.now_s - 100 >= sum(sizes[:-1]) / 50_000 - 0.002 - 1e-9


# ---- as many as a registry can bear


async def entered(limit: AdaptiveLimit, count: int) -> list[int]:
    return [await limit.enter() for _ in range(count)]


async def test_half_of_what_was_under_way_remains_when_the_registry_asks_to_slow_down() -> None:
    limit = AdaptiveLimit(16)
    first = (await entered(limit, 12))[0]
    limit.slow_down(first)
    assert limit.limit == 6


async def test_a_burst_that_is_turned_down_counts_once() -> None:
    limit = AdaptiveLimit(16)
    for entered_at in await entered(limit, 16):
        limit.slow_down(entered_at)
        limit.leave()
    assert limit.limit == 8


async def test_one_request_is_always_allowed() -> None:
    limit = AdaptiveLimit(16)
    for _ in range(5):
        limit.slow_down(await limit.enter())
        limit.leave()
    assert limit.limit == 1


async def test_it_grows_by_one_with_each_round_that_goes_well_and_not_beyond_the_most() -> None:
    limit = AdaptiveLimit(4)
    limit.slow_down((await entered(limit, 4))[0])
    limits = []
    for _ in range(8):
        limit.went_well()
        limits.append(limit.limit)
    assert limits == [2, 3, 3, 3, 4, 4, 4, 4]


async def test_whoever_is_over_the_limit_waits_until_somebody_leaves() -> None:
    limit = AdaptiveLimit(2)
    await entered(limit, 2)
    waiting = [asyncio.create_task(limit.enter()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    limit.leave()
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert [task.done() for task in waiting] == [True, False]
    limit.leave()
    await asyncio.wait_for(waiting[1], 10)


async def test_the_place_of_whoever_gives_up_goes_to_the_next() -> None:
    limit = AdaptiveLimit(1)
    await limit.enter()
    waiting = [asyncio.create_task(limit.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # while it waits
    await asyncio.sleep(0)
    limit.leave()
    waiting[1].cancel()  # when it is its turn
    await asyncio.wait_for(waiting[2], 10)


async def test_nobody_is_forgotten_however_the_limit_changes() -> None:
    limit = AdaptiveLimit(8)
    most = 0
    inside = 0

    async def ask(number: int) -> None:
        nonlocal most, inside
        entered_at = await limit.enter()
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        if number % 7 == 0:
            limit.slow_down(entered_at)
        else:
            limit.went_well()
        limit.leave()

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask(number) for number in range(300)))
    assert inside == 0
    assert most <= 8


async def test_bytes_are_cut_only_where_they_are_limited() -> None:
    piece = bytes(200_000)
    assert list(Pacer(NO_LIMIT).cut(piece)) == [piece]
    parts = list(Pacer(Pace(bytes_per_second=1.0)).cut(piece))
    assert b"".join(parts) == piece
    assert max(len(part) for part in parts) == 64 * 1024
