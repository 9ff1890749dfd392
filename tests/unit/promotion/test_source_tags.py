from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from image_promotion.promotion.source_tags import (
    LISTS_AT_ONCE,
    TagName,
    list_source_tags,
    tell_apart,
)
from tests.support.memory_store import MemoryStore

TAGS = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,4}(-rc)?", fullmatch=True), unique=True)


def is_rc(name: TagName) -> bool:
    return name.tag.endswith("-rc")


@given(tags=TAGS, keep=st.none() | st.integers(0, 5))
def test_every_tag_is_wanted_or_counted_and_both_come_in_order(
    tags: list[str], keep: int | None
) -> None:
    apart = tell_apart([TagName("app", tag) for tag in tags], is_rc, keep=keep)
    out = sorted(tag for tag in tags if tag.endswith("-rc"))
    assert [name.tag for name in apart.wanted] == sorted(set(tags) - set(out))
    assert [name.tag for name in apart.rejected] == out[:keep]
    assert apart.rejected_count == len(out)


def test_tags_of_attachments_are_counted_among_those_that_are_out() -> None:
    names = [TagName("app", f"sha256-{'0' * 64}.sig"), TagName("app", "1-rc"), TagName("app", "1")]
    apart = tell_apart(names, lambda name: name.tag != "1", keep=0)
    assert (apart.rejected_count, apart.attachment_count, apart.rejected) == (2, 1, ())


class Lists(MemoryStore):
    """Counts how many repositories are being listed at a time."""

    under_way = 0
    most_at_once = 0

    async def list_tags(self, repository: str) -> AsyncIterator[str]:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await asyncio.sleep(0)
        for number in range(2_000):
            yield f"{repository}-{number}-rc"
        yield f"{repository}-stable"
        self.under_way -= 1


async def test_some_repositories_are_listed_at_a_time_and_told_in_order() -> None:
    store = Lists()
    repositories = [f"app{number}" for number in range(9, 0, -1)]
    tags, notes = await list_source_tags(store, repositories, is_rc, keep=3)
    assert store.most_at_once == LISTS_AT_ONCE
    assert [name.repository for name in tags.wanted] == sorted(repositories)
    assert [name.tag for name in tags.rejected] == ["app1-0-rc", "app1-1-rc", "app1-10-rc"]
    assert (tags.rejected_count, notes) == (18_000, ())


async def test_memory_does_not_grow_with_the_tags_that_are_out() -> None:
    async def peak_bytes(count: int) -> int:
        tracemalloc.start()
        try:
            await list_source_tags(Lists(), [f"app{n}" for n in range(count)], is_rc, keep=20)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = await peak_bytes(LISTS_AT_ONCE), await peak_bytes(5 * LISTS_AT_ONCE)
    assert many < 1.3 * few
