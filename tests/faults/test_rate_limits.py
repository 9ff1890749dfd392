"""Registries that ask to slow down: they are obeyed, as long as that makes sense within a task."""

from __future__ import annotations

import pytest

from image_promotion.errors import RateLimitedError
from image_promotion.ledger.records import State
from image_promotion.registry.retry import DEFAULT_RULES
from sandbox.faults import Answer
from tests.support.passage import WAY, Passage

TOO_MANY = Answer(429, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}', {"Retry-After": "7"})


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/tags/list"),
        ("HEAD", "/manifests/1.4-stable"),
        ("GET", "/manifests/sha256:"),
        ("GET", "/blobs/sha256:"),
    ],
)
async def test_a_source_that_asks_for_a_pause_gets_it_each_time(
    passage: Passage, method: str, target: str
) -> None:
    image = passage.push("1.4-stable")
    passage.source.on(method, target, TOO_MANY, times=2)

    report = await passage.run()

    assert report.problems == ()
    assert len(passage.slept_s) == 2
    assert all(7 <= pause_s < 8 for pause_s in passage.slept_s)
    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert passage.visible() == {"1.4-stable": image.digest}


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("HEAD", "/manifests/1.4-stable"),
        ("HEAD", "/blobs/sha256:"),
        ("POST", "/uploads/"),
        ("PUT", "/manifests/sha256:"),
        ("PUT", "/manifests/1.4-stable"),
        ("GET", "/manifests/1.4-stable"),
    ],
)
async def test_a_target_that_asks_for_a_pause_gets_it(
    passage: Passage, method: str, target: str
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on(method, target, TOO_MANY)

    report = await passage.run()

    assert report.problems == ()
    (pause_s,) = passage.slept_s
    assert 7 <= pause_s < 8
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_an_upload_whose_bytes_came_too_soon_is_sent_again(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    at_once = Answer(429, b"{}", {"Retry-After": "0"})
    passage.target.on("PUT", f"uploads/.*{image.blobs[1].digest}", at_once)

    report = await passage.run()

    assert report.problems == ()
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_an_unavailable_registry_that_says_for_how_long_is_waited_for(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    unavailable = Answer(503, b"maintenance", {"Retry-After": "30"})
    passage.target.on("PUT", "/manifests/1.4-stable", unavailable)

    await passage.run()

    (pause_s,) = passage.slept_s
    assert pause_s >= 30
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_a_pause_of_an_hour_is_left_to_a_later_attempt_of_the_task(passage: Passage) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    in_an_hour = Answer(429, TOO_MANY.body, {"Retry-After": "3600"})
    passage.source.on("GET", f"/blobs/{image.blobs[1].digest}", in_an_hour, times=None)

    report = await passage.run()

    (error,) = passage.errors
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_s == 3600
    assert error.retryable
    assert error.subject.registry == passage.source.host
    assert error.subject.digest == image.blobs[1].digest
    assert "was answered 429; the registry said TOOMANYREQUESTS" in str(error)
    assert passage.slept_s == []
    assert [each.source_tag for each in report.in_state(State.FAILED)] == ["1.4-stable"]
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


async def test_pauses_asked_for_again_and_again_do_not_multiply(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("POST", "/uploads/", TOO_MANY, times=None)

    await passage.run()

    (error,) = passage.errors
    assert isinstance(error, RateLimitedError)
    longest = DEFAULT_RULES.attempts - 1
    assert len(passage.slept_s) <= longest * len(image.blobs)
    await passage.completes(image)
