"""What the target does wrong: nothing half visible under a tag, and a later run completes."""

from __future__ import annotations

import pytest

from image_promotion.errors import (
    AuthenticationError,
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    PromotionError,
    ProtocolViolationError,
    RegistryError,
    UnreachableError,
    VerificationError,
)
from image_promotion.ledger.records import State
from image_promotion.registry.retry import DEFAULT_RULES
from sandbox.faults import Answer, CutRequest, Disconnect, Fault, LoseAnswer, ReplaceHeaders
from sandbox.image_layers import sha256
from sandbox.image_pusher import PushedImage
from tests.support.onlooker import Watch
from tests.support.passage import WAY, Passage

NOTHING_LISTENS_THERE = "http://127.0.0.1:1"
WEB_PAGE = Answer(200, b"<html>welcome</html>", {"Content-Type": "text/html"})
LOGIN = {"WWW-Authenticate": 'Basic realm="somewhere"'}
LIE = sha256(b"a lie")


def error_of_the_only_failure(passage: Passage) -> PromotionError:
    (error,) = passage.errors
    return error


def upload_of(image: PushedImage) -> str:
    """What the PUT of the image's larger layer matches."""
    return f"uploads/.*{image.blobs[1].digest}"


async def test_a_target_that_is_down_ends_the_run_and_the_next_one_completes(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    there = passage.urls["qa_registry"]
    passage.urls["qa_registry"] = NOTHING_LISTENS_THERE

    with pytest.raises(UnreachableError) as caught:
        await passage.run()

    assert caught.value.subject.registry == "127.0.0.1:1"
    assert caught.value.subject.repository == passage.target_repository
    assert caught.value.subject.tag == "1.4-stable"
    assert caught.value.advice
    passage.urls["qa_registry"] = there
    await passage.completes(image)


async def test_a_target_that_goes_down_within_a_run_fails_what_had_not_arrived(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("POST", "/uploads/", Disconnect(), times=None)

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, UnreachableError)
    assert error.subject.registry == passage.target.host
    assert error.subject.repository == passage.target_repository
    assert [each.failed_in for each in report.promotions] == [State.PLANNED]
    assert passage.visible() == {}
    await passage.completes(image)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, AuthenticationError, "was answered 401"),
        (403, DeniedError, "was answered 403; the registry said DENIED (go away)"),
    ],
)
async def test_a_target_that_does_not_let_us_write_is_asked_once_and_told_with_advice(
    passage: Passage, status: int, kind: type[PromotionError], told: str
) -> None:
    image = passage.push("1.4-stable")
    body = b'{"errors": [{"code": "DENIED", "message": "go away"}]}'
    passage.target.on("POST", "/uploads/", Answer(status, body, LOGIN), times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert type(error) is kind
    assert error.subject.registry == passage.target.host
    assert error.subject.repository == passage.target_repository
    assert told in str(error)
    assert error.advice
    assert not passage.slept_s
    assert passage.visible() == {}
    await passage.completes(image)


async def test_a_target_that_makes_no_repositories_by_itself_is_told_with_advice(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    body = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "repository name not known"}]}'
    passage.target.on("POST", "/uploads/", Answer(404, body), times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, NotFoundError)
    assert error.subject.repository == passage.target_repository
    assert error.advice
    assert passage.visible() == {}
    await passage.completes(image)


async def test_a_target_that_answers_uploads_with_web_pages_is_no_registry(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("POST", "/uploads/", WEB_PAGE, times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, ProtocolViolationError)
    assert (error.status, error.subject.registry) == (200, passage.target.host)
    assert passage.visible() == {}
    await passage.completes(image)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(CutRequest(after_bytes=100_000), id="within the blob"),
        pytest.param(LoseAnswer(), id="after the blob"),
        pytest.param(Answer(500, b"{}"), id="and answers 500"),
    ],
)
async def test_an_upload_that_breaks_is_made_again(passage: Passage, fault: Fault) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("PUT", upload_of(image), fault)

    report = await passage.run()

    assert report.problems == ()
    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_uploads_that_break_again_and_again_fail_the_one_image(passage: Passage) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    passage.target.on("PUT", upload_of(image), CutRequest(after_bytes=100_000), times=None)

    with Watch(passage.qa.url, passage.target_repository):
        report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, UnreachableError)
    assert error.subject.registry == passage.target.host
    assert error.subject.digest == image.blobs[1].digest
    assert error.method == "PUT"
    assert "_state=***" in error.url
    (failed,) = report.in_state(State.FAILED)
    assert failed.error == str(error)
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


