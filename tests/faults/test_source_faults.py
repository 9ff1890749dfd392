"""What the source does wrong: the image at fault is told, the others go over, nothing is lost."""

from __future__ import annotations

import pytest

from image_promotion.errors import (
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RegistryError,
    UnreachableError,
)
from image_promotion.ledger.records import State
from sandbox.faults import Answer, Corrupt, CutAnswer, Disconnect, Fault, ReplaceHeaders, Shorten
from sandbox.image_layers import sha256
from sandbox.image_pusher import PushedImage
from tests.support.onlooker import Onlooker
from tests.support.passage import WAY, Passage

WEB_PAGE = Answer(200, b"<!DOCTYPE html><title>Welcome</title>", {"Content-Type": "text/html"})
NOTHING_LISTENS_THERE = "http://127.0.0.1:1"


def error_of_the_only_failure(passage: Passage) -> PromotionError:
    (error,) = passage.errors
    return error


def layer_of(image: PushedImage) -> str:
    """The digest of the larger layer, which no other image has."""
    return image.blobs[1].digest


async def test_a_source_that_is_down_ends_the_run_and_the_next_one_completes(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    there = passage.urls["dev_registry"]
    passage.urls["dev_registry"] = NOTHING_LISTENS_THERE

    with pytest.raises(UnreachableError) as caught:
        await passage.run()

    error = caught.value
    assert error.subject.registry == "127.0.0.1:1"
    assert error.subject.repository == passage.source_repository
    assert error.advice == "Check host and port, and whether the registry runs."
    assert error.retryable
    assert "refuses the connection" in str(error)
    passage.urls["dev_registry"] = there
    await passage.completes(image)


async def test_a_source_that_answers_with_web_pages_is_no_registry(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    passage.source.on("GET", "/tags/list", WEB_PAGE, times=None)

    with pytest.raises(ProtocolViolationError) as caught:
        await passage.run()

    error = caught.value
    assert error.subject.registry == passage.source.host
    assert error.subject.repository == passage.source_repository
    assert error.status == 200
    assert "web page" in error.attempted
    assert error.advice
    await passage.completes(image)


async def test_a_gateways_web_page_is_waited_out(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    bad_gateway = Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"})
    passage.source.on("GET", "/tags/list", bad_gateway, times=2)
    passage.source.on("GET", f"/blobs/{layer_of(image)}", bad_gateway, times=2)

    report = await passage.run()

    assert report.problems == ()
    assert passage.visible() == {"1.4-stable": image.digest}
    assert len(passage.slept_s) == 4


async def test_a_gateways_web_page_that_stays_is_told_as_what_it_is(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    bad_gateway = Answer(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"})
    passage.source.on("GET", "/tags/list", bad_gateway, times=None)

    with pytest.raises(RegistryError) as caught:
        await passage.run()

    assert (caught.value.status, caught.value.retryable) == (502, True)
    await passage.completes(image)


async def test_a_repository_that_does_not_exist_is_told_by_name(passage: Passage) -> None:
    with pytest.raises(NotFoundError) as caught:
        await passage.run()

    error = caught.value
    assert error.subject.registry == passage.source.host
    assert error.subject.repository == passage.source_repository
    assert [code.code for code in error.codes] == ["NAME_UNKNOWN"]
    assert error.advice
    await passage.completes(passage.push("1.4-stable"))


async def test_a_source_that_does_not_let_us_read_one_image_gives_the_others(
    passage: Passage,
) -> None:
    denied = passage.push("1.4-stable")
    other = passage.push("1.5-stable")
    body = b'{"errors": [{"code": "DENIED", "message": "not for you"}]}'
    passage.source.on("GET", f"/blobs/{layer_of(denied)}", Answer(403, body), times=None)

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, DeniedError)
    assert error.subject.digest == layer_of(denied)
    assert "the registry said DENIED (not for you)" in str(error)
    assert error.advice
    assert passage.visible() == {"1.5-stable": other.digest}
    (problem,) = report.problems
    assert problem.startswith(f"{passage.source_repository}:1.4-stable failed (planned)")
    await passage.completes(denied, other)


async def test_a_digest_that_the_source_lies_about_when_listed_is_never_copied(
    passage: Passage,
) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    lie = sha256(b"a lie")
    passage.source.on(
        "HEAD", "/manifests/1.4-stable", ReplaceHeaders({"Docker-Content-Digest": lie}), times=None
    )

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, NotFoundError)
    assert error.subject.digest == lie
    assert [each.digest for each in report.in_state(State.FAILED)] == [lie]
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(Corrupt(at_byte=10), id="in the bytes"),
        pytest.param(
            ReplaceHeaders({"Docker-Content-Digest": sha256(b"a lie")}), id="in the header"
        ),
    ],
)
async def test_a_manifest_that_is_not_its_digests_is_never_copied(
    passage: Passage, lie: Fault
) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    passage.source.on("GET", f"/manifests/{image.digest}", lie, times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, ContentMismatchError)
    assert error.subject.registry == passage.source.host
    assert error.subject.repository == passage.source_repository
    assert image.digest in (error.expected, error.actual)
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Corrupt(at_byte=150_000), id="another byte"),
        pytest.param(Shorten(to_bytes=150_000), id="too short, said to be whole"),
    ],
)
async def test_a_blob_that_is_not_its_digests_never_arrives(passage: Passage, fault: Fault) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    passage.source.on("GET", f"/blobs/{layer_of(image)}", fault, times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, ContentMismatchError)
    assert error.subject.registry == passage.source.host
    assert error.subject.digest == layer_of(image)
    assert passage.visible() == {"1.5-stable": other.digest}
    with Onlooker(passage.qa.url) as target:
        assert not target.has_blob(passage.target_repository, layer_of(image))
    await passage.completes(image, other)


async def test_an_image_of_an_index_that_is_broken_leaves_nothing_visible(
    passage: Passage,
) -> None:
    index, other = passage.push_index("2.0-stable"), passage.push("1.5-stable")
    second = index.children[1]
    passage.source.on("GET", f"/blobs/{layer_of(second)}", Corrupt(), times=None)

    await passage.run()

    assert isinstance(error_of_the_only_failure(passage), ContentMismatchError)
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(index, other)


async def test_a_connection_lost_within_a_blob_is_made_again(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    passage.source.on("GET", f"/blobs/{layer_of(image)}", CutAnswer(after_bytes=100_000))

    report = await passage.run()

    assert report.problems == ()
    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert passage.visible() == {"1.4-stable": image.digest}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(CutAnswer(after_bytes=0), id="before the first byte"),
        pytest.param(Disconnect(), id="before an answer"),
    ],
)
async def test_a_connection_lost_again_and_again_fails_the_one_image(
    passage: Passage, fault: Fault
) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    passage.source.on("GET", f"/blobs/{layer_of(image)}", fault, times=None)

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, UnreachableError)
    assert error.retryable
    assert error.subject.registry == passage.source.host
    assert error.subject.digest == layer_of(image)
    assert f"the connection to {passage.source.host} broke" in str(error)
    (failed,) = report.in_state(State.FAILED)
    assert failed.failed_in is State.PLANNED
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)
    assert passage.states(failed) == [State.PLANNED, State.FAILED, *WAY]
