"""A target that sets a tag and does not say so: what can be seen there stands in the ledger."""

from __future__ import annotations

import pytest

from image_promotion.ledger.records import State
from sandbox.faults import Answer, Fault, LoseAnswer, Misreport, ReplaceHeaders
from tests.support.onlooker import Onlooker
from tests.support.passage import WAY, Passage

TAG = "1.4-stable"
LIE = {"Docker-Content-Digest": "sha256:" + "0" * 64}

LOST = [State.PLANNED, State.COPIED, State.FAILED]


def lose_all_answers(passage: Passage) -> None:
    """Let the target set the tag, and answer nobody who asks whether it did."""
    passage.target.on("PUT", f"/manifests/{TAG}", LoseAnswer(), times=None)
    # Evaluation and retag have looked once each before.
    passage.target.on("HEAD", f"/manifests/{TAG}", Answer(503), skip=2, times=None)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ReplaceHeaders(LIE), id="tells another digest"),
        pytest.param(LoseAnswer(), id="never answers"),
        pytest.param(Misreport(403), id="says that it may not be set"),
    ],
)
async def test_a_tag_that_is_set_is_recorded_whatever_the_registry_says(
    passage: Passage, answer: Fault
) -> None:
    image = passage.push(TAG)
    passage.target.on("PUT", f"/manifests/{TAG}", answer, times=None)

    report = await passage.run()

    assert report.problems == ()
    (promotion,) = report.verified
    assert passage.states(promotion) == WAY
    assert passage.visible() == {TAG: image.digest}


async def test_a_tag_that_is_seen_to_be_set_only_after_its_source_moved_is_recorded_then(
    passage: Passage,
) -> None:
    policy = passage.policy(existing_tag="overwrite")
    old = passage.push(TAG)
    lose_all_answers(passage)
    await passage.run(policy)
    (promotion,) = passage.promotions()
    assert passage.states(promotion) == LOST
    assert passage.visible() == {TAG: old.digest}
    new = passage.push(TAG, "newer")

    await passage.completes(new, policy=policy)

    seen = [State.COPIED, State.TAGGED, State.FAILED, State.SUPERSEDED]
    assert passage.states(promotion) == [*LOST, *seen]


async def test_a_tag_that_was_not_set_after_all_is_given_up_when_its_source_moved(
    passage: Passage,
) -> None:
    passage.push(TAG)
    passage.target.on("PUT", f"/manifests/{TAG}", Answer(503), times=None)
    await passage.run()
    (promotion,) = passage.promotions()
    new = passage.push(TAG, "newer")

    await passage.completes(new)

    assert passage.states(promotion) == [*LOST, State.SUPERSEDED]


async def test_what_cannot_be_looked_at_yet_is_looked_at_by_the_run_after(
    passage: Passage,
) -> None:
    image = passage.push(TAG)
    lose_all_answers(passage)
    await passage.run()
    (promotion,) = passage.promotions()
    with Onlooker(passage.dev.url) as source:
        source.delete_tag(passage.source_repository, TAG)

    await passage.run()
    assert passage.states(promotion) == LOST
    await passage.completes(image)

    assert passage.states(promotion)[-3:] == [State.TAGGED, State.FAILED, State.SUPERSEDED]
