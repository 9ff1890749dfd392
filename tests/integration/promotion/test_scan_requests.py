"""What a scan asks a real registry, by that registry's own log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from image_promotion.ledger.ledger import Ledger
from image_promotion.policy.model import Policy
from image_promotion.promotion.scanning import Scan, scan_and_record, version_of
from image_promotion.registry.client import RegistryClient
from image_promotion.registry.endpoint import RegistryEndpoint
from sandbox.registry_process import RegistryProcess
from sandbox.registry_storage import RegistryStorage

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Give a registry of six repositories with 200 tags each, every fiftieth of them stable."""
    folder = tmp_path_factory.mktemp("registry")
    storage = RegistryStorage(folder / "content")
    for number in range(6):
        repository = f"apps/{number}"
        image = storage.add_image(repository, "0-stable", layer=repository.encode())
        tags = (f"{n}-stable" if n % 50 == 0 else f"{n}-rc" for n in range(1, 200))
        storage.set_tags(repository, tags, image.digest)
    with RegistryProcess.start(folder, logs_requests=True) as running:
        yield running


async def scan_of(
    repository: str, registry: RegistryProcess, folder: Path
) -> tuple[Scan, Counter[str]]:
    """Scan, and count the requests by what they ask for."""
    policy = Policy.model_validate(
        {
            "name": "stable",
            "source": {"connection": "dev_registry", "repository": repository},
            "target": {
                "connection": "qa_registry",
                "repository": "qa/{name}" if "*" in repository else "qa/app",
            },
            "triggers": [{"tag": {"ends_with": "-stable"}}],
        }
    )
    before = len(registry.requests())
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        async with RegistryClient(RegistryEndpoint("dev_registry", registry.url)) as source:
            run = ledger.begin_run(version_of(policy), key="run", kind="manual", at=NOW)
            seen = await scan_and_record(policy, source, ledger, run, now=NOW)
    asked = (request.partition("?")[0] for request in registry.requests()[before:])
    return seen, Counter(_without_names(each) for each in asked)


def _without_names(request: str) -> str:
    for part in ("/_catalog", "/tags/list", "/manifests/"):
        if part in request:
            return f"{request.partition(' ')[0]} {part}"
    return request


async def test_only_tags_that_can_matter_are_asked_for_their_digests(
    registry: RegistryProcess, tmp_path: Path
) -> None:
    seen, asked = await scan_of("apps/3", registry, tmp_path)
    assert (seen.tags_seen, len(seen.sightings), seen.rejected_count) == (200, 4, 196)
    assert asked == {"GET /tags/list": 1, "HEAD /manifests/": 4}


async def test_a_pattern_costs_a_list_for_each_repository_and_one_of_them_all(
    registry: RegistryProcess, tmp_path: Path
) -> None:
    seen, asked = await scan_of("apps/*", registry, tmp_path)
    assert (seen.tags_seen, len(seen.sightings), seen.rejected_count) == (1200, 24, 1176)
    assert asked == {"GET /_catalog": 1, "GET /tags/list": 6, "HEAD /manifests/": 24}


async def test_of_the_tags_that_are_out_no_more_is_kept_than_is_named_to_people(
    registry: RegistryProcess, tmp_path: Path
) -> None:
    seen, _ = await scan_of("apps/*", registry, tmp_path)
    assert [(each.repository, each.tag) for each in seen.rejected[:2]] == [
        ("apps/0", "1-rc"),
        ("apps/0", "10-rc"),
    ]
    assert len(seen.rejected) == 20
