"""The pages with registries in memory behind their connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from fastapi import FastAPI

from image_promotion.errors import ConnectionSettingsError
from image_promotion.ledger.ledger import Ledger
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.pages.access import Connections, Pausable, Readable, Runnable, UserName
from image_promotion.web.pages.looks import Looks
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.policy_shelf import PolicyShelf
from image_promotion.web.pages.routes import add_pages
from tests.support.memory_store import MemoryStore
from tests.unit.promotion.conftest import SOURCE, World
from tests.unit.web.pages.conftest import NOW, ScriptedAirflow

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TIME_S = 10.0
POLICY = "website-stable-to-qa"
TEXT = """\
name: website-stable-to-qa
source: {connection: dev_registry, repository: dev/website}
target: {connection: qa_registry, repository: "qa/website"}
triggers:
  - tag: {ends_with: -stable}
"""


@dataclass
class CountedStore(MemoryStore):
    """A store that counts how often it was closed."""

    closed: int = 0

    async def aclose(self) -> None:
        self.closed += 1


@dataclass(frozen=True, slots=True)
class _Rights:
    """What somebody may do with connections."""

    edits: bool

    def may_edit(self, *_connection_ids: str) -> bool:
        return self.edits


@dataclass
class Bench:
    """The pages, the registries behind them, and the folder of policies."""

    app: FastAPI
    folder: Path
    looks: Looks = field(default_factory=Looks)
    world: World = field(init=False)
    stores: dict[str, CountedStore] = field(init=False)
    missing: set[str] = field(default_factory=set)

    def write(self, text: str = TEXT, name: str = POLICY) -> None:
        (self.folder / f"{name}.yaml").write_text(text)

    def push(self, tag: str, content: str = "content", repository: str = SOURCE) -> Digest:
        return self.world.push(tag, content, repository)

    def seen_by(
        self, *may_trigger: str, may_see: tuple[str, ...] = (), edits_connections: bool = False
    ) -> TestClient:
        """Give a client of somebody who may see what they may trigger, and more."""
        overrides = self.app.dependency_overrides
        overrides[_dependency(Readable)] = lambda: frozenset({*may_trigger, *may_see})
        overrides[_dependency(Runnable)] = lambda: frozenset(may_trigger)
        overrides[_dependency(Pausable)] = _nothing
        overrides[_dependency(UserName)] = lambda: "alice"
        overrides[_dependency(Connections)] = lambda: _Rights(edits_connections)
        from starlette.testclient import (  # noqa: PLC0415 - it warns, which only the tests forgive
            TestClient,
        )

        return TestClient(self.app, root_path="/airflow/image-promotion")

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        """Do what the look-up of connections does."""
        if connection_id in self.missing:
            raise ConnectionSettingsError(
                "there is no such connection",
                connection_id=connection_id,
                advice="Make it in Admin, Connections.",
            )
        return RegistryEndpoint(connection_id, f"https://{connection_id}.example")

    def connection_ids(self) -> list[str]:
        return sorted(self.stores)

    def writes(self) -> list[str]:
        """Return what was written to any registry."""
        return [
            event.action
            for store in self.stores.values()
            for event in store.events
            if event.action.startswith(("put", "mount", "remove"))
        ]


def _nothing() -> frozenset[str]:
    return frozenset()


def _dependency(annotated: object) -> Callable[..., object]:
    found: Callable[..., object] = get_args(annotated)[1].dependency
    return found


def bench_of(folder: Path) -> Bench:
    """Make pages over whatever `lay_out` puts behind them; making them takes a while.

    Args:
        folder: For policies.

    Returns:
        The bench, of which nothing may be used yet.
    """
    bench = Bench(FastAPI(openapi_url=None), folder)
    site = Site(
        lambda: bench.world.ledger,
        ScriptedAirflow(),
        PolicyShelf(folder),
        lambda: bench.world.now,
        registries=bench,
        looks=bench.looks,
        open_store=lambda endpoint: bench.stores[endpoint.connection_id],
    )
    add_pages(bench.app, site)
    return bench


@contextmanager
def lay_out(bench: Bench, ledger_file: Path) -> Iterator[Bench]:
    """Put an empty ledger, two empty registries and one policy between them behind the pages.

    Args:
        bench: The pages.
        ledger_file: The ledger.

    Yields:
        The bench.
    """
    bench.missing.clear()
    bench.looks.time_s = TIME_S
    for path in bench.folder.iterdir():
        path.unlink()
    bench.write()
    bench.stores = {
        "dev_registry": CountedStore("dev", "dev"),
        "qa_registry": CountedStore("qa", "qa"),
    }
    with Ledger.open(f"sqlite:///{ledger_file}") as ledger:
        source, target = bench.stores.values()
        bench.world = World(ledger, source, target, now=NOW)
        yield bench
