"""What a page tells of real registries is what the run then does; the look writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from image_promotion.ledger.records import Outcome
from image_promotion.policy.model import Policy
from image_promotion.registry.endpoint import RegistryEndpoint
from image_promotion.web.pages.page_sources import Site
from image_promotion.web.pages.picking import repositories_of, tags_of
from image_promotion.web.pages.trying import try_tag, what_now
from sandbox.image_layers import noise_layer
from sandbox.registry_process import RegistryProcess
from sandbox.sample_images import push_image
from tests.integration.promotion.conftest import Workplace, policy_from
from tests.integration.promotion.test_dry_run import SOURCE, TARGET, fill, moved, stored


class _Connections:
    """The connections of a workplace."""

    def __init__(self, place: Workplace) -> None:
        self._place = place

    def endpoint(self, connection_id: str) -> RegistryEndpoint:
        return self._place.endpoints[connection_id]

    def connection_ids(self) -> Sequence[str]:
        return sorted(self._place.endpoints)


def site_of(place: Workplace) -> Site:
    return Site(ledger=lambda: place.ledger, now=lambda: place.now, registries=_Connections(place))


def rows(ledger_file: Path) -> list[str]:
    """Return all that a ledger holds."""
    with sqlite3.connect(ledger_file) as connection:
        return list(connection.iterdump())


async def test_what_is_told_of_a_policy_is_what_its_run_then_does_and_nothing_is_written(
    place: Workplace, dev: RegistryProcess, qa: RegistryProcess, tmp_path: Path
) -> None:
    place.connect("dev_registry", dev.url)
    place.connect("qa_registry", qa.url)
    fill(dev)
    other = push_image(qa.url, TARGET, "1.0-stable", layers=[noise_layer(3_000, "9")])
    policy: Policy = policy_from(("dev_registry", SOURCE), ("qa_registry", TARGET))
    site = site_of(place)
    before, ledger = stored(dev, qa), rows(tmp_path / "ledger.db")

    outlook = await what_now(site, policy, who="alice")
    taken = await try_tag(site, policy, "1.0-stable", who="alice")
    free = await try_tag(site, policy, "1.1-stable", who="alice")
    tags = await tags_of(site, "dev_registry", SOURCE, "1.")
    repositories = await repositories_of(site, "dev_registry")

    assert stored(dev, qa) == before
    assert rows(tmp_path / "ledger.db") == ledger
    assert (taken.outcome, taken.targets[0].held_digest) == (Outcome.CONFLICT, other.digest)
    assert (free.outcome, free.targets[0].standing) == (Outcome.PROMOTE, "free")
    assert tags.names == ("1.0-stable", "1.1-again-stable", "1.1-stable", "1.2-rc1")
    assert (repositories.names, repositories.is_complete) == ((SOURCE,), True)
    report = await place.run(policy)
    assert len(report.verified) == outlook.promote == 3
    assert outlook.conflict == 1
    assert outlook.moved
    figures = outlook.moved
    assert (figures.bytes_copied, figures.bytes_mounted, figures.bytes_skipped) == moved(
        report.verified
    )
    again = await what_now(site, policy, who="alice")
    assert (again.promote, again.arrived) == (0, 3)
