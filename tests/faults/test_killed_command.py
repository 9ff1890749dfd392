"""`promotion run` killed at its worst moments: content before tag, and one promotion in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from image_promotion.ledger.records import State
from sandbox.fault_proxy import FaultProxy
from sandbox.faults import Hold
from sandbox.image_layers import sha256
from sandbox.image_pusher import PushedImage
from tests.support.command import PromotionCommand
from tests.support.onlooker import Watch
from tests.support.passage import WAY, Passage

TAG = "1.4-stable"


@dataclass(frozen=True)
class Moment:
    """When the process is killed.

    Attributes:
        method: Of the request it has just made, which is held.
        target: A pattern of what that request asks for; `LAYER` stands for the digest of one.
        registry: The one it asks.
        hold: Where in the request.
        stands: How the promotion stands in the ledger then.
        is_tagged: Whether the target tag is set then.
    """

    method: str
    target: str
    registry: Callable[[Passage], FaultProxy]
    hold: Callable[[], Hold]
    stands: State
    is_tagged: bool


def at_source(passage: Passage) -> FaultProxy:
    return passage.source


def at_target(passage: Passage) -> FaultProxy:
    return passage.target


def within_the_blob() -> Hold:
    return Hold(after_bytes=100_000)


def when_it_is_done() -> Hold:
    return Hold(at_answer=True)


MOMENTS = {
    "planned, before any copy": Moment(
        "GET", "/manifests/sha256:", at_source, Hold, State.PLANNED, is_tagged=False
    ),
    "within a blob that is read": Moment(
        "PUT", "/uploads/.*LAYER", at_target, within_the_blob, State.PLANNED, is_tagged=False
    ),
    "when the manifest is there and the ledger does not know": Moment(
        "PUT", "/manifests/sha256:", at_target, when_it_is_done, State.PLANNED, is_tagged=False
    ),
    "between copy and retag": Moment(
        "PUT", f"/manifests/{TAG}", at_target, Hold, State.COPIED, is_tagged=False
    ),
    "when the tag is set and the ledger does not know": Moment(
        "PUT", f"/manifests/{TAG}", at_target, when_it_is_done, State.COPIED, is_tagged=True
    ),
    "between retag and verify": Moment(
        "GET", f"/manifests/{TAG}", at_target, Hold, State.TAGGED, is_tagged=True
    ),
}


def hold_at(moment: Moment, passage: Passage, image: PushedImage) -> Hold:
    """Plan that the first request of a moment is held."""
    hold = moment.hold()
    target = moment.target.replace("LAYER", image.children[0].blobs[1].digest)
    moment.registry(passage).on(moment.method, target, hold)
    return hold


def prepare(passage: Passage) -> PushedImage:
    passage.push("1.5-rc1")
    return passage.push_index(TAG)


@pytest.mark.parametrize(
    "name",
    ["within a blob that is read", "between copy and retag", "between retag and verify"],
)
def test_killed_between_any_two_stages_it_is_completed_by_the_next_run_and_promotes_once(
    passage: Passage, ledger_url: str, tmp_path: Path, name: str
) -> None:
    moment = MOMENTS[name]
    image = prepare(passage)
    hold = hold_at(moment, passage, image)

    with Watch(passage.qa.url, passage.target_repository) as watch:
        with PromotionCommand(passage, ledger_url, tmp_path) as first:
            first.reach(hold)
            first.kill()
        (promotion,) = passage.promotions()
        assert promotion.state is moment.stands
        assert passage.visible() == ({TAG: image.digest} if moment.is_tagged else {})
        # What was on its way when the process died may still arrive; it must do no harm.
        hold.release()
        with PromotionCommand(passage, ledger_url, tmp_path) as second:
            assert second.wait() == 0, second.output

    (promotion,) = passage.promotions()
    assert promotion.digest == image.digest
    assert passage.states(promotion) == WAY
    assert passage.visible() == {TAG: image.digest}
    assert [each for each in watch.seen if each] == [{TAG: image.digest}]


def test_killed_at_each_of_these_moments_it_is_completed_by_the_last_run_and_promotes_once(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    image = prepare(passage)

    with Watch(passage.qa.url, passage.target_repository) as watch:
        for moment in MOMENTS.values():
            hold = hold_at(moment, passage, image)
            with PromotionCommand(passage, ledger_url, tmp_path) as command:
                command.reach(hold)
                command.kill()
            hold.drop()
            (promotion,) = passage.promotions()
            assert promotion.state is moment.stands
        with PromotionCommand(passage, ledger_url, tmp_path) as last:
            assert last.wait() == 0, last.output

    (promotion,) = passage.promotions()
    assert passage.states(promotion) == WAY
    assert [each for each in watch.seen if each] == [{TAG: image.digest}]


def test_killed_at_each_of_these_moments_a_selection_of_platforms_arrives_once_as_it_was_decided(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    passage.platforms = ["linux/amd64"]
    image = prepare(passage)
    document = json.loads(image.manifest)
    document["manifests"] = document["manifests"][:1]
    selection = sha256(json.dumps(document, separators=(",", ":")).encode())
    # The index is read to decide about it, so the first reading comes before the plan.
    moments = [each for name, each in MOMENTS.items() if name != "planned, before any copy"]

    with Watch(passage.qa.url, passage.target_repository) as watch:
        for moment in moments:
            hold = hold_at(moment, passage, image)
            with PromotionCommand(passage, ledger_url, tmp_path) as command:
                hold.wait()
                command.kill()
            hold.drop()
            (promotion,) = passage.promotions()
            assert promotion.state is moment.stands
            assert (promotion.digest, promotion.target_digest) == (image.digest, selection)
        with PromotionCommand(passage, ledger_url, tmp_path) as last:
            assert last.wait() == 0, last.output

    (promotion,) = passage.promotions()
    assert passage.states(promotion) == WAY
    assert [each for each in watch.seen if each] == [{TAG: selection}]


@pytest.mark.parametrize(
    "moment",
    ["within a blob that is read", "when the tag is set and the ledger does not know"],
)
def test_of_two_runs_at_once_the_second_finishes_what_the_first_began_and_neither_repeats_it(
    passage: Passage, ledger_url: str, tmp_path: Path, moment: str
) -> None:
    image = prepare(passage)
    hold = hold_at(MOMENTS[moment], passage, image)
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()

    with (
        Watch(passage.qa.url, passage.target_repository) as watch,
        PromotionCommand(passage, ledger_url, folders[0]) as first,
    ):
        first.reach(hold)
        with PromotionCommand(passage, ledger_url, folders[1]) as second:
            assert second.wait() == 0, second.output
        hold.release()
        assert first.wait() == 0, first.output

    (promotion,) = passage.promotions()
    assert passage.states(promotion) == WAY
    assert passage.visible() == {TAG: image.digest}
    assert [each for each in watch.seen if each] == [{TAG: image.digest}]


def test_two_runs_that_begin_together_promote_each_image_once(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    images = [passage.push(f"1.{number}-stable") for number in range(6)]
    hold = Hold()  # both list the tags before either goes on
    passage.source.on("GET", "/tags/list", hold, times=2)
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()

    with (
        Watch(passage.qa.url, passage.target_repository),
        PromotionCommand(passage, ledger_url, folders[0]) as first,
        PromotionCommand(passage, ledger_url, folders[1]) as second,
    ):
        first.reach(hold)
        second.reach(hold)
        hold.release()
        assert (first.wait(), second.wait()) == (0, 0), first.output + second.output

    promotions = passage.promotions()
    assert sorted(each.source_tag for each in promotions) == [image.tag for image in images]
    for promotion in promotions:
        assert passage.states(promotion) == WAY
    assert passage.visible() == {image.tag: image.digest for image in images}
