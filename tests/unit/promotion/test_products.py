"""What registries of a known type say by their own interfaces, and what it is used for.

The interfaces are doubles: they answer as the products' documentation has it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from image_promotion.errors import NotFoundError, RateLimitedError
from image_promotion.ledger.records import Outcome, State
from image_promotion.policy.model import Policy
from image_promotion.promotion.scanning import scan
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.manifest import OCI_MANIFEST
from image_promotion.registry.products.catalogue import Catalogue
from image_promotion.registry.products.client import ProductClient
from image_promotion.registry.retry import NO_RETRY
from tests.support.memory_store import MemoryStore
from tests.support.product_doubles import (
    PASSWORD,
    USER,
    DockerHubDouble,
    DtrDouble,
    HarborDouble,
)
from tests.support.scripted_server import Reply, ScriptedServer
from tests.unit.promotion.conftest import SOURCE, START, TARGET, World, policy_of

STABLE = 230
DIGEST = Digest.of(b"image")
HEAD_REPLY = Reply(
    200,
    headers={
        "Content-Type": OCI_MANIFEST,
        "Content-Length": "5",
        "Docker-Content-Digest": str(DIGEST),
    },
)


@dataclass
class CatalogueStore(MemoryStore):
    """Images in memory, and the product's own interface beside them."""

    catalogue: Catalogue = field(kw_only=True)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


Connect = Callable[[RegistryType], ProductClient]


@pytest.fixture
async def connect(server: ScriptedServer) -> AsyncIterator[Connect]:
    clients: list[ProductClient] = []

    def make(registry_type: RegistryType) -> ProductClient:
        endpoint = RegistryEndpoint("dev", server.url, registry_type, USER, PASSWORD)
        clients.append(ProductClient(endpoint, retry=NO_RETRY, hub_url=server.url))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


def tag_of_dtr(name: str, digest: Digest | None = DIGEST, **more: object) -> dict[str, object]:
    return {"name": name, "digest": "" if digest is None else str(digest), **more}


def tag_of_hub(name: str) -> dict[str, object]:
    return {"name": name, "digest": str(DIGEST), "tag_last_pushed": "2026-05-07T10:11:12Z"}


# ---- scanning


async def test_tags_that_are_listed_with_digests_cost_no_request_each(
    server: ScriptedServer, connect: Connect
) -> None:
    dtr = DtrDouble(server, SOURCE)
    names = [f"1.{number}-stable" for number in range(STABLE)]
    dtr.page("0", [tag_of_dtr(name) for name in names[:100]], following="100")
    dtr.page("100", [tag_of_dtr(name) for name in names[100:200]], following="200")
    dtr.page("200", [*(tag_of_dtr(name) for name in names[200:]), tag_of_dtr("2.0-rc1", None)])

    seen = await scan(policy_of(), connect(RegistryType.DTR), now=START)

    assert {each.tag for each in seen.sightings} == set(names)
    assert {each.digest for each in seen.sightings} == {str(DIGEST)}
    assert len(server.seen) == 3


async def test_a_tag_that_is_listed_without_a_digest_is_looked_up(
    server: ScriptedServer, connect: Connect
) -> None:
    other = Digest.of(b"other")
    dtr = DtrDouble(server, SOURCE)
    dtr.page("0", [tag_of_dtr("1.0-stable", other), tag_of_dtr("1.1-stable", None)])
    server.on(f"HEAD /v2/{SOURCE}/manifests/1.1-stable", HEAD_REPLY)

    seen = await scan(policy_of(), connect(RegistryType.DTR), now=START)

    assert {each.tag: each.digest for each in seen.sightings} == {
        "1.0-stable": str(other),
        "1.1-stable": str(DIGEST),
    }
    assert len(server.seen) == 2


