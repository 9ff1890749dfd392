from __future__ import annotations

import pytest

from image_promotion.errors import UnreachableError
from image_promotion.policy.model import Policy
from image_promotion.promotion.plan_document import document, figures_of, summary
from image_promotion.promotion.planning import plan
from image_promotion.promotion.previewing import Figures, Preview, preview
from image_promotion.registry.digest import Digest
from tests.support.attachments import BUNDLE_TYPE, artifact, hold, list_of
from tests.support.memory_store import Event, MemoryStore
from tests.unit.promotion.conftest import SOURCE, TARGET, World, policy_of

BASE, OWN, OTHER = b"base" * 10, b"own", b"another"
CONFIG = b'{"c":1}'


def push(world: World, tag: str, *layers: bytes) -> Digest:
    image = world.source.hold_image(SOURCE, *layers, config=CONFIG)
    world.source.tags.setdefault(SOURCE, {})[tag] = image.digest
    return image.digest


async def look(world: World, policy: Policy, *, with_sizes: bool = True) -> Preview:
    rows = await plan(
        policy,
        source=world.source,
        target_of=world.target_of,
        ledger=world.ledger,
        now=world.now,
    )
    return await preview(
        policy,
        rows,
        source=world.source,
        target_of=world.target_of,
        with_sizes=with_sizes,
    )


def figures(found: Preview) -> dict[str, Figures | None]:
    return {each.planned.tag: each.figures for each in found.images}


async def test_a_layer_of_several_images_is_asked_for_once_and_moved_by_the_first(
    world: World,
) -> None:
    push(world, "1-stable", BASE, OWN)
    push(world, "2-stable", BASE, OTHER)
    world.target.hold_blob(TARGET, OTHER)

    found = await look(world, policy_of())

    assert figures(found) == {
        "1-stable": Figures(blobs_copied=3, bytes_copied=len(BASE + OWN + CONFIG)),
        "2-stable": Figures(blobs_skipped=3, bytes_skipped=len(BASE + OTHER + CONFIG)),
    }
    asked = world.target.asked("blob_size")
    assert len(asked) == len(set(asked)) == 4
    assert {event.action for event in world.target.events} == {"blob_size"}


async def test_what_is_not_promoted_is_not_asked_about(world: World) -> None:
    push(world, "1-rc1", BASE)
    assert figures(await look(world, policy_of())) == {"1-rc1": None}
    assert world.target.events == []


async def test_without_sizes_nothing_more_is_asked_than_for_the_plan(world: World) -> None:
    push(world, "1-stable", BASE)
    found = await look(world, policy_of(), with_sizes=False)
    assert found.total is None
    assert world.source.asked("get_manifest") == []
    assert world.target.events == []


