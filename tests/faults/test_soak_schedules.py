"""A part of `scripts/soak schedules`."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.soak.performance import Theatre
from tests.soak.schedule import Schedule

SEEDS = (0, 1, 2, 3, 4, 5, 7)


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
