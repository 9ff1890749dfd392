"""The work that is measured, and what it should take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from benchmarks import content
from benchmarks.content import GB, MB
from sandbox.image_pusher import ImagePusher


class Start(StrEnum):
    """What the target is like before each run."""

    EMPTY = "empty"
    """Another registry, started anew with no content."""

    DONE = "done"
    """Another registry, which holds everything already."""

    SAME_REGISTRY = "same registry"
    """A repository of the source's own registry that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of work.

    Args:
        name: What the command line calls it.
        title: What people call it.
        repository: The source repository, and the target's.
        images: How many tags it has, from ``v0`` or, where there is one, ``v1``.
        fill: Fills the source repository; takes a pusher and the registry's URL.
        start: What the target is like before each run.
        goal_ratio: Ours, verified, should take at most so many times what the best peer takes.
        goal_peak_bytes: Ours should have at most so much memory resident.
        moved_bytes: About how many bytes must travel, to choose the number of rounds.
    """

    name: str
    title: str
    repository: str
    images: int
    fill: Callable[[ImagePusher, str], None]
    start: Start = Start.EMPTY
    goal_ratio: float | None = None
    goal_peak_bytes: int | None = None
    moved_bytes: int = 0


def workloads(*, quick: bool) -> tuple[Workload, ...]:
    """List the workloads.

    Args:
        quick: Make each about a tenth as large: to try the harness, not to quote figures.

    Returns:
        The workloads.
    """
    scale = 10 if quick else 1
    size = "-quick" if quick else ""
    layer_bytes, base_bytes = 100 * MB // scale, 20 * MB // scale
    sharing, tiny = 50 // scale, 1000 // scale

    def large(pusher: ImagePusher, _: str) -> None:
        content.push_large(pusher, f"bench/large{size}", 5, layer_bytes)

    def shared(pusher: ImagePusher, _: str) -> None:
        content.push_sharing(pusher, f"bench/shared{size}", sharing, base_bytes)

    def small(pusher: ImagePusher, _: str) -> None:
        content.push_tiny(pusher, f"bench/tiny{size}", tiny)

    return (
        Workload(
            "large",
            f"one image of five {layer_bytes // MB} MB layers",
            f"bench/large{size}",
            1,
            large,
            goal_ratio=1.0,
            moved_bytes=5 * layer_bytes,
        ),
        Workload(
            "shared",
            f"{sharing} images sharing a {base_bytes // MB} MB base",
            f"bench/shared{size}",
            sharing,
            shared,
            goal_ratio=0.8,
            moved_bytes=base_bytes,
        ),
        Workload(
            "tiny",
            f"{tiny:,} tiny images of one repository",
            f"bench/tiny{size}",
            tiny,
            small,
            goal_ratio=0.7,
        ),
        Workload(
            "unchanged",
            f"nothing changed, {tiny:,} tags, by digest",
            f"bench/tiny{size}",
            tiny,
            small,
            start=Start.DONE,
            goal_ratio=0.3,
        ),
        Workload(
            "same-registry",
            "the same content into another repository of one registry",
            f"bench/large{size}",
            1,
            large,
            start=Start.SAME_REGISTRY,
            goal_ratio=1.0,
        ),
        *(
            Workload(
                f"memory-{gigabytes}gb",
                f"peak memory, one {gigabytes * GB // scale / GB:g} GB layer",
                f"bench/huge-{gigabytes}gb{size}",
                1,
                _huge(f"bench/huge-{gigabytes}gb{size}", gigabytes * GB // scale),
                goal_peak_bytes=120 * MB,
                moved_bytes=gigabytes * GB // scale,
            )
            for gigabytes in (1, 5)
        ),
    )


def _huge(repository: str, layer_bytes: int) -> Callable[[ImagePusher, str], None]:
    def fill(pusher: ImagePusher, url: str) -> None:
        content.push_huge(pusher, url, repository, layer_bytes)

    return fill
