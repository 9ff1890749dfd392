"""What is left out where somebody waits for the answer: tags beyond a number, and scanners."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from image_promotion.ledger.records import Outcome
from image_promotion.policy.evidence_sources import ON_DEMAND, SourceName
from image_promotion.promotion.explaining import explain
from image_promotion.promotion.planning import PlannedImage, plan_for
from image_promotion.promotion.scanning import scan
from tests.unit.promotion.conftest import SOURCE, World, policy_of
from tests.unit.promotion.test_evidence import SIGNERS, TRIGGER, attach

SCANNED = {
    "triggers": [{"vulnerabilities": {"critical": "= 0"}}],
    "evidence": {"sources": ["trivy", "grype"]},
}


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Put scanners on the PATH, and give what tells which of them were started."""
    notes = tmp_path / "started"
    notes.touch()
    for name in ("syft", "trivy", "grype"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {name} >> {notes}\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return lambda: notes.read_text().split()


async def test_no_more_tags_are_looked_up_than_are_wanted_and_the_rest_is_counted(
    world: World,
) -> None:
    for number in range(7):
        world.push(f"{number}-stable", f"content {number}")
    world.push("1-rc1", "content")

    seen = await scan(policy_of(), world.source, now=world.now, at_most=3)

    assert [each.tag for each in seen.sightings] == ["0-stable", "1-stable", "2-stable"]
    assert (seen.not_looked_up, len(seen.rejected), seen.tags_seen) == (4, 1, 8)


async def test_tags_that_are_known_come_last(world: World) -> None:
    for number in range(4):
        world.push(f"{number}-stable", f"content {number}")
    known = {(SOURCE, "0-stable"), (SOURCE, "1-stable")}

    seen = await scan(policy_of(), world.source, now=world.now, at_most=3, known=known)

    assert {each.tag for each in seen.sightings} == {"0-stable", "2-stable", "3-stable"}


async def test_an_image_that_only_a_scanner_knows_waits_and_none_is_started(
    world: World, started: Callable[[], list[str]]
) -> None:
    world.push("1-stable", "content")
    policy = policy_of(**SCANNED)

    found = await explain(
        policy,
        "1-stable",
        source=world.source,
        target_of=world.target_of,
        ledger=world.ledger,
        now=world.now,
        withheld=ON_DEMAND,
    )

    assert found.outcome is Outcome.WAIT
    assert "trivy: could not be asked: only a run asks it" in found.reasons[0].found
    assert found.evidence
    assert [each.note.source for each in found.evidence.notes] == ["trivy"]
    assert started() == []
    assert world.source.asked("open_blob") == []


async def test_a_plan_without_scanners_starts_none_and_one_with_them_does(
    world: World, started: Callable[[], list[str]]
) -> None:
    world.push("1-stable", "content")
    policy = policy_of(**SCANNED)
    seen = await scan(policy, world.source, now=world.now)

    async def plan(withheld: Collection[SourceName]) -> list[PlannedImage]:
        return await plan_for(
            policy,
            seen,
            world.ledger.standings(policy.name),
            source=world.source,
            target_of=world.target_of,
            ledger=world.ledger,
            now=world.now,
            withheld=withheld,
        )

    assert [each.outcome for each in await plan(ON_DEMAND)] == [Outcome.WAIT]
    assert started() == []
    await plan(())
    assert started() == ["trivy", "grype"]


async def test_what_comes_after_a_scanner_that_is_not_asked_does_not_speak_in_its_place(
    world: World, started: Callable[[], list[str]]
) -> None:
    digest = world.push("1-stable", "content")
    attach(world, digest)
    evidence = {"signers": SIGNERS, "sources": ["syft", "referrers"]}
    policy = policy_of(triggers=[TRIGGER], evidence=evidence)

    found = await explain(
        policy,
        "1-stable",
        source=world.source,
        target_of=world.target_of,
        ledger=world.ledger,
        now=world.now,
        withheld=ON_DEMAND,
    )

    assert found.outcome is Outcome.WAIT
    assert started() == []


async def test_what_the_ledger_says_of_one_tag_is_what_it_says_among_all(world: World) -> None:
    for number in range(3):
        world.push(f"{number}-stable", f"content {number}")
    policy = policy_of()
    await world.decide(policy)

    of_one = world.ledger.standings(policy.name, of=(SOURCE, "1-stable"))

    assert of_one == tuple(
        each for each in world.ledger.standings(policy.name) if each.observation.tag == "1-stable"
    )
    assert len(of_one) == 1
    assert world.ledger.standings(policy.name, of=("dev/other", "1-stable")) == ()