async def test_each_target_has_its_own_figures(world: World) -> None:
    push(world, "1-stable", BASE)
    world.more_targets["prod_registry"] = MemoryStore("prod", "prod")
    world.more_targets["prod_registry"].hold_blob("prod/website", BASE)
    policy = Policy.model_validate(
        {
            "name": "to-both",
            "source": {"connection": "dev_registry", "repository": SOURCE},
            "targets": [
                {"connection": "qa_registry", "repository": TARGET},
                {"connection": "prod_registry", "repository": "prod/website"},
            ],
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
    )

    found = await look(world, policy)

    by_target = {str(each.planned.target): each.figures for each in found.images}
    size = len(CONFIG)
    assert by_target == {
        f"{TARGET}:1-stable": Figures(blobs_copied=2, bytes_copied=size + len(BASE)),
        "prod/website:1-stable": Figures(
            blobs_copied=1, bytes_copied=size, blobs_skipped=1, bytes_skipped=len(BASE)
        ),
    }
    assert "dry run: 1 of 1 tag would be promoted now" in document("to-both", found)
    assert figures_of(found)["promote"] == 2


async def test_of_what_is_attached_only_what_is_sent_is_counted_as_the_ledger_does(
    world: World,
) -> None:
    digest = push(world, "1-stable", BASE)
    subject = world.source.manifests[SOURCE][digest].descriptor
    sboms = [artifact(subject, BUNDLE_TYPE, text) for text in (b"sbom", b"another sbom")]
    for each in sboms:
        hold(world.source, SOURCE, each)
    tag = f"sha256-{digest.encoded}"
    listed = list_of(*(each.manifest for each in sboms))
    world.source.hold_manifest(SOURCE, listed)
    world.source.tags[SOURCE][tag] = listed.digest
    world.target.hold_blob(TARGET, b"sbom")
    wanting, leaving = policy_of(), policy_of(referrers={"carry": "none"})

    carried = figures(await look(world, wanting))["1-stable"]
    left = figures(await look(world, leaving))["1-stable"]

    assert carried
    assert left
    empty = b"{}"
    assert carried.referrers == 2
    assert carried.bytes_copied - left.bytes_copied == len(b"another sbom") + len(empty)
    assert (carried.bytes_skipped, left.referrers) == (0, 0)


async def test_an_image_that_cannot_be_read_says_why_and_the_others_are_told(
    world: World,
) -> None:
    push(world, "1-stable", BASE)
    broken = push(world, "2-stable", OTHER)

    async def lose(event: Event) -> None:
        if (event.action, event.digest) == ("get_manifest", broken):
            world.source.manifests[SOURCE].pop(broken, None)

    world.source.hook = lose

    found = await look(world, policy_of())

    told = {each.planned.tag: each for each in found.images}
    assert told["1-stable"].figures
    assert told["2-stable"].figures is None
    assert "there is no manifest" in told["2-stable"].problem
    assert any("besides 1 image of unknown size" in each for each in summary(found))


async def test_a_blob_of_another_size_in_the_target_is_told_of_its_image(world: World) -> None:
    push(world, "1-stable", BASE)
    world.target.blobs[TARGET] = {Digest.of(BASE): b"short"}
    (told,) = (await look(world, policy_of())).images
    assert "in another size" in told.problem


async def test_a_target_that_does_not_answer_is_no_figure(world: World) -> None:
    push(world, "1-stable", BASE)

    async def fail(_event: Event) -> None:
        raise UnreachableError("no answer", method="HEAD", url="http://qa/")

    world.target.hook = fail
    with pytest.raises(UnreachableError):
        await look(world, policy_of())


async def test_what_is_over_the_cap_is_what_the_run_leaves_for_later(world: World) -> None:
    policy = policy_of(limits={"images_per_run": 2})
    for tag in ("1-stable", "2-stable", "3-stable"):
        push(world, tag, tag.encode())
    await world.decide(policy)  # 1 and 2 are planned, and asked about again after 3

    found = await look(world, policy)

    over = {each.planned.tag for each in found.images if each.planned.is_over_cap}
    run, evaluation = await world.decide(policy)
    left = {each.planned.tag for each in found.images} - {
        each.source_tag for each in world.ledger.run_promotions(run)
    }
    assert evaluation.deferred == 1
    assert over == left == {"2-stable"}
    assert any(line.startswith("## Over the cap") for line in document("p", found))


async def test_the_document_says_what_moves_waits_and_is_rejected_and_until_when(
    world: World,
) -> None:
    held = world.target.hold_image(TARGET, b"before").digest
    world.target.tags[TARGET] = {"1-stable": held}
    push(world, "1-stable", BASE)
    push(world, "1-rc1", BASE)
    policy = policy_of(
        target={
            "connection": "qa_registry",
            "repository": TARGET,
            "existing_tag": "overwrite",
        },
        triggers=[{"tag": {"ends_with": "-stable"}}],
        approval={},
    )

    text = "\n".join(document(policy.name, await look(world, policy)))

    assert f"tag taken from {held}" in text
    assert "target tags: 0 set, 1 taken from another image" in text
    assert "nothing is copied before a person approved it" in text
    assert "## Rejected: 1" in text
    assert f"- {SOURCE}:1-rc1: " in text


async def test_an_audit_says_that_nothing_is_copied(world: World) -> None:
    push(world, "1-stable", BASE)
    found = await look(world, policy_of(mode="audit"))
    assert found.notes == ("mode: audit: a run records these decisions and copies nothing",)
