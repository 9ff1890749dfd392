"""Blobs of a store, read again from the middle, and verified all the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from image_promotion.errors import ContentMismatchError, PromotionError
from image_promotion.registry import blob_source
from image_promotion.registry.blob_source import BlobSource, StoredBlob, send_blob
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from tests.support.memory_store import MemoryStore

BYTES = b"".join(number.to_bytes(4, "big") for number in range(2000))
BLOB = Descriptor("application/octet-stream", Digest.of(BYTES), len(BYTES))
WRONG_AT_3500 = BYTES[:3500] + b"?" + BYTES[3501:]


class OpenStore(MemoryStore):
    """A store that opens blobs anywhere; notes where, and gives what a test sets."""

    content = BYTES
    opened_at: tuple[int, ...] = ()

    @asynccontextmanager
    async def open_blob_at(
        self, repository: str, blob: Descriptor, offset_bytes: int
    ) -> AsyncGenerator[AsyncIterator[bytes], None]:
        assert (repository, blob) == ("a", BLOB)
        self.opened_at += (offset_bytes,)
        yield pieces(self.content[offset_bytes:])


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700):
        yield content[start : start + 700]


@pytest.fixture(autouse=True)
def remembered_every_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_source, "REMEMBERED_EVERY_BYTES", 1000)


async def read(source: BlobSource, offset_bytes: int, *, until: int | None = None) -> bytes:
    got = bytearray()
    async with source.open(offset_bytes) as content:
        async for piece in content:
            got += piece
            if until is not None and offset_bytes + len(got) >= until:
                break
    return bytes(got)


async def test_a_blob_is_read_from_its_start() -> None:
    store = OpenStore()
    assert await read(StoredBlob(store, "a", BLOB), 0) == BYTES
    assert store.opened_at == (0,)


@pytest.mark.parametrize("offset_bytes", [0, 1, 1399, 1400, 3000, 4200])
async def test_it_is_read_again_from_the_middle_and_little_of_it_twice(offset_bytes: int) -> None:
    store = OpenStore()
    source = StoredBlob(store, "a", BLOB)
    await read(source, 0, until=4200)
    assert await read(source, offset_bytes) == BYTES[offset_bytes:]
    assert 0 <= offset_bytes - store.opened_at[-1] < 1400 + 700


async def test_it_may_be_read_again_more_than_once() -> None:
    source = StoredBlob(OpenStore(), "a", BLOB)
    await read(source, 0, until=6000)
    await read(source, 2000, until=4000)
    assert await read(source, 3000) == BYTES[3000:]


async def test_what_was_hashed_before_counts_when_the_rest_is_read() -> None:
    store = OpenStore()
    store.content = WRONG_AT_3500
    source = StoredBlob(store, "a", BLOB)
    await read(source, 0, until=4200)
    store.content = BYTES
    with pytest.raises(ContentMismatchError):
        await read(source, 4200)


async def test_what_is_read_twice_is_hashed_as_it_is_given() -> None:
    store = OpenStore()
    source = StoredBlob(store, "a", BLOB)
    await read(source, 0, until=4200)
    store.content = WRONG_AT_3500
    with pytest.raises(ContentMismatchError):
        await read(source, 3000)


@pytest.mark.parametrize("content", [BYTES[:-1], BYTES + b"x"])
async def test_another_length_is_refused(content: bytes) -> None:
    store = OpenStore()
    store.content = content
    with pytest.raises(ContentMismatchError):
        await read(StoredBlob(store, "a", BLOB), 0)


async def test_progress_is_taken_back_by_what_is_given_again() -> None:
    told: list[int] = []
    source = StoredBlob(OpenStore(), "a", BLOB, advanced=told.append)
    await read(source, 0, until=4200)
    assert sum(told) == source.given_bytes == 4200
    await read(source, 3000)
    assert sum(told) == source.given_bytes == len(BYTES)
    assert -1200 in told
    source.take_back()
    assert sum(told) == source.given_bytes == 0


async def test_a_store_that_opens_blobs_at_their_start_alone_is_read_up_to_there() -> None:
    store = MemoryStore()
    blob = store.hold_blob("a", BYTES)
    source = StoredBlob(store, "a", blob)
    await read(source, 0, until=4200)
    assert await read(source, 3000) == BYTES[3000:]


async def test_a_store_that_takes_streams_alone_gets_one() -> None:
    source, target = MemoryStore(), MemoryStore()
    blob = source.hold_blob("a", BYTES)
    await send_blob(target, "b", blob, StoredBlob(source, "a", blob))
    assert target.blobs["b"][blob.digest] == BYTES


async def test_a_store_to_which_broken_uploads_are_not_lost_gets_the_source() -> None:
    class Resuming(MemoryStore):
        got: tuple[BlobSource, ...] = ()

        async def upload_blob(
            self, _repository: str, _blob: Descriptor, source: BlobSource
        ) -> None:
            self.got += (source,)

    target = Resuming()
    source = StoredBlob(OpenStore(), "a", BLOB)
    await send_blob(target, "b", BLOB, source)
    assert target.got == (source,)


async def test_a_blob_that_is_not_there_is_the_stores_error() -> None:
    with pytest.raises(PromotionError) as caught:
        await read(StoredBlob(MemoryStore(name="dev"), "a", BLOB), 0)
    assert str(caught.value.subject) == f"dev/a@{BLOB.digest}"
