"""The simulation behind the table of sizes in docs/scale.md."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.scaling.measurements import (
    Machine,
    Measurements,
    RunTook,
    ScanMeasured,
    StageTook,
)
from benchmarks.scaling.sizing import IMAGES_PER_RUN, Costs, Site, simulate, table

COSTS = Costs(
    run_s=5.0,
    head_s=0.001,
    listed_tag_s=0.00001,
    list_s=0.005,
    image_worker_s=0.1,
    head_bytes=2_000.0,
    listed_bytes=100.0,
    start_bytes=80_000_000.0,
)
SITE = Site(repositories=20, tags=100, share=1.0, round_trip_s=0.0)


def scan_of(
    title: str, repositories: int, tags: int, looked_up: int, wall_s: float
) -> ScanMeasured:
    return ScanMeasured(title, repositories, tags, looked_up, {}, wall_s, 0.0, 0.0, 90, 10)


def run_of(images: int, wall_s: float) -> RunTook:
    stages = (StageTook("promote.copy", 2, 1.0, 9.0, 0.05 * images),)
    return RunTook(images, 4, images, wall_s, wall_s, {"scheduler": 1.0}, stages, 0.1)


def measured() -> Measurements:
    return Measurements(
        Machine(2, "3.11", datetime(2026, 11, 24, tzinfo=UTC), 0.1),
        runs=(run_of(1000, 40.0),),
        unchanged=run_of(0, 6.0),
        scans=(
            scan_of("few", 1, 100, 100, 0.2),
            scan_of("all", 1, 1100, 1100, 2.2),
            scan_of("some", 1, 1000, 100, 1.2),
            scan_of("many", 10, 100, 0, 0.5),
        ),
    )


def test_costs_are_the_measured_ones_taken_apart() -> None:
    costs = Costs.of(measured())
    assert costs.head_s == pytest.approx(0.002)
    assert costs.listed_tag_s == pytest.approx(0.001)  # 1.2 s less 100 questions, by 1,000 tags
    assert costs.list_s == pytest.approx(0.04)  # 0.5 s less 100 tags, by 10 repositories
    assert costs.run_s == pytest.approx(4.0)  # 6 s less 1,000 questions
    assert costs.image_worker_s == pytest.approx(0.05)


def test_without_a_measurement_there_are_no_costs() -> None:
    with pytest.raises(ValueError, match="measure"):
        Costs.of(replace(measured(), unchanged=None))


def test_measurements_are_read_as_they_were_written(tmp_path: Path) -> None:
    measured().write(tmp_path / "results" / "scale.json")
    assert Measurements.read(tmp_path / "results" / "scale.json") == measured()


def test_an_image_waits_for_the_next_run_and_for_the_scan_and_its_own_stages() -> None:
    day = simulate(SITE, COSTS)
    # Pushes come at any moment of the five minutes between runs; then 5 s, 2 s and 0.1 s.
    assert 130 < day.median_s < 190
    assert day.slow_s < 300 + COSTS.run_s + day.scan_s + 5
    assert (day.runs, day.late_runs, day.requests) == (288, 0, 1 + 20 + 2_000)
    assert day.scan_s == pytest.approx(2_000 * (0.001 + 0.00001) + 20 * 0.005)


def test_equal_days_are_equal_and_other_seeds_are_other_days() -> None:
    assert simulate(SITE, COSTS) == simulate(SITE, COSTS)
    assert simulate(SITE, COSTS, seed=2).median_s != simulate(SITE, COSTS).median_s


def test_a_scan_that_takes_longer_than_its_period_makes_every_image_wait_for_it() -> None:
    slow = simulate(replace(SITE, tags=50_000), COSTS)
    assert slow.scan_s > SITE.every_s
    assert slow.runs < 100
    assert slow.median_s > slow.scan_s


def test_policies_that_share_too_few_workers_begin_late_and_more_workers_mend_it() -> None:
    crowded = Site(200, 2_000, 1.0, policies=20, workers=1, round_trip_s=0.0)
    roomy = replace(crowded, workers=8)
    assert simulate(crowded, COSTS).late_runs > 0
    assert simulate(roomy, COSTS).late_runs == 0
    assert simulate(roomy, COSTS).median_s < simulate(crowded, COSTS).median_s


def test_a_registry_that_lists_digests_is_asked_for_none() -> None:
    bulk = simulate(replace(SITE, has_bulk_lists=True), COSTS)
    assert bulk.requests == 1 + 20


def test_more_pushes_than_a_run_may_carry_are_left_to_the_next() -> None:
    flood = Site(1, 100, 1.0, pushes=50_000.0, workers=1, every_s=600.0, round_trip_s=0.0)
    cheap = replace(COSTS, image_worker_s=10.0)
    day = simulate(flood, cheap)
    assert day.runs < 20
    assert day.unfinished > IMAGES_PER_RUN


def test_the_table_has_a_line_for_each_site() -> None:
    lines = table([simulate(SITE, COSTS), simulate(replace(SITE, policies=2), COSTS)]).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {11}
