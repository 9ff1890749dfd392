"""A part of `scripts/soak schedules`, and that its checker sees what it is there to see."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak.checker import Rule
from tests.soak.performance import Theatre
from tests.soak.planted_bugs import PLANTS
from tests.soak.schedule import Schedule

SEEDS = range(5)

SHOWN_BY = {
    "tag before content": (0, Rule.IN_ORDER),
    "no verification": (40, Rule.TRUE),
    "no pin": (24, Rule.RECORDED),
    "record before setting": (0, Rule.TRUE),
    "others tags ignored": (9, Rule.RESPECTED),
    "moved source ignored": (2, Rule.FRESH),
    "no unique claim": (7, Rule.ONCE),
    "failures forgotten": (7, Rule.ARRIVED),
    "failed verification swallowed": (40, Rule.TRUE),
    "late repetition sets again": (56, Rule.FRESH),
    "wrong tag": (0, Rule.RECORDED),
}
"""The first schedule that shows a planted bug, and a rule that it breaks."""


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with Theatre.start(tmp_path_factory.mktemp("theatre")) as started:
        yield started


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the stages say stands in the timeline as well."""
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_each_image_arrives_once_and_the_ledger_tells_the_truth(
    theatre: Theatre, seed: int
) -> None:
    outcome = theatre.perform(Schedule.of(seed))

    assert outcome.violations == (), "\n".join(map(str, outcome.entries))
    assert outcome.looks > 0


def test_a_seed_gives_the_same_schedule_each_time() -> None:
    assert all(Schedule.of(seed) == Schedule.of(seed) for seed in range(200))


def test_schedules_differ() -> None:
    assert len({str(Schedule.of(seed)) for seed in range(200)}) == 200


def test_each_planted_bug_has_a_schedule_that_shows_it() -> None:
    assert SHOWN_BY.keys() == PLANTS.keys()


@pytest.mark.parametrize("plant", PLANTS)
def test_the_checker_finds_a_bug_that_is_planted(theatre: Theatre, plant: str) -> None:
    seed, rule = SHOWN_BY[plant]

    with PLANTS[plant]():
        outcome = theatre.perform(Schedule.of(seed))

    assert rule in {violation.rule for violation in outcome.violations}
