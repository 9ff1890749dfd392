"""What sites of other sizes would need: a day of pushes is simulated, at measured costs.

Pushes come at random (a Poisson process, seeded). Each policy's run is due every so often, begins
when the one before has ended and a worker is free, and takes as long as its scan, its evaluation
and its lines of tasks take at the measured costs. Runs are events, not seconds: a day of 500
repositories takes a second to simulate.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from benchmarks.scaling.measurements import Measurements, ScanMeasured

IMAGES_PER_RUN = 1000
IMAGES_PER_LINE = 50
LINES = 50
HEADS_AT_ONCE = 16
LISTS_AT_ONCE = 4
PAGE_LENGTH = 1000

DAY_S = 86_400.0
SEED = 1


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured, taken apart.

    Attributes:
        run_s: A run in which nothing is new, without its scan.
        head_s: The question for a digest, of 16 at once.
        listed_tag_s: A tag in a list, beyond the request.
        list_s: The request for a list.
        image_worker_s: An image's three stages, on one worker.
        head_bytes: Memory of a tag that may matter.
        listed_bytes: Memory of a tag that is out by its name.
        start_bytes: Memory of a task before its scan.
    """

    run_s: float
    head_s: float
    listed_tag_s: float
    list_s: float
    image_worker_s: float
    head_bytes: float
    listed_bytes: float
    start_bytes: float

    @classmethod
    def of(cls, measured: Measurements) -> Costs:
        """Take measurements apart.

        Args:
            measured: Scans of one repository whose tags all matter, of one in which few do, and of
                many repositories; runs of several sizes; and an unchanged one.

        Returns:
            The costs.

        Raises:
            ValueError: One of these was not measured.
        """
        whole = sorted(
            (each for each in measured.scans if each.looked_up == each.tags),
            key=lambda each: each.tags,
        )
        filtered = [
            each for each in measured.scans if each.looked_up < each.tags and each.repositories == 1
        ]
        many = [each for each in measured.scans if each.repositories > 1]
        unchanged = measured.unchanged
        if not (len(whole) > 1 and filtered and many and unchanged and measured.runs):
            raise ValueError("measure runs, scans of every kind and an unchanged run first")
        head_s = _slope(whole[0], whole[-1])
        listed_tag_s = _rest(filtered[0], head_s, 0.0) / filtered[0].tags
        largest = max(measured.runs, key=lambda each: each.images)
        in_stages = sum(each.busy_s for each in largest.stages if each.task.startswith("promote."))
        return cls(
            run_s=max(0.0, unchanged.wall_s - head_s * largest.images),
            head_s=head_s,
            listed_tag_s=listed_tag_s,
            list_s=_rest(many[0], head_s, listed_tag_s) / many[0].repositories,
            image_worker_s=in_stages / largest.images,
            head_bytes=max(0, whole[-1].grown_bytes) / whole[-1].tags,
            listed_bytes=max(0, filtered[0].grown_bytes) / filtered[0].tags,
            start_bytes=whole[-1].peak_bytes - whole[-1].grown_bytes,
        )


def _slope(less: ScanMeasured, more: ScanMeasured) -> float:
    return (more.wall_s - less.wall_s) / (more.looked_up - less.looked_up)


def _rest(scan: ScanMeasured, head_s: float, listed_tag_s: float) -> float:
    return max(0.0, scan.wall_s - scan.looked_up * head_s - scan.tags * listed_tag_s)


