"""Which target tags stay: the newest, the young, and whatever is not surely the policy's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_promotion.errors import PolicyError, RegistryError
from image_promotion.ledger.records import Promotion, State
from image_promotion.policy.governance import Retention, RetentionMode
from image_promotion.policy.model import Policy
from image_promotion.promotion.retention import RetentionReport, retain, superfluous
from image_promotion.promotion.stores import Stores
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from tests.support.memory_store import Event, index_of
from tests.support.promotions import PLANNED_AT, promotion_of
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of


def keeping(newest: int | None = 2, mode: str = "remove", **rule: object) -> Policy:
    wanted = {"keep_newest": newest, "mode": mode, **rule}
    return policy_of(retention={key: value for key, value in wanted.items() if value is not None})


async def promote_tags(world: World, *tags: str) -> list[Digest]:
    """Promote an image under each tag, one run after another."""
    digests = []
    for tag in tags:
        digests.append(world.push(tag, f"image {tag}"))
        await world.promote(policy_of())
    return digests


async def apply(
    world: World, policy: Policy | None = None, mode: RetentionMode | None = None
) -> RetentionReport:
    async with Stores(
        lambda connection_id: RegistryEndpoint(connection_id, "http://qa"),
        {"qa_registry"},
        open_store=lambda _: world.target,
    ) as stores:
        return await retain(
            policy or keeping(),
            stores=stores,
            ledger=world.ledger,
            clock=world.clock,
            run_key="retaining",
            mode=mode,
        )


def there(world: World) -> set[str]:
    return set(world.target.tags.get(TARGET, {}))


def names(promotions: Sequence[Promotion]) -> list[str]:
    return [each.target_tag for each in promotions]


async def test_the_newest_stay_and_the_others_go_the_eldest_first(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable", "4-stable")

    report = await apply(world)

    assert names(report.removed) == ["1-stable", "2-stable"]
    assert there(world) == {"3-stable", "4-stable"}
    assert report.problems == []
    ids = [each.id for each in report.removed]
    assert world.ledger.removals.removed(ids) == set(ids)


async def test_a_dry_run_is_the_default_and_removes_nothing(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    policy = policy_of(retention={"keep_newest": 1})

    report = await apply(world, policy)

    assert names(report.superfluous) == ["1-stable", "2-stable"]
    assert (report.removed, report.kept) == ([], 1)
    assert there(world) == {"1-stable", "2-stable", "3-stable"}
    assert world.target.asked("remove_tag") == []


async def test_an_audit_removes_nothing_whatever_else_is_said(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")

    policy = policy_of(retention={"keep_newest": 1, "mode": "remove"}, mode="audit")
    report = await apply(world, policy, RetentionMode.REMOVE)

    assert len(there(world)) == 3
    assert report.mode is RetentionMode.DRY_RUN


async def test_what_is_young_stays_too(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")  # five minutes apart
    world.now += timedelta(minutes=1)

    report = await apply(world, keeping(1, keep_younger_than="7m"))

    assert names(report.removed) == ["1-stable"]


async def test_the_last_one_stays_however_old(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable")
    world.now += timedelta(days=1000)

    await apply(world, keeping(None, keep_younger_than="1d"))

    assert there(world) == {"2-stable"}


async def test_the_newest_that_is_there_counts_when_a_newer_one_is_gone(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    del world.target.tags[TARGET]["3-stable"]

    await apply(world, keeping(1))

    assert there(world) == {"2-stable"}


async def test_a_newer_tag_that_somebody_else_moved_does_not_count_as_one_that_stays(
    world: World,
) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    world.target.tags[TARGET]["3-stable"] = world.target.hold_image(TARGET, b"theirs").digest

    await apply(world, keeping(1))

    assert there(world) == {"2-stable", "3-stable"}


async def test_a_tag_that_somebody_else_moved_or_made_is_left_alone(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    theirs = world.target.hold_image(TARGET, b"theirs").digest
    world.target.tags[TARGET] |= {"1-stable": theirs, "0-theirs": theirs}

    report = await apply(world, keeping(1))

    assert names(report.removed) == ["2-stable"]
    assert there(world) == {"0-theirs", "1-stable", "3-stable"}


async def test_a_tag_that_another_policy_set_last_is_left_alone(world: World) -> None:
    first, *_ = await promote_tags(world, "1-stable", "2-stable", "3-stable")
    target = {"connection": "qa_registry", "repository": TARGET, "existing_tag": "overwrite"}
    other = policy_of(
        name="other",
        source={"connection": "dev_registry", "repository": "dev/other"},
        target=target,
    )
    world.source.hold_image("dev/other", b"image 1-stable", config=b'{"c":1}')
    world.source.tags["dev/other"] = {"1-stable": first}
    await world.promote(other)

    report = await apply(world, keeping(1))

    assert names(report.removed) == ["2-stable"]


async def test_a_tag_that_moves_between_the_look_and_the_removal_is_left_alone(
    world: World,
) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    theirs = world.target.hold_image(TARGET, b"theirs").digest

    async def move(event: Event) -> None:
        if event.action == "remove_tag":
            world.target.tags[TARGET]["2-stable"] = theirs

    world.target.hook = move
    report = await apply(world, keeping(1))

    assert names(report.removed) == ["1-stable"]
    assert report.spared == [f"{TARGET}:2-stable stays: it was moved just now"]


async def test_what_is_removed_is_not_promoted_again(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable", "3-stable")
    await apply(world, keeping(1))

    for policy in (policy_of(), policy_of(foreign_layers="copy")):
        run, evaluation = await world.decide(policy, decide_again=True)
        assert evaluation.promotions == ()
        assert world.report(run).problems == ()
    assert there(world) == {"3-stable"}


async def test_a_removal_that_was_killed_before_its_note_is_completed(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable")
    (first, _) = world.ledger.removals.tags_of(keeping().name)
    world.ledger.removals.begin(first, at=world.now, run_key="killed", detail="begun")

    report = await apply(world, keeping(1))

    assert world.ledger.removals.removed([first.id]) == {first.id}
    assert names(report.removed) == ["1-stable"]


async def test_a_tag_that_is_about_to_be_set_is_left_alone(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable")
    world.push("1-stable", "built again")
    target = {"connection": "qa_registry", "repository": TARGET, "existing_tag": "overwrite"}
    _, evaluation = await world.decide(policy_of(target=target))
    (planned,) = evaluation.promotions

    report = await apply(world, keeping(1))

    assert report.spared == [f"{TARGET}:1-stable stays: promotion {planned.id} is about to set it"]
    assert "1-stable" in there(world)


async def test_what_a_tag_that_stays_would_be_set_back_to_keeps_its_tag(world: World) -> None:
    await promote_tags(world, "1-stable", "2-stable")
    moving = {
        "connection": "qa_registry",
        "repository": TARGET,
        "tag": "stable",
        "existing_tag": "overwrite",
    }
    # One after another under a tag that moves: it holds 2-stable's image, and held 1-stable's.
    for tag in ("2-stable", "1-stable"):
        world.source.tags[SOURCE].pop(tag)
    for number in (1, 2):
        world.source.tags[SOURCE] = {
            f"{number}-stable": world.target.tags[TARGET][f"{number}-stable"]
        }
        await world.promote(policy_of(target=moving))

    report = await apply(world, keeping(1))

    assert names(report.removed) == ["2-stable"]
    (spared,) = report.spared
    assert spared.endswith("1-stable stays: it holds what a tag that stays would be set back to")


async def test_a_policy_without_the_key_keeps_all(world: World) -> None:
    with pytest.raises(PolicyError) as caught:
        await apply(world, policy_of())

    assert caught.value.key == "retention"


# Registries that remove manifests only


async def test_a_manifest_goes_only_when_all_its_tags_go(world: World) -> None:
    world.target.removes_tags = False
    first, second, _ = await promote_tags(world, "1-stable", "2-stable", "3-stable")
    world.target.tags[TARGET]["theirs"] = first

    report = await apply(world, keeping(1))

    assert world.target.asked("remove_manifest") == [second]
    assert names(report.removed) == ["2-stable"]
    assert there(world) == {"1-stable", "3-stable", "theirs"}
    (spared,) = report.spared
    assert spared.endswith("only whole manifests, and the tag theirs holds the same image")


async def test_a_manifest_that_an_index_lists_stays(world: World) -> None:
    world.target.removes_tags = False
    first, *_ = await promote_tags(world, "1-stable", "2-stable")
    listed = world.target.manifests[TARGET][first].descriptor
    index = index_of(listed)
    world.target.hold_manifest(TARGET, index)
    world.target.tags[TARGET]["theirs"] = index.digest

    report = await apply(world, keeping(1))

    assert report.removed == []
    assert world.target.asked("remove_manifest") == []


async def test_a_registry_that_removes_nothing_is_a_problem_and_says_what_to_do(
    world: World,
) -> None:
    world.target.removes_tags = False
    await promote_tags(world, "1-stable", "2-stable", "3-stable")

    async def refuse(event: Event) -> None:
        if event.action == "remove_manifest":
            raise RegistryError("removing the manifest failed", status=405, advice="Allow it.")

    world.target.hook = refuse
    report = await apply(world, keeping(1))

    assert there(world) == {"1-stable", "2-stable", "3-stable"}
    (problem,) = report.problems
    assert "Allow it." in problem
    assert report.error() is not None


# Over any history

_ages = st.lists(st.integers(0, 100), min_size=1, max_size=12)


@given(_ages, st.integers(1, 12) | st.none(), st.integers(1, 100) | st.none())
def test_what_stays_is_what_either_rule_keeps_and_never_nothing(
    ages: list[int], newest: int | None, days: int | None
) -> None:
    if newest is None and days is None:
        newest = 1
    younger = None if days is None else timedelta(days=days)
    said = {"keep_newest": newest, "keep_younger_than": days and f"{days}d"}
    rule = Retention.model_validate({key: value for key, value in said.items() if value})
    held = [
        replace(
            promotion_of(number),
            state=State.VERIFIED,
            verified_at=PLANNED_AT - timedelta(days=age),
        )
        for number, age in enumerate(ages)
    ]

    goes = superfluous(held, rule, PLANNED_AT)

    stays = [each for each in held if each not in goes]
    assert len(stays) >= min(newest or 1, len(held))
    assert all(
        each.verified_at and each.verified_at <= one.verified_at
        for each in goes
        for one in stays
        if one.verified_at
    )
    if younger is not None:
        assert all(each.verified_at and PLANNED_AT - each.verified_at >= younger for each in goes)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["promote", "foreign", "move", "delete", "retain"]), st.integers(0, 3)
    ),
    max_size=10,
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_steps, newest=st.integers(1, 3), by_digest=st.booleans())
def test_neither_the_newest_nor_a_tag_of_somebody_else_is_ever_removed(
    world: World, steps: list[tuple[str, int]], newest: int, *, by_digest: bool
) -> None:
    world.target.tags.clear()
    world.target.removes_tags = not by_digest
    theirs = {
        number: world.target.hold_image(TARGET, f"theirs {number}".encode()).digest
        for number in range(4)
    }
    asyncio.run(_live(world, steps, newest, theirs))


async def _live(
    world: World, steps: list[tuple[str, int]], newest: int, theirs: dict[int, Digest]
) -> None:
    for action, number in [*steps, ("retain", 0)]:
        tags = world.target.tags.setdefault(TARGET, {})
        # Earlier examples have had these tags in the same ledger.
        tag = f"{number}-stable"
        match action:
            case "promote":
                world.runs += 1
                world.push(tag, f"build {world.runs}")
                target = {
                    "connection": "qa_registry",
                    "repository": TARGET,
                    "existing_tag": "overwrite",
                }
                await world.promote(policy_of(target=target))
            case "foreign":
                tags[f"theirs-{number}"] = theirs[number]
            case "move":
                tags[tag] = theirs[number]
            case "delete":
                tags.pop(tag, None)
            case _:
                before = dict(tags)
                set_by_us = {
                    each.target_tag: each
                    for each in world.ledger.removals.tags_of(keeping().name)
                    if str(before.get(each.target_tag)) == each.target_digest
                }
                by_age = sorted(set_by_us.values(), key=lambda each: (each.verified_at, each.id))
                await apply(world, keeping(newest))
                gone = set(before) - set(world.target.tags[TARGET])
                assert gone <= {each.target_tag for each in by_age[:-newest]}
                after = world.target.tags[TARGET]
                assert {name: before[name] for name in after} == after