async def test_an_interface_that_does_not_let_us_in_is_done_without(
    server: ScriptedServer, connect: Connect
) -> None:
    project, name = SOURCE.split("/")
    server.on(
        f"GET /api/v2.0/projects/{project}/repositories/{name}/artifacts?page=1&page_size=100"
        "&q=tags%3D%2A&with_tag=true&with_scan_overview=true&with_immutable_status=true",
        Reply.of_json({"errors": [{"code": "FORBIDDEN", "message": "no"}]}, 403),
    )
    listing = Reply.of_json({"name": SOURCE, "tags": ["1.0-stable"]})
    server.on(f"GET /v2/{SOURCE}/tags/list?n=1000", listing)
    server.on(f"HEAD /v2/{SOURCE}/manifests/1.0-stable", HEAD_REPLY)

    seen = await scan(policy_of(), connect(RegistryType.HARBOR), now=START)

    assert [each.digest for each in seen.sightings] == [str(DIGEST)]
    assert "listed without digests, since the product's own interface failed" in str(seen)
    assert PASSWORD not in str(seen)


async def test_what_docker_hub_still_allows_is_shown(
    server: ScriptedServer, connect: Connect
) -> None:
    hub = DockerHubDouble(server, SOURCE)
    hub.takes_logins()
    hub.page([tag_of_hub("1.0-stable")], token="token-1")
    limits = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    server.on(
        f"HEAD /v2/{SOURCE}/manifests/1.0-stable",
        Reply(200, headers={**HEAD_REPLY.headers, **limits}),
    )

    seen = await scan(policy_of(), connect(RegistryType.DOCKER_HUB), now=START)

    assert str(seen) == (
        "1 tag seen, 0 rejected by name, 1 looked up; "
        "Docker Hub's pulls: 76 of 100 in 6 h left; questions to Docker Hub: 599 of 600 left"
    )


async def test_limits_that_nobody_tells_stop_nothing(
    server: ScriptedServer, connect: Connect
) -> None:
    hub = DockerHubDouble(server, SOURCE)
    hub.takes_logins()
    hub.page([tag_of_hub("1.0-stable")], token="token-1")
    server.on(f"HEAD /v2/{SOURCE}/manifests/1.0-stable", Reply(500))

    seen = await scan(policy_of(), connect(RegistryType.DOCKER_HUB), now=START)

    assert len(seen.sightings) == 1
    assert seen.notes == ()


async def test_an_interface_that_asks_for_patience_is_not_gone_around(
    server: ScriptedServer, connect: Connect
) -> None:
    hub = DockerHubDouble(server, SOURCE)
    hub.takes_logins()
    hub.slow_down_once(1_700_000_000)

    with pytest.raises(RateLimitedError):
        await scan(policy_of(), connect(RegistryType.DOCKER_HUB), now=START)


# ---- evaluating


async def test_the_time_of_the_push_decides_before_that_of_the_build(
    world: World, server: ScriptedServer, connect: Connect
) -> None:
    policy = policy_of(triggers=[{"updated": {"older_than": "2h"}}])
    world.source = CatalogueStore("dev", "dev", catalogue=connect(RegistryType.DTR).catalogue)
    old = json.dumps({"created": (START - timedelta(days=9)).isoformat()}).encode()
    image = world.source.hold_image(SOURCE, b"a", config=old)
    other = world.source.hold_image(SOURCE, b"b", config=old)
    world.source.tags[SOURCE] = {"1.0": image.digest, "1.1": other.digest}
    pushed = (START - timedelta(hours=1)).isoformat()
    dtr = DtrDouble(server, SOURCE)
    dtr.page(
        "0", [tag_of_dtr("1.0", image.digest, updatedAt=pushed), tag_of_dtr("1.1", other.digest)]
    )

    _, evaluation = await world.decide(policy)

    young, by_config = evaluation.decisions
    assert young.outcome is Outcome.WAIT
    assert young.wait_until == START + timedelta(hours=1)
    assert young.reasons[0].source == "time of push, by dev"
    assert by_config.outcome is Outcome.PROMOTE
    assert by_config.reasons[0].source.startswith("`created` of config")


async def test_a_time_of_push_of_another_image_does_not_count(
    world: World, server: ScriptedServer, connect: Connect
) -> None:
    policy = policy_of(triggers=[{"updated": {"older_than": "2h"}}])
    world.source = CatalogueStore("dev", "dev", catalogue=connect(RegistryType.DTR).catalogue)
    old = json.dumps({"created": (START - timedelta(days=9)).isoformat()}).encode()
    image = world.source.hold_image(SOURCE, b"a", config=old)
    world.source.tags[SOURCE] = {"1.0": image.digest}
    dtr = DtrDouble(server, SOURCE)
    dtr.page("0", [tag_of_dtr("1.0", image.digest)])
    run = world.begin(policy)
    await world.scan(policy, run)
    server.forget()
    dtr.page("0", [tag_of_dtr("1.0", Digest.of(b"newer"), updatedAt=START.isoformat())])

    evaluation = await world.evaluate(policy, run)

    assert [each.outcome for each in evaluation.decisions] == [Outcome.PROMOTE]


