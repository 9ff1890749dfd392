"""Tags that move, tags that are taken, tags that two images want."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from image_promotion.errors import TagConflictError
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.reporting import RunReport
from sandbox.faults import Hold
from sandbox.image_pusher import PushedImage
from tests.support.onlooker import Onlooker, Watch
from tests.support.passage import WAY, Passage


@asynccontextmanager
async def while_it_is_copied(
    passage: Passage, image: PushedImage, policy: Policy | None = None
) -> AsyncIterator[Callable[[], RunReport]]:
    """Run the policy, and enter when it has decided and reads the image's layer.

    Gives a function that gives the report, to be called afterwards.
    """
    hold = Hold()
    passage.source.on("GET", f"/blobs/{image.blobs[1].digest}", hold)
    running = asyncio.create_task(passage.run(policy))
    try:
        await asyncio.to_thread(hold.wait)
        yield running.result
    finally:
        hold.release()
        await running


def nothing_was_copied(passage: Passage) -> bool:
    """Whether no content moved: no blob was read at the source, nothing written at the target."""
    read = [each for each in passage.source.exchanges if "/blobs/" in each.target]
    written = [each for each in passage.target.exchanges if each.method not in {"GET", "HEAD"}]
    return not read and not written


async def test_a_tag_that_moves_after_the_decision_is_superseded_and_its_new_image_comes_next(
    passage: Passage,
) -> None:
    image, other = passage.push("1.4-stable"), passage.push("1.5-stable")

    async with while_it_is_copied(passage, image) as report_of:
        moved = passage.push("1.4-stable", "built again")

    report = report_of()
    assert report.problems == ()
    (superseded,) = report.in_state(State.SUPERSEDED)
    assert superseded.digest == image.digest
    assert passage.transitions(superseded)[-1].detail == f"the source tag moved to {moved.digest}"
    assert passage.visible() == {"1.5-stable": other.digest}
    assert not any("/manifests/1.4-stable" in line for line in puts(passage))
    await passage.completes(moved, other)


async def test_a_tag_that_is_deleted_after_the_decision_is_superseded(passage: Passage) -> None:
    image = passage.push("1.4-stable")

    async with while_it_is_copied(passage, image) as report_of:
        with Onlooker(passage.dev.url) as source:
            source.delete_tag(passage.source_repository, "1.4-stable")

    report = report_of()
    (superseded,) = report.in_state(State.SUPERSEDED)
    assert passage.transitions(superseded)[-1].detail == "the source tag was deleted"
    assert passage.visible() == {}
    await passage.completes()


async def test_a_taken_target_tag_is_a_conflict_before_anything_is_copied(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    taken = passage.occupy("1.4-stable")

    report = await passage.run(passage.policy(existing_tag="fail"))

    assert report.decided == {Outcome.CONFLICT: 1}
    (problem,) = report.problems
    assert f"{passage.target_repository}:1.4-stable" in problem
    assert f"holds {taken}; existing_tag: fail" in problem
    assert nothing_was_copied(passage)
    assert passage.visible() == {"1.4-stable": taken}
    with Onlooker(passage.qa.url) as target:
        target.delete_tag(passage.target_repository, "1.4-stable")
    await passage.completes(image)


async def test_a_taken_target_tag_holds_nobody_else_up(passage: Passage) -> None:
    passage.push("1.4-stable")
    other = passage.push("1.5-stable")
    taken = passage.occupy("1.4-stable")

    report = await passage.run()

    assert report.decided == {Outcome.CONFLICT: 1, Outcome.PROMOTE: 1}
    assert passage.visible() == {"1.4-stable": taken, "1.5-stable": other.digest}


async def test_a_taken_target_tag_can_be_left_alone(passage: Passage) -> None:
    passage.push("1.4-stable")
    taken = passage.occupy("1.4-stable")

    report = await passage.run(passage.policy(existing_tag="skip"))

    assert report.decided == {Outcome.REJECT: 1}
    assert report.problems == ()
    assert nothing_was_copied(passage)
    assert passage.visible() == {"1.4-stable": taken}


async def test_a_taken_target_tag_can_be_moved(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    passage.occupy("1.4-stable")

    with Watch(passage.qa.url, passage.target_repository):
        report = await passage.run(passage.policy(existing_tag="overwrite"))

    assert report.problems == ()
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_a_target_tag_that_holds_the_image_already_is_simply_verified(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    await passage.run()
    passage.target.forget()
    renamed = passage.policy().model_copy(update={"name": f"again{passage.number}"})

    report = await passage.run(renamed)

    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert puts(passage) == []
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_a_target_tag_taken_after_the_decision_fails_the_promotion(passage: Passage) -> None:
    image = passage.push("1.4-stable")
    policy = passage.policy(existing_tag="fail")

    async with while_it_is_copied(passage, image, policy) as report_of:
        taken = passage.occupy("1.4-stable")

    (error,) = passage.errors
    assert isinstance(error, TagConflictError)
    assert error.held_digest == taken
    assert error.subject.repository == passage.target_repository
    assert error.subject.tag == "1.4-stable"
    assert error.subject.digest == image.digest
    assert error.advice
    assert not error.retryable
    assert [each.failed_in for each in report_of().promotions] == [State.COPIED]
    assert passage.visible() == {"1.4-stable": taken}
    with Onlooker(passage.qa.url) as target:
        target.delete_tag(passage.target_repository, "1.4-stable")
    await passage.completes(image, policy=policy)


async def test_a_target_tag_taken_after_the_decision_is_left_alone_by_skip(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    policy = passage.policy(existing_tag="skip")

    async with while_it_is_copied(passage, image, policy) as report_of:
        taken = passage.occupy("1.4-stable")

    assert report_of().problems == ()
    assert [each.state for each in report_of().promotions] == [State.SUPERSEDED]
    assert passage.visible() == {"1.4-stable": taken}


async def test_a_target_tag_taken_after_the_decision_is_moved_by_overwrite(
    passage: Passage,
) -> None:
    image = passage.push("1.4-stable")
    policy = passage.policy(existing_tag="overwrite")

    async with while_it_is_copied(passage, image, policy) as report_of:
        taken = passage.occupy("1.4-stable")

    (promotion,) = report_of().verified
    tagged = passage.transitions(promotion)[2]
    assert f"which held {taken}" in tagged.detail
    assert passage.visible() == {"1.4-stable": image.digest}


async def test_two_images_that_want_one_target_tag_are_a_conflict_and_the_others_go_over(
    passage: Passage,
) -> None:
    stable, gold = passage.push("1.4-stable"), passage.push("1.4-gold")
    other = passage.push("1.5-gold")
    policy = passage.policy(
        triggers=[{"tag": {"matches": r"([0-9.]+)-(?:stable|gold)"}}], tag="%{1}"
    )

    report = await passage.run(policy)

    assert report.decided == {Outcome.CONFLICT: 2, Outcome.PROMOTE: 1}
    one, two = report.problems
    wanted = f"target tag {passage.target_repository}:1.4 also wanted by"
    assert wanted in one
    assert wanted in two
    assert passage.visible() == {"1.5": other.digest}
    read = " ".join(passage.source.lines())
    assert stable.blobs[1].digest not in read
    assert gold.blobs[1].digest not in read
    with Onlooker(passage.dev.url) as source:
        source.delete_tag(passage.source_repository, "1.4-gold")
    assert (await passage.run(policy)).problems == ()
    assert passage.visible() == {"1.4": stable.digest, "1.5": other.digest}


def puts(passage: Passage) -> list[str]:
    """The requests that set manifests in the target."""
    return [each.line for each in passage.target.exchanges if each.method == "PUT"]
