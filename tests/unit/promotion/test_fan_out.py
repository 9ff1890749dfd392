"""One decision, several targets and tags, each a promotion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from image_promotion.errors import PromotionError, UnreachableError
from image_promotion.ledger.records import Outcome
from image_promotion.policy.model import Policy
from image_promotion.promotion.batches import Stage, divide
from image_promotion.promotion.planning import plan
from image_promotion.promotion.reporting import RunReport
from image_promotion.registry.descriptor import Descriptor
from image_promotion.registry.digest import Digest
from tests.support.memory_store import MemoryStore
from tests.support.promotions import promotion_of
from tests.unit.promotion.conftest import World, policy_of

REPOSITORY = "prod/website"
EAST = {"connection": "east", "repository": REPOSITORY, "tag": ["%n", "latest"]}
WEST = {"connection": "west", "repository": REPOSITORY}


def fan_out(*targets: Mapping[str, object], **changes: object) -> Policy:
    document = policy_of(**changes).model_dump(mode="json", by_alias=True, exclude_none=True)
    document.pop("target")
    return Policy.model_validate({**document, "targets": [*targets] or [EAST, WEST]})


class Target(MemoryStore):
    """A target that may be down: then nothing that is asked of it is answered."""

    is_down = False

    async def resolve(self, repository: str, tag: str) -> Descriptor | None:
        await self._happens("resolve", Digest.of(b""))
        return await super().resolve(repository, tag)

    async def _happens(self, action: str, digest: Digest) -> None:
        if self.is_down:
            raise UnreachableError("nobody answers")
        await super()._happens(action, digest)


@pytest.fixture
def world(world: World) -> World:
    for name in ("east", "west"):
        world.more_targets[name] = Target(name, name)
    return world


async def run(world: World, policy: Policy) -> RunReport:
    """Do a whole run, in which single images may fail."""
    begun, evaluation = await world.decide(policy)
    for batch in divide(evaluation.promotions, most=50):
        for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
            try:
                await world.carry_out(stage, begun, *batch.promotion_ids)
            except PromotionError:
                continue
    return world.report(begun)


def tags(world: World, name: str) -> dict[str, str]:
    found = world.more_targets[name].tags.get(REPOSITORY, {})
    return {tag: str(digest) for tag, digest in found.items()}


def standing(world: World) -> dict[str, str]:
    """Return the state of each promotion, by registry and tag."""
    return {
        f"{done.target_registry}:{done.target_tag}": str(done.state)
        for entry in world.ledger.standings("website-stable-to-qa")
        if (done := entry.promotion)
    }


async def rows(world: World, policy: Policy) -> list[tuple[str, str, str, str, str]]:
    """Return the plan: tag, connection, target tag, decision, state."""
    planned = await plan(
        policy,
        source=world.source,
        target_of=world.target_of,
        ledger=world.ledger,
        now=world.now,
    )
    return [
        (
            row.tag,
            row.target_connection,
            row.target.tag if row.target else "",
            str(row.outcome),
            str(row.promotion.state) if row.promotion else "",
        )
        for row in planned
    ]


def target(world: World, name: str) -> Target:
    found = world.more_targets[name]
    assert isinstance(found, Target)
    return found


async def test_an_image_gets_each_tag_of_each_target_by_one_decision(world: World) -> None:
    digest = str(world.push("1-stable", "one"))

    report = await run(world, fan_out())

    assert report.problems == ()
    assert tags(world, "east") == {"1-stable": digest, "latest": digest}
    assert tags(world, "west") == {"1-stable": digest}
    entries = world.ledger.history()
    assert len(entries) == 3
    assert len({entry.decision.id for entry in entries}) == 1
    assert report.decided[Outcome.PROMOTE] == 1
    assert await rows(world, fan_out()) == [
        ("1-stable", "east", "1-stable", "promote", "verified"),
        ("1-stable", "east", "latest", "promote", "verified"),
        ("1-stable", "west", "1-stable", "promote", "verified"),
    ]
    again = await run(world, fan_out())
    assert again.promotions == ()


async def test_a_target_that_does_not_answer_leaves_the_others_done(world: World) -> None:
    digest = str(world.push("1-stable", "one"))
    target(world, "west").is_down = True

    report = await run(world, fan_out())

    assert tags(world, "east") == {"1-stable": digest, "latest": digest}
    assert standing(world) == {
        "east:1-stable": "verified",
        "east:latest": "verified",
        "west:1-stable": "failed",
    }
    (problem,) = report.problems
    assert "nobody answers" in problem

    target(world, "west").is_down = False
    before = len(world.more_targets["east"].events)
    report = await run(world, fan_out())

    assert report.problems == ()
    assert tags(world, "west") == {"1-stable": digest}
    assert [each.target_connection for each in report.promotions if each.seconds is not None]
    writes = [
        event for event in world.more_targets["east"].events[before:] if "put" in event.action
    ]
    assert writes == []


async def test_when_no_target_answers_nothing_is_decided(world: World) -> None:
    world.push("1-stable", "one")
    target(world, "east").is_down = True
    target(world, "west").is_down = True

    with pytest.raises(UnreachableError):
        await world.decide(fan_out())

    assert world.ledger.history() == ()


async def test_a_conflict_at_one_target_is_told_and_the_others_get_the_image(
    world: World,
) -> None:
    digest = str(world.push("1-stable", "one"))
    other = _occupy(world, "west", "1-stable")

    report = await run(world, fan_out())

    assert report.decided[Outcome.CONFLICT] == 1
    assert len(report.problems) == 1
    assert other in report.problems[0]
    assert tags(world, "east") == {"1-stable": digest, "latest": digest}
    assert tags(world, "west") == {"1-stable": other}
    assert await rows(world, fan_out()) == [
        ("1-stable", "east", "1-stable", "promote", "verified"),
        ("1-stable", "east", "latest", "promote", "verified"),
        ("1-stable", "west", "1-stable", "conflict", ""),
    ]
    del world.more_targets["west"].tags[REPOSITORY]["1-stable"]
    report = await run(world, fan_out())
    assert report.problems == ()
    assert tags(world, "west") == {"1-stable": digest}


async def test_a_target_that_is_to_be_skipped_is_left_out_with_the_reason(world: World) -> None:
    digest = str(world.push("1-stable", "one"))
    other = _occupy(world, "west", "1-stable")
    policy = fan_out(EAST, {**WEST, "existing_tag": "skip"})

    report = await run(world, policy)

    assert (report.problems, report.decided[Outcome.PROMOTE]) == ((), 1)
    assert tags(world, "east") == {"1-stable": digest, "latest": digest}
    assert tags(world, "west") == {"1-stable": other}
    (entry, *_) = world.ledger.history()
    assert f"holds {other}; existing_tag: skip" in entry.decision.reasons[-1].found
    assert (await run(world, policy)).promotions == ()


async def test_a_tag_that_moves_on_is_not_taken_back_while_another_target_is_in_conflict(
    world: World,
) -> None:
    policy = fan_out({**EAST, "existing_tag": "overwrite"}, WEST)
    world.push("1-stable", "one")
    _occupy(world, "west", "1-stable")
    await run(world, policy)
    second = str(world.push("2-stable", "two"))

    for _ in range(2):
        await run(world, policy)

    assert tags(world, "east")["latest"] == second


async def test_a_target_that_is_added_gets_what_the_others_have(world: World) -> None:
    digest = str(world.push("1-stable", "one"))
    await run(world, fan_out(EAST))

    await run(world, fan_out(EAST, WEST))

    assert tags(world, "west") == {"1-stable": digest}
    entries = world.ledger.history()
    assert [len(entry.decision.promotion_ids) for entry in entries] == [3, 3, 3, 2, 2]


async def test_images_are_counted_and_not_their_targets(world: World) -> None:
    for number in range(3):
        world.push(f"{number}-stable", str(number))
    policy = fan_out({**EAST, "tag": ["%n", "also-%n"]}, WEST, limits={"images_per_run": 2})

    _, evaluation = await world.decide(policy)

    assert (len(evaluation.promotions), evaluation.deferred) == (6, 1)


async def test_images_that_are_in_conflict_for_ever_take_no_room_from_others(
    world: World,
) -> None:
    policy = fan_out(limits={"images_per_run": 1})
    world.push("1-stable", "one")
    _occupy(world, "west", "1-stable")
    await run(world, policy)
    world.push("2-stable", "two")
    target(world, "west").is_down = True
    await run(world, policy)
    target(world, "west").is_down = False

    await run(world, policy)

    # It failed before, so it comes last, behind the one in conflict.
    assert "2-stable" in tags(world, "west")


async def test_two_templates_that_give_the_same_tag_make_one_promotion(world: World) -> None:
    digest = str(world.push("latest", "one"))
    policy = fan_out(EAST, triggers=[{"tag": {"equals": "latest"}}])

    report = await run(world, policy)

    assert (len(report.promotions), tags(world, "east")) == (1, {"latest": digest})
    assert (await run(world, policy)).promotions == ()


async def test_a_template_that_gives_no_tag_keeps_the_image_from_that_tag_alone(
    world: World,
) -> None:
    tag = "x" * 121 + "-stable"
    world.push(tag, "one")
    policy = fan_out({**EAST, "tag": ["%n", "%n-2026"]})

    report = await run(world, policy)

    assert set(tags(world, "east")) == {tag}
    assert report.problems == ()


async def test_the_tag_of_each_target_stays_through_failure_and_retry(world: World) -> None:
    world.push("1-stable", "one")
    policy = fan_out({**EAST, "tag": "%n-%H%M"}, {**WEST, "tag": "%n-%H%M"})
    target(world, "west").is_down = True
    await run(world, policy)
    target(world, "west").is_down = False
    world.now += timedelta(hours=1)

    await run(world, policy)

    assert list(tags(world, "east")) == list(tags(world, "west"))


def _occupy(world: World, name: str, tag: str) -> str:
    store = world.more_targets[name]
    other = store.hold_image(REPOSITORY, b"other", config=b'{"c":1}').digest
    store.tags.setdefault(REPOSITORY, {})[tag] = other
    return str(other)


def test_a_line_of_tasks_has_all_tags_of_an_image_behind_one_connection() -> None:
    promotions = [
        replace(
            promotion_of(number),
            source_tag=tag,
            digest=tag,
            target_digest=tag,
            target_connection=connection,
        )
        for number, (tag, connection) in enumerate(
            [("a", "east"), ("a", "east"), ("a", "west"), ("b", "east"), ("b", "west")]
        )
    ]

    apart, together = divide(promotions, most=50), divide(promotions, most=2)

    assert [(each.promotion_ids, each.label) for each in apart] == [
        ((0, 1), "dev/website:a -> east"),
        ((3,), "dev/website:b -> east"),
        ((2,), "dev/website:a -> west"),
        ((4,), "dev/website:b -> west"),
    ]
    assert [(each.promotion_ids, each.label) for each in together] == [
        ((0, 1, 3), "dev/website:a -> east and 1 more"),
        ((2, 4), "dev/website:a -> west and 1 more"),
    ]
