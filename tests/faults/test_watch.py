"""The observer of these tests sees what it is there to see."""

from __future__ import annotations

import httpx
import pytest

from sandbox.image_pusher import PushedImage
from tests.support.onlooker import HalfVisibleError, Onlooker, Watch
from tests.support.passage import Passage

TAG = "1.4-stable"


def lose(passage: Passage, what: str, digest: str) -> None:
    """Delete a part of an image in the source."""
    url = f"{passage.dev.url}/v2/{passage.source_repository}/{what}/{digest}"
    httpx.delete(url, trust_env=False).raise_for_status()


def part_of(image: PushedImage, part: str) -> tuple[str, str]:
    child = image.children[1]
    parts = {"layer": child.blobs[1].digest, "configuration": child.blobs[0].digest}
    return ("manifests", child.digest) if part == "image" else ("blobs", parts[part])


@pytest.mark.parametrize("part", ["image", "configuration", "layer"])
def test_it_sees_that_a_part_of_an_image_is_missing(passage: Passage, part: str) -> None:
    image = passage.push_index(TAG)
    with Onlooker(passage.dev.url) as registry:
        assert registry.visible(passage.source_repository) == {TAG: image.digest}
        lose(passage, *part_of(image, part))
        with pytest.raises(HalfVisibleError, match=TAG):
            registry.visible(passage.source_repository)


def test_what_it_sees_once_it_tells_at_the_end(passage: Passage) -> None:
    image = passage.push_index(TAG)
    lose(passage, *part_of(image, "layer"))

    with pytest.raises(HalfVisibleError), Watch(passage.dev.url, passage.source_repository) as seen:
        seen.wait_for_looks(1)


def test_it_remembers_each_change_of_what_is_visible(passage: Passage) -> None:
    with Watch(passage.dev.url, passage.source_repository) as watch:
        watch.wait_for_looks(2)
        image = passage.push(TAG)
        watch.wait_for_looks(2)

    assert watch.seen == [{}, {TAG: image.digest}]