@pytest.mark.parametrize(
    ("immutable", "outcome"), [(True, Outcome.CONFLICT), (False, Outcome.PROMOTE)]
)
async def test_a_repository_of_immutable_tags_is_a_conflict_before_any_copy(
    world: World,
    server: ScriptedServer,
    connect: Connect,
    immutable: bool,
    outcome: Outcome,
) -> None:
    world.target = CatalogueStore("qa", "qa", catalogue=connect(RegistryType.DTR).catalogue)
    DtrDouble(server, TARGET).repository(immutable_tags=immutable)
    held = world.target.hold_image(TARGET, b"somebody else's")
    world.target.tags[TARGET] = {"1.4-stable": held.digest}
    world.push("1.4-stable", "a")

    _, evaluation = await world.decide(overwriting())

    (decision,) = evaluation.decisions
    assert decision.outcome is outcome
    if immutable:
        assert decision.reasons[-1].found == (
            f"holds {held.digest}; existing_tag: overwrite, but the target registry has made the "
            "tag immutable"
        )


async def test_immutable_tags_are_told_apart_one_by_one(
    world: World, server: ScriptedServer, connect: Connect
) -> None:
    world.target = CatalogueStore("qa", "qa", catalogue=connect(RegistryType.HARBOR).catalogue)
    held = world.target.hold_image(TARGET, b"somebody else's")
    world.target.tags[TARGET] = {"1.4-stable": held.digest, "1.5-stable": held.digest}
    tags = [{"name": "1.4-stable", "immutable": True}, {"name": "1.5-stable", "immutable": False}]
    HarborDouble(server, *TARGET.split("/")).page(1, [{"digest": str(held.digest), "tags": tags}])
    for tag in ("1.4-stable", "1.5-stable", "1.6-stable"):
        world.push(tag, tag)

    _, evaluation = await world.decide(overwriting())

    assert {each.image.tag: each.outcome for each in evaluation.decisions} == {
        "1.4-stable": Outcome.CONFLICT,
        "1.5-stable": Outcome.PROMOTE,
        "1.6-stable": Outcome.PROMOTE,
    }


def overwriting() -> Policy:
    return policy_of(
        target={"connection": "qa_registry", "repository": TARGET, "existing_tag": "overwrite"}
    )


# ---- copying


async def test_a_repository_that_dtr_lacks_is_created_once_before_the_first_copy(
    world: World, server: ScriptedServer, connect: Connect
) -> None:
    world.target = CatalogueStore("qa", "qa", catalogue=connect(RegistryType.DTR).catalogue)
    dtr = DtrDouble(server, TARGET)
    dtr.repository(immutable_tags=None)
    dtr.takes_new_repositories()
    world.push("1.4-stable", "a")
    first = await world.promote(policy_of())
    world.push("1.5-stable", "b")
    asked = len(server.seen)
    second = await world.promote(policy_of())

    assert [each.state for each in (*first.verified, *second.verified)] == [State.VERIFIED] * 2
    assert [each["name"] for each in dtr.created] == ["website"]
    copied = world.ledger.transitions(first.verified[0].id)[1]
    assert copied.detail.startswith("the target repository was created; ")
    assert len(server.seen) == asked


async def test_a_project_that_harbor_lacks_fails_the_copy_unless_it_may_be_created(
    world: World, server: ScriptedServer, connect: Connect
) -> None:
    world.target = CatalogueStore("qa", "qa", catalogue=connect(RegistryType.HARBOR).catalogue)
    HarborDouble(server, *TARGET.split("/")).project(exists=False)
    world.push("1.4-stable", "a")

    with pytest.raises(NotFoundError, match="the project qa does not exist"):
        await world.promote(policy_of())

    assert world.target.events == []
