from __future__ import annotations

import pytest

from image_promotion.errors import AuthenticationError
from image_promotion.registry.endpoint import RegistryType
from image_promotion.registry.products.harbor_replication import HarborReplication
from tests.support.product_doubles import HarborReplicationDouble
from tests.support.scripted_server import ScriptedServer
from tests.unit.registry.products.conftest import Connect


@pytest.fixture
def harbor(server: ScriptedServer) -> HarborReplicationDouble:
    return HarborReplicationDouble(server)


async def test_all_pages_of_rules_and_registries_are_read(
    connect: Connect, harbor: HarborReplicationDouble
) -> None:
    rules = [{"id": number} for number in range(101)]
    harbor.rules(1, rules[:100])
    harbor.rules(2, rules[100:])
    harbor.registries(1, [{"id": 4}])

    replication = HarborReplication(*connect(RegistryType.HARBOR))

    assert await replication.document() == {"policies": rules, "registries": [{"id": 4}]}


async def test_whoever_is_not_let_in_reads_nothing(
    connect: Connect, harbor: HarborReplicationDouble
) -> None:
    harbor.rules(1, [])
    stranger = HarborReplication(*connect(RegistryType.HARBOR, password="wrong"))

    with pytest.raises(AuthenticationError):
        await stranger.document()
