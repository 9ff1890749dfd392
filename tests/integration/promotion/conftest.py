"""Policies, run from scan to report between real registries and folders of layouts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.model import Policy
from image_promotion.promotion.pipeline import run_policy
from image_promotion.promotion.planning import PlannedImage, plan
from image_promotion.promotion.reporting import RunReport
from image_promotion.promotion.stores import Stores
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.registry.transfer import NO_PROGRESS
from sandbox.registry_process import RegistryProcess

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass
class Workplace:
    """Connections, a ledger, and a clock that moves on with each run.

    Attributes:
        ledger: The ledger.
        endpoints: Where each connection leads.
        keys: What the runs are called, one after another.
    """

    ledger: Ledger
    endpoints: dict[str, RegistryEndpoint] = field(default_factory=dict)
    now: datetime = START
    keys: Iterator[str] = field(default_factory=lambda: (f"run-{n}" for n in itertools.count(1)))

    def connect(self, connection_id: str, host: str, **extra: object) -> None:
        """Define a connection as people write it."""
        self.endpoints[connection_id] = RegistryEndpoint.from_fields(
            connection_id, host=host, port=None, login=None, password=None, extra=extra
        )

    def stores(self) -> Stores:
        return Stores(self.endpoints.__getitem__, set(self.endpoints))

    async def run(self, policy: Policy, *, key: str | None = None) -> RunReport:
        """Run a policy from scan to report; with the key of an earlier run, once more."""
        self.now += timedelta(minutes=5)
        async with self.stores() as stores:
            return await run_policy(
                policy,
                stores=stores,
                ledger=self.ledger,
                clock=lambda: self.now,
                run_key=key or next(self.keys),
                progress_of=lambda _: NO_PROGRESS,
            )

    async def plan(self, policy: Policy) -> dict[str, PlannedImage]:
        async with self.stores() as stores:
            rows = await plan(
                policy,
                source=stores.of(policy.source.connection),
                target_of=stores.of,
                ledger=self.ledger,
                now=self.now,
            )
        return {row.tag: row for row in rows}


def policy_from(source: tuple[str, str], target: tuple[str, str], **more: object) -> Policy:
    """Give a policy by which all tags that end with -stable go from one place to another.

    Args:
        source: A connection and a repository.
        target: A connection and a repository.
        more: Further keys.
    """
    return Policy.model_validate(
        {
            "name": f"{source[0]}-to-{target[0]}".replace("_", "-"),
            "source": {"connection": source[0], "repository": source[1]},
            "target": {"connection": target[0], "repository": target[1]},
            "triggers": [{"tag": {"ends_with": "-stable"}}],
            **more,
        }
    )


@pytest.fixture
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("dev"), name="dev") as process:
        yield process


@pytest.fixture
def qa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess.start(tmp_path_factory.mktemp("qa"), name="qa") as process:
        yield process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        yield Workplace(ledger)
