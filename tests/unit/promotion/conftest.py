"""A small world: a source, a target, a ledger, a clock that moves when it is told to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, Run
from image_promotion.policy.model import Policy
from image_promotion.promotion.attestation import Attestor
from image_promotion.promotion.batches import Stage, StageReport, carry_out
from image_promotion.promotion.copying import copy
from image_promotion.promotion.evaluation import Evaluation, evaluate_and_record
from image_promotion.promotion.journal import Journal
from image_promotion.promotion.overriding import Override
from image_promotion.promotion.planning import PlannedImage, plan
from image_promotion.promotion.reporting import RunReport, report
from image_promotion.promotion.retagging import retag
from image_promotion.promotion.sboms import Sboms
from image_promotion.promotion.scanning import Scan, scan_and_record, version_of
from image_promotion.promotion.verification import verify
from image_promotion.registry.digest import Digest
from image_promotion.registry.transfer import NO_PROGRESS
from tests.support.memory_store import MemoryStore

SOURCE = "dev/website"
TARGET = "qa/website"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def policy_of(**changes: object) -> Policy:
    """Return the policy of the examples, changed as a test wants it."""
    document: dict[str, object] = {
        "name": "website-stable-to-qa",
        "source": {"connection": "dev_registry", "repository": SOURCE},
        "target": {"connection": "qa_registry", "repository": TARGET},
        "triggers": [{"tag": {"ends_with": "-stable"}}],
    }
    return Policy.model_validate({**document, **changes})


@dataclass
class World:
    """The two stores, the ledger and the time; and a run's stages, one by one or all together."""

    ledger: Ledger
    source: MemoryStore = field(default_factory=lambda: MemoryStore("dev", "dev"))
    target: MemoryStore = field(default_factory=lambda: MemoryStore("qa", "qa"))
    more_targets: dict[str, MemoryStore] = field(default_factory=dict)
    now: datetime = START
    runs: int = 0
    attestor: Attestor | None = None

    def clock(self) -> datetime:
        return self.now

    def target_of(self, connection_id: str) -> MemoryStore:
        return self.more_targets.get(connection_id, self.target)

    def push(self, tag: str, content: str, repository: str = SOURCE) -> Digest:
        """Push an image of one layer to the source under a tag."""
        image = self.source.hold_image(repository, content.encode(), config=b'{"c":1}')
        self.source.tags.setdefault(repository, {})[tag] = image.digest
        return image.digest

    def begin(self, policy: Policy) -> Run:
        self.runs += 1
        self.now += timedelta(minutes=5)
        return self.ledger.begin_run(
            version_of(policy), key=f"run-{self.runs}", kind="manual", at=self.now
        )

    async def scan(self, policy: Policy, run: Run, *tags: str) -> Scan:
        return await scan_and_record(
            policy, self.source, self.ledger, run, now=self.now, only_tags=tags
        )

    async def evaluate(
        self, policy: Policy, run: Run, *tags: str, decide_again: bool = False
    ) -> Evaluation:
        return await evaluate_and_record(
            policy,
            source=self.source,
            target_of=self.target_of,
            ledger=self.ledger,
            run=run,
            now=self.now,
            only_tags=tags,
            decide_again=decide_again,
        )

    async def override(self, policy: Policy, *tags: str) -> tuple[Run, Evaluation]:
        """Scan and evaluate in a new run in which alice promotes tags whatever the triggers say."""
        run = self.begin(policy)
        await scan_and_record(
            policy,
            self.source,
            self.ledger,
            run,
            now=self.now,
            only_tags=tags,
            overrules=tags,
        )
        evaluation = await evaluate_and_record(
            policy,
            source=self.source,
            target_of=self.target_of,
            ledger=self.ledger,
            run=run,
            now=self.now,
            only_tags=tags,
            override=Override("alice", "the shop is down"),
        )
        return run, evaluation

    async def decide(
        self, policy: Policy, *tags: str, decide_again: bool = False
    ) -> tuple[Run, Evaluation]:
        """Scan and evaluate in a new run."""
        run = self.begin(policy)
        await self.scan(policy, run, *tags)
        return run, await self.evaluate(policy, run, *tags, decide_again=decide_again)

    async def carry_out(self, stage: Stage, run: Run, *ids: int) -> StageReport:
        journal = Journal(self.ledger, run.key, self.clock)

        async def act(promotion: Promotion) -> object:
            target = self.target_of(promotion.target_connection)
            match stage:
                case Stage.COPY:
                    return await copy(
                        promotion,
                        source=self.source,
                        target=target,
                        journal=journal,
                        progress=NO_PROGRESS,
                    )
                case Stage.RETAG:
                    return await retag(
                        promotion, source=self.source, target=target, journal=journal
                    )
                case Stage.VERIFY:
                    return await verify(
                        promotion,
                        source=self.source,
                        target=target,
                        journal=journal,
                        sboms=Sboms(),
                    )
                case Stage.ATTEST:
                    if self.attestor is None:
                        return None
                    return await self.attestor.attest(
                        promotion, source=self.source, target=target, journal=journal
                    )

        return await carry_out(stage, ids, act, journal=journal)

    async def promote(self, policy: Policy) -> RunReport:
        """Do a whole run; the errors of its stages are raised."""
        run, evaluation = await self.decide(policy)
        ids = [each.id for each in evaluation.promotions]
        for stage in Stage:
            await self.carry_out(stage, run, *ids)
        return self.report(run)

    def report(self, run: Run) -> RunReport:
        present = self.ledger.run(run.key)
        assert present
        return report(self.ledger, present)

    async def plan(
        self, policy: Policy, *tags: str, overrules: bool = False
    ) -> dict[str, PlannedImage]:
        rows = await plan(
            policy,
            source=self.source,
            target_of=self.target_of,
            ledger=self.ledger,
            now=self.now,
            only_tags=tags,
            overrules=overrules,
        )
        return {row.tag: row for row in rows}


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with nothing in it; copying it takes a tenth of the time of making one."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def world(tmp_path: Path, migrated: Path) -> Iterator[World]:
    shutil.copy(migrated, tmp_path / "ledger.db")
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        yield World(ledger)
