"""Blobs on their way between real registries, while connections break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from image_promotion.errors import ContentMismatchError, RegistryError
from image_promotion.registry import delivery
from image_promotion.registry.blob_source import StoredBlob, send_blob
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Answer, Corrupt, CutAnswer, CutRequest, Disconnect, LoseAnswer
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.registry.raw_http import RawRegistry, unfinished_uploads

SOURCE = "dev/website"
TARGET = "qa/website"
SIZE_BYTES = 900_000


@dataclass
class Way:
    """Two registries, a proxy before each, and a blob in the first."""

    source: FaultProxy
    target: FaultProxy
    qa: RegistryProcess
    blob: Descriptor
    told: list[int] = field(default_factory=list)

    async def send(self) -> None:
        async def no_pause(_pause_s: float) -> None:
            pass

        async with (
            RegistryClient(RegistryEndpoint("dev", self.source.url), sleep=no_pause) as source,
            RegistryClient(RegistryEndpoint("qa", self.target.url), sleep=no_pause) as target,
        ):
            content = StoredBlob(source, SOURCE, self.blob, advanced=self.told.append)
            await send_blob(target, TARGET, self.blob, content)

    def assert_arrived(self) -> None:
        content = RawRegistry(self.qa).blob(TARGET, str(self.blob.digest))
        assert Digest.of(content) == self.blob.digest
        assert sum(self.told) == self.blob.size_bytes

    def asked(self, proxy: FaultProxy, method: str) -> int:
        return sum(exchange.method == method for exchange in proxy.exchanges)


@pytest.fixture
def way(dev: RegistryProcess, qa: RegistryProcess) -> Iterator[Way]:
    layer = noise_layer(SIZE_BYTES, "broken")
    pushed = push_image(dev.url, SOURCE, "1.0", layers=[layer]).blobs[1]
    blob = Descriptor("application/octet-stream", Digest.parse(pushed.digest), pushed.size_bytes)
    with FaultProxy(dev.url) as source, FaultProxy(qa.url) as target:
        yield Way(source, target, qa, blob)


async def test_reading_goes_on_by_range_and_nothing_is_sent_twice(way: Way) -> None:
    way.source.on("GET", "/blobs/", CutAnswer(300_000)).on("GET", "/blobs/", CutAnswer(200_000))
    await way.send()
    way.assert_arrived()
    assert [each.status for each in way.source.exchanges] == [200, 206, 206]
    got_bytes = sum(each.answer_bytes for each in way.source.exchanges)
    assert got_bytes == way.blob.size_bytes
    assert (way.asked(way.target, "POST"), way.asked(way.target, "PUT")) == (1, 1)


async def test_other_bytes_after_the_break_are_noticed(way: Way) -> None:
    way.source.on("GET", "/blobs/", CutAnswer(300_000)).on("GET", "/blobs/", Corrupt(10))
    with pytest.raises(ContentMismatchError) as caught:
        await way.send()
    assert caught.value.expected == str(way.blob.digest)
    assert not RawRegistry(way.qa).has_blob(TARGET, str(way.blob.digest))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Disconnect(), id="before"),
        pytest.param(CutRequest(400_000), id="within"),
        pytest.param(Answer(500, b"{}"), id="answered 500"),
    ],
)
async def test_an_upload_that_breaks_is_completed(way: Way, fault: Disconnect) -> None:
    way.target.on("PUT", "/uploads/", fault)
    await way.send()
    way.assert_arrived()


async def test_a_blob_whose_last_answer_is_lost_is_not_sent_again(way: Way) -> None:
    way.target.on("PUT", "/uploads/", LoseAnswer())
    await way.send()
    way.assert_arrived()
    assert way.asked(way.target, "PUT") == 1


async def test_chunks_that_have_arrived_are_kept_when_the_next_one_does_not_begin(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHUNK_BYTES", 250_000)
    way.target.on("PUT", "/uploads/", Answer(413, b"<html>too large"))
    way.target.on("PATCH", "/uploads/", Disconnect(), skip=2)
    await way.send()
    way.assert_arrived()
    sent = [each.request_bytes for each in way.target.exchanges if each.method == "PATCH"]
    assert sent == [250_000, 250_000, 0, 250_000]


async def test_a_chunk_that_breaks_ends_in_the_whole_blob_too(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CNCF distribution loses the upload then; other registries know how much has come."""
    monkeypatch.setattr(delivery, "CHUNK_BYTES", 250_000)
    way.target.on("PUT", "/uploads/", Answer(413, b"<html>too large"))
    way.target.on("PATCH", "/uploads/", CutRequest(100_000), skip=1)
    await way.send()
    way.assert_arrived()


async def test_an_upload_that_never_gets_through_leaves_no_blob(way: Way) -> None:
    before = unfinished_uploads(way.qa)
    way.target.on("PUT", "/uploads/", Disconnect(), times=None)
    with pytest.raises(RegistryError) as caught:
        await way.send()
    assert caught.value.retryable
    assert not RawRegistry(way.qa).has_blob(TARGET, str(way.blob.digest))
    assert unfinished_uploads(way.qa) == before
