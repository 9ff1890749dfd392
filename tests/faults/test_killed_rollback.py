"""`promotion rollback` and `promotion retention` killed at their worst moments, and repeated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from image_promotion.ledger.records import Kind, Promotion, State
from image_promotion.policy.model import Policy
from sandbox.faults import Hold
from tests.support.command import PromotionCommand
from tests.support.onlooker import Onlooker, Watch
from tests.support.passage import WAY, Passage

TAG = "stable"


@dataclass(frozen=True)
class Moment:
    """When the process is killed: at which request to the target, and how all stands then."""

    method: str
    target: str
    at_answer: bool
    stands: State
    is_set_back: bool


MOMENTS = {
    "before the tag is set": Moment(
        "PUT", f"/manifests/{TAG}", at_answer=False, stands=State.COPIED, is_set_back=False
    ),
    "when the tag is set and the ledger does not know": Moment(
        "PUT", f"/manifests/{TAG}", at_answer=True, stands=State.COPIED, is_set_back=True
    ),
    "before it is verified": Moment(
        "GET", f"/manifests/{TAG}", at_answer=False, stands=State.TAGGED, is_set_back=True
    ),
}


def moving(passage: Passage) -> Policy:
    return passage.policy(tag=TAG, existing_tag="overwrite")


async def promote_two(passage: Passage) -> tuple[str, str]:
    """Promote one image after another under one tag; return their digests."""
    first = passage.push("1-stable")
    assert (await passage.run(moving(passage))).problems == ()
    with Onlooker(passage.dev.url) as source:
        source.delete_tag(passage.source_repository, "1-stable")
    second = passage.push("2-stable")
    assert (await passage.run(moving(passage))).problems == ()
    return first.digest, second.digest


def rollbacks(passage: Passage) -> list[Promotion]:
    """Give the rollbacks that the ledger has, each once."""
    found = {each.id: each for each in passage.promotions() if each.kind is Kind.ROLLBACK}
    return list(found.values())


def command(passage: Passage, ledger_url: str, folder: Path) -> PromotionCommand:
    return PromotionCommand(
        passage,
        ledger_url,
        folder,
        verb="rollback",
        more=["--tag", TAG, "--reason", "it crashes"],
        policy=moving(passage),
    )


@pytest.mark.parametrize("name", MOMENTS)
async def test_a_killed_rollback_is_completed_when_it_is_asked_for_again_and_happens_once(
    passage: Passage, ledger_url: str, tmp_path: Path, name: str
) -> None:
    moment = MOMENTS[name]
    first, second = await promote_two(passage)
    hold = Hold(at_answer=moment.at_answer)
    passage.target.on(moment.method, moment.target, hold)

    with Watch(passage.qa.url, passage.target_repository) as watch:
        with command(passage, ledger_url, tmp_path) as killed:
            killed.reach(hold)
            killed.kill()
        (rollback,) = rollbacks(passage)
        assert rollback.state is moment.stands
        assert passage.visible() == {TAG: first if moment.is_set_back else second}
        hold.release()
        with command(passage, ledger_url, tmp_path) as again:
            assert again.wait() == 0, again.output
        watch.wait_for_looks(1)

    (rollback,) = rollbacks(passage)
    assert passage.states(rollback) == WAY
    assert (rollback.former_digest, rollback.target_digest) == (second, first)
    assert passage.visible() == {TAG: first}
    assert [each[TAG] for each in watch.seen if each] in ([second, first], [first])


async def test_a_killed_retention_is_completed_by_the_next_and_the_ledger_knows(
    passage: Passage, ledger_url: str, tmp_path: Path
) -> None:
    keeping = Policy.model_validate(
        {**passage.policy().model_dump(by_alias=True, exclude_none=True, mode="json")}
        | {"retention": {"keep_newest": 1, "mode": "remove"}}
    )
    passage.push("1-stable")
    await passage.run(keeping)
    newest = passage.push("2-stable")
    await passage.run(keeping)
    hold = Hold(at_answer=True)
    passage.target.on("DELETE", "/manifests/sha256:", hold)

    with PromotionCommand(
        passage, ledger_url, tmp_path, verb="retention", policy=keeping
    ) as killed:
        killed.reach(hold)
        killed.kill()
    hold.drop()
    assert passage.visible() == {"2-stable": newest.digest}
    (eldest,) = {each.id for each in passage.promotions() if each.source_tag == "1-stable"}
    assert passage.ledger.removals.begun([eldest]) == {eldest}
    with PromotionCommand(passage, ledger_url, tmp_path, verb="retention", policy=keeping) as again:
        assert again.wait() == 0, again.output

    assert passage.visible() == {"2-stable": newest.digest}
    assert passage.ledger.removals.removed([eldest]) == {eldest}