async def test_a_request_that_fails_for_good_is_not_repeated_by_every_layer_of_the_client(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("POST", "/uploads/", Answer(500, b"{}"), times=None)

    await passage.run()

    assert isinstance(error_of_the_only_failure(passage), RegistryError)
    begun = [each for each in passage.target.exchanges if each.method == "POST"]
    assert len(begun) <= DEFAULT_RULES.attempts * len(image.blobs)
    await passage.completes(image)


@pytest.mark.parametrize("reference", ["sha256:", "1.4-stable"])
async def test_a_manifest_whose_answer_is_lost_is_put_again(
    passage: Passage, reference: str
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on("PUT", f"/manifests/{reference}", LoseAnswer())

    report = await passage.run()

    assert report.problems == ()
    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_a_manifest_that_the_target_does_not_take_is_under_no_tag(passage: Passage) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    body = b'{"errors": [{"code": "MANIFEST_INVALID", "message": "not to my taste"}]}'
    passage.target.on("PUT", f"/manifests/{image.digest}", Answer(400, body), times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, RegistryError)
    assert error.subject.digest == image.digest
    assert [each.code for each in error.codes] == ["MANIFEST_INVALID"]
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


async def test_a_manifest_is_put_again_while_the_target_loses_sight_of_its_blobs(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    body = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]}'
    passage.target.on("PUT", f"/manifests/{image.digest}", Answer(400, body), times=2)

    report = await passage.run()

    assert report.problems == ()
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_a_tag_that_the_target_does_not_set_leaves_the_image_untagged(
    passage: Passage,
) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")
    body = b'{"errors": [{"code": "DENIED", "message": "the tag is immutable"}]}'
    passage.target.on("PUT", "/manifests/1.4-stable", Answer(403, body), times=None)

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, DeniedError)
    assert error.subject.tag == "1.4-stable"
    assert "the tag is immutable" in str(error)
    (failed,) = report.in_state(State.FAILED)
    assert failed.failed_in is State.COPIED
    assert passage.visible() == {"1.5-stable": other.digest}
    await passage.completes(image, other)


async def test_a_target_that_takes_a_manifest_and_tells_another_digest_is_not_believed(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    passage.target.on(
        "PUT", f"/manifests/{image.digest}", ReplaceHeaders({"Docker-Content-Digest": LIE})
    )

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, ContentMismatchError)
    assert (error.expected, error.actual) == (image.digest, LIE)
    assert passage.visible() == {}
    await passage.completes(image)


async def test_a_blob_that_the_target_claims_in_another_size_is_not_taken_for_there(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    layer = image.blobs[1].digest
    claim = Answer(200, b"x" * 17)
    passage.target.on("HEAD", f"/blobs/{layer}", claim, times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, ContentMismatchError)
    assert error.actual == "17 bytes"
    assert passage.visible() == {}
    await passage.completes(image)


async def test_a_blob_that_the_target_only_claims_to_have_never_gets_a_tag(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    layer = image.blobs[1]
    claim = Answer(200, b"x" * layer.size_bytes)  # a HEAD: only its length is seen
    passage.target.on("HEAD", f"/blobs/{layer.digest}", claim, times=None)

    await passage.run()

    assert isinstance(error_of_the_only_failure(passage), RegistryError)
    assert passage.visible() == {}
    await passage.completes(image)


async def test_verification_finds_a_blob_that_was_lost_after_the_copy(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    layer = image.blobs[1].digest
    # The first HEAD is the copy's, the second the verification's.
    passage.target.on("HEAD", f"/blobs/{layer}", Answer(404), skip=1, times=None)

    report = await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, VerificationError)
    assert error.problems == (f"blob {layer} is missing",)
    assert error.subject.tag == "1.4-stable"
    (failed,) = report.in_state(State.FAILED)
    assert failed.failed_in is State.TAGGED
    await passage.completes(image)


async def test_verification_finds_a_tag_that_points_elsewhere(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    elsewhere = passage.occupy("other")
    there = Answer(
        200,
        passage.read_target("other"),
        {"Content-Type": image.media_type, "Docker-Content-Digest": elsewhere},
    )
    passage.target.on("GET", "/manifests/1.4-stable", there, times=None)

    await passage.run()

    error = error_of_the_only_failure(passage)
    assert isinstance(error, VerificationError)
    assert error.problems == (f"the tag points at {elsewhere}",)


async def test_no_fault_of_a_run_full_of_them_makes_anything_half_visible(
    passage: Passage,
) -> None:
    images = [passage.push(f"1.{number}-stable") for number in range(3)]
    index = passage.push_index("2.0-stable")
    for number, image in enumerate(images):
        passage.source.on("GET", f"/blobs/{image.blobs[1].digest}", Disconnect(), times=number)
        passage.target.on("PUT", upload_of(image), CutRequest(10_000 * number), times=number)
        passage.target.on("PUT", f"/manifests/{image.digest}", LoseAnswer())
    passage.target.on("PUT", f"/manifests/{index.children[0].digest}", Answer(503))

    with Watch(passage.qa.url, passage.target_repository) as watch:
        report = await passage.run()

    assert report.problems == ()
    assert passage.visible() == {image.tag: image.digest for image in (*images, index)}
    assert watch.looks > 1