@dataclass(frozen=True, slots=True)
class Site:
    """A site whose day is simulated.

    Attributes:
        repositories: How many repositories the policies match together.
        tags: How many tags each has.
        share: Which part of the tags may matter.
        policies: Over how many policies the repositories are spread.
        every_s: How often each policy's run is due, in seconds.
        workers: How many tasks run at a time.
        pushes: How many images that matter are pushed into a repository in a day.
        round_trip_s: What the network adds to each request.
        has_bulk_lists: Whether the registry lists tags with their digests.
    """

    repositories: int
    tags: int
    share: float
    policies: int = 1
    every_s: float = 300.0
    workers: int = 4
    pushes: float = 4.0
    round_trip_s: float = 0.02
    has_bulk_lists: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What a simulated day came to.

    Attributes:
        site: Whose day.
        requests: How many requests one scan of one policy sends.
        scan_s: How long it takes.
        scan_bytes: How much memory its task has.
        runs: How many runs there were.
        late_runs: How many began later than they were due, by more than a second.
        median_s: The middle of the times from a push to its verification.
        slow_s: The time that 95 of 100 pushes did not exceed.
        busy: Which part of the workers' time was used.
        unfinished: How many pushes of that day were not verified when it ended.
    """

    site: Site
    requests: int
    scan_s: float
    scan_bytes: float
    runs: int
    late_runs: int
    median_s: float
    slow_s: float
    busy: float
    unfinished: int


def simulate(site: Site, costs: Costs, *, seed: int = SEED) -> Day:
    """Simulate a day.

    Args:
        site: The site.
        costs: What things cost.
        seed: What makes the pushes.

    Returns:
        What it came to.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation, which is to come out the same
    scan_s, requests, scan_bytes = _scan(site, costs)
    rate = site.pushes * site.repositories / site.policies / DAY_S
    # Offset, so that not all runs are due in the same second; cron expressions should be, too.
    due = [(number * site.every_s / site.policies, number) for number in range(site.policies)]
    heapq.heapify(due)
    free = [0.0] * site.workers
    waiting = [list(_pushes(chance, rate)) for _ in range(site.policies)]
    took: list[float] = []
    worked = 0.0
    runs = late = 0
    while due and due[0][0] < DAY_S:
        wanted_at, policy = heapq.heappop(due)
        began = max(wanted_at, heapq.heappop(free))
        runs += 1
        late += began > wanted_at + 1
        evaluated = began + costs.run_s + scan_s
        heapq.heappush(free, evaluated)
        worked += costs.run_s + scan_s
        arrived = [at for at in waiting[policy] if at <= began][:IMAGES_PER_RUN]
        waiting[policy] = waiting[policy][len(arrived) :]
        ended = evaluated
        for line in _lines(len(arrived)):
            line_s = line * costs.image_worker_s
            line_ended = max(evaluated, heapq.heappop(free)) + line_s
            heapq.heappush(free, line_ended)
            worked += line_s
            ended = max(ended, line_ended)
        took += [ended - at for at in arrived]
        heapq.heappush(due, (max(wanted_at + site.every_s, ended), policy))
    took.sort()
    return Day(
        site,
        requests,
        scan_s,
        scan_bytes,
        runs,
        late,
        median_s=took[len(took) // 2] if took else 0.0,
        slow_s=took[len(took) * 95 // 100] if took else 0.0,
        busy=min(1.0, worked / (site.workers * DAY_S)),
        unfinished=sum(map(len, waiting)),
    )


def _scan(site: Site, costs: Costs) -> tuple[float, int, float]:
    """Return seconds, requests and bytes of memory of one policy's scan."""
    repositories = site.repositories / site.policies
    tags = repositories * site.tags
    matter = tags * site.share
    page = 100 if site.has_bulk_lists else PAGE_LENGTH
    lists = repositories * ceil(site.tags / page)
    heads = 0.0 if site.has_bulk_lists else matter
    seconds = (
        heads * (costs.head_s + site.round_trip_s / HEADS_AT_ONCE)
        + lists * (costs.list_s + site.round_trip_s / LISTS_AT_ONCE)
        + tags * costs.listed_tag_s
    )
    # Names of one repository at a time, and all that matter.
    memory = costs.start_bytes + matter * costs.head_bytes + site.tags * costs.listed_bytes
    return seconds, round(1 + lists + heads), memory


def _pushes(chance: random.Random, rate: float) -> Iterator[float]:
    at = chance.expovariate(rate)
    while at < DAY_S:
        yield at
        at += chance.expovariate(rate)


def _lines(images: int) -> list[int]:
    if images <= LINES:
        return [1] * images
    lines = min(LINES, ceil(images / IMAGES_PER_LINE))
    return [images * (n + 1) // lines - images * n // lines for n in range(lines)]


SITES: Sequence[Site] = (
    Site(10, 100, 1.0),
    Site(50, 1_000, 1.0),
    Site(100, 1_000, 0.01),
    Site(500, 1_000, 0.01),
    Site(500, 10_000, 0.01),
    Site(500, 10_000, 0.01, policies=10),
    Site(500, 10_000, 0.01, policies=50, workers=16),
    Site(500, 10_000, 1.0, policies=50, every_s=3600.0, workers=16),
    Site(500, 10_000, 1.0, policies=50, every_s=3600.0, workers=16, has_bulk_lists=True),
)
"""The sites of the table in the documentation."""


def table(days: Sequence[Day]) -> str:
    """Write simulated days as a table in Markdown."""
    figures = "requests a scan | scan s | MB | push to verified, half / 95 %"
    sizes = "repositories x tags | may matter | policies, every | workers"
    lines = [
        f"| {sizes} | {figures} | workers busy | late runs |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for day in days:
        site = day.site
        kind = ", bulk lists" if site.has_bulk_lists else ""
        lines.append(
            f"| {site.repositories:,} x {site.tags:,}{kind} | {site.share:.0%} "
            f"| {site.policies}, {site.every_s / 60:.0f} min | {site.workers} "
            f"| {day.requests:,} | {day.scan_s:,.0f} | {day.scan_bytes / 1e6:,.0f} "
            f"| {_minutes(day.median_s)} / {_minutes(day.slow_s)} | {day.busy:.0%} "
            f"| {day.late_runs / day.runs:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - two minutes
