"""A schedule performed: a policy runs until all is settled, and the checker looks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from image_promotion.ledger.ledger import Ledger
from image_promotion.promotion.batches import Stage
from sandbox.image_layers import sha256
from tests.soak.checker import History, Rule, Violation, check, check_end, lives_of
from tests.soak.rig import Rig
from tests.soak.scene import Scene
from tests.soak.schedule import Schedule
from tests.soak.tasks import Tasks
from tests.soak.timeline import Entry, Timeline
from tests.support.onlooker import HalfVisibleError, Onlooker, Watch

WATCH_PAUSE_S = 0.2

_numbers = itertools.count(1)


class Witness:
    """Watches a scene while runs act in it, and checks it afterwards.

    Args:
        scene: The scene.
        ledger: The ledger of its policy.

    Attributes:
        looks: How often the watch looked at all that the target shows.
    """

    def __init__(self, scene: Scene, ledger: Ledger) -> None:
        self._scene = scene
        self._ledger = ledger
        self.looks = 0

    def watch(self, runs: Callable[[], None], *, quiet: Callable[[], None]) -> list[Violation]:
        """Let runs act in the scene until all is settled, then once more for nothing.

        Args:
            runs: The runs.
            quiet: A run that ought to find nothing to do.

        Returns:
            What was seen to be wrong meanwhile.
        """
        scene, repository = self._scene, self._scene.target_repository
        watch = Watch(
            scene.rig.target.registry_url,
            repository,
            pause_s=WATCH_PAUSE_S,
            auth=scene.rig.auth(repository),
        )
        found: list[Violation] = []
        with scene.up(self._ledger):
            try:
                with watch:
                    runs()
                    scene.heal()
                    quiet_since = scene.timeline.now()
                    quiet()
                    if not watch.looks:
                        watch.wait_for_looks(0)
            except HalfVisibleError as error:
                return [Violation(Rule.WHOLE, str(error))]
            finally:
                self.looks = watch.looks
            for at in scene.writes:
                if at > quiet_since:
                    said = f"the target was written to at {at:%H:%M:%S.%f}"
                    found.append(Violation(Rule.QUIET, said))
        for refused in scene.refused:
            said = f"the target refused the tag {refused.tag} with {refused.status}"
            found.append(Violation(Rule.IN_ORDER, said))
        return found

    def surprises(self, errors: Iterable[str]) -> list[Violation]:
        """Return a violation for each error that is none of the product's own."""
        return [Violation(Rule.UNSURPRISED, each) for each in errors]

    def check(self, *, trusts_clocks: bool = True) -> list[Violation]:
        """Compare source, target and ledger; without what clocks say if they are not trusted."""
        scene = self._scene
        try:
            visible = self._read_target()
        except HalfVisibleError as error:
            return [Violation(Rule.WHOLE, str(error))]
        lives = lives_of(self._ledger, scene.name)
        history = History(scene.policy, scene.source, scene.target, lives, visible)
        return list((check if trusts_clocks else check_end)(history))

    def _read_target(self) -> Mapping[str, str]:
        """Read the target to the last byte."""
        rig, repository = self._scene.rig, self._scene.target_repository
        with rig.onlooker(rig.target, repository) as onlooker:
            visible = onlooker.visible(repository)
            for tag, digest in visible.items():
                _read_blobs(onlooker, repository, tag, digest)
            return visible


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a schedule.

    Attributes:
        schedule: The schedule.
        violations: The rules that did not hold.
        entries: What happened, in its order.
        promoted: How many promotions were verified.
        gave_up: How many tasks failed for good.
        faults: How many requests something happened to.
        looks: How often the watch looked at all that the target shows.
    """

    schedule: Schedule
    violations: tuple[Violation, ...]
    entries: tuple[Entry, ...]
    promoted: int
    gave_up: int
    faults: int
    looks: int


class Theatre:
    """Where schedules are performed, one after another; open it with ``start``.

    Args:
        anybody: Registries that let anybody in.
        with_tokens: Registries that want tokens.
        ledger: The ledger of them all; each schedule has a policy of its own.
    """

    def __init__(self, anybody: Rig, with_tokens: Rig, ledger: Ledger) -> None:
        self._anybody, self._with_tokens = anybody, with_tokens
        self._ledger = ledger

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Theatre]:
        """Start its registries, and make its ledger.

        Args:
            folder: Takes all that is kept.

        Yields:
            The theatre.
        """
        with ExitStack() as stack:
            anybody = stack.enter_context(Rig.start(folder / "anybody"))
            with_tokens = stack.enter_context(Rig.start(folder / "tokens", wants_tokens=True))
            url = f"sqlite:///{folder / 'promotion_ledger.db'}"
            yield cls(anybody, with_tokens, stack.enter_context(Ledger.open(url)))

    def perform(self, schedule: Schedule) -> Outcome:
        """Perform a schedule.

        Args:
            schedule: The schedule.

        Returns:
            What became of it.
        """
        timeline = Timeline()
        rig = self._with_tokens if schedule.wants_tokens else self._anybody
        scene = Scene(schedule, rig, f"s{schedule.seed}-{next(_numbers)}", timeline)
        tasks = Tasks(
            scene.policy, rig, self._ledger, timeline, goes_in_batches=schedule.goes_in_batches
        )
        witness = Witness(scene, self._ledger)
        violations = witness.watch(
            lambda: asyncio.run(_runs(scene, tasks)),
            quiet=lambda: asyncio.run(_quiet_run(scene, tasks)),
        )
        violations += witness.surprises(tasks.surprises)
        violations += witness.check()
        entries = timeline.entries
        lives = lives_of(self._ledger, scene.name)
        return Outcome(
            schedule,
            tuple(violations),
            entries,
            promoted=sum(life.promotion.verified_at is not None for life in lives),
            gave_up=tasks.gave_up,
            faults=sum("<-" in entry.what for entry in entries),
            looks=witness.looks,
        )


async def _runs(scene: Scene, tasks: Tasks) -> None:
    """Run the policy until all is settled."""
    first = await tasks.run(f"{scene.name}/run-1")
    scene.move_sources()
    for n in range(1, scene.schedule.faulty_runs):
        await tasks.run(f"{scene.name}/run-{n + 1}")
    scene.heal()
    await tasks.run(f"{scene.name}/healed")
    if scene.schedule.repeats_late:
        for batch in first.batches:
            for stage in (Stage.COPY, Stage.RETAG, Stage.VERIFY):
                await tasks.stage(first.key, stage, batch.promotion_ids, "cleared")


async def _quiet_run(scene: Scene, tasks: Tasks) -> None:
    await tasks.run(f"{scene.name}/quiet")


def _read_blobs(onlooker: Onlooker, repository: str, tag: str, digest: str) -> None:
    for blob in onlooker.blobs(repository, digest):
        if sha256(onlooker.blob(repository, blob)) != blob:
            raise HalfVisibleError(f"{tag}: the bytes of {blob} are others")
