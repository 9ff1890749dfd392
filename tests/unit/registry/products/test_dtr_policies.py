from __future__ import annotations

import pytest

from image_promotion.errors import AuthenticationError, ProtocolViolationError
from image_promotion.registry.endpoint import RegistryType
from image_promotion.registry.products.dtr_policies import DtrPolicies
from tests.support.product_doubles import DtrPoliciesDouble
from tests.support.scripted_server import Reply, ScriptedServer
from tests.unit.registry.products.conftest import Connect


@pytest.fixture
def dtr(server: ScriptedServer) -> DtrPoliciesDouble:
    return DtrPoliciesDouble(server)


@pytest.fixture
def policies(connect: Connect) -> DtrPolicies:
    return DtrPolicies(*connect(RegistryType.DTR))


async def test_all_repositories_are_walked_and_those_without_policies_left_out(
    dtr: DtrPoliciesDouble, policies: DtrPolicies
) -> None:
    dtr.page("0", ["dev/website", "dev/empty"], "next")
    dtr.page("next", ["dev/website", "dev/shop"])
    dtr.policies("dev/website", promotion=[{"id": "1"}], poll=[{"id": "2"}])
    dtr.policies("dev/empty")
    dtr.policies("dev/shop", push=[{"id": "3"}])

    assert [each async for each in policies.documents()] == [
        {
            "repository": "dev/website",
            "promotionPolicies": [{"id": "1"}],
            "pollMirroringPolicies": [{"id": "2"}],
        },
        {"repository": "dev/shop", "pushMirroringPolicies": [{"id": "3"}]},
    ]


async def test_policies_that_may_not_be_read_are_told_and_the_walk_goes_on(
    dtr: DtrPoliciesDouble, policies: DtrPolicies
) -> None:
    dtr.page("0", ["ops/secret", "dev/website"])
    refusal = Reply.of_json({"errors": [{"code": "NOT_AUTHORIZED", "message": ""}]}, 403)
    dtr.policies("ops/secret", refusal=refusal)
    dtr.policies("dev/website", promotion=[{"id": "1"}])

    first, second = [each async for each in policies.documents()]

    assert first["refused"] == [
        "promotionPolicies",
        "pushMirroringPolicies",
        "pollMirroringPolicies",
    ]
    assert second["promotionPolicies"] == [{"id": "1"}]


async def test_whoever_is_not_let_in_at_all_reads_nothing(
    connect: Connect, dtr: DtrPoliciesDouble
) -> None:
    dtr.page("0", [])
    stranger = DtrPolicies(*connect(RegistryType.DTR, password="wrong"))

    with pytest.raises(AuthenticationError):
        [each async for each in stranger.documents()]


@pytest.mark.parametrize("names", [["dev/../x"], ["Dev/website"]])
async def test_what_is_no_repository_is_never_asked_for(
    server: ScriptedServer, policies: DtrPolicies, names: list[str]
) -> None:
    listed = [
        {"namespace": each.partition("/")[0], "name": each.partition("/")[2]} for each in names
    ]
    line = "GET /api/v0/repositories?pageSize=100&pageStart=0"
    server.on(line, Reply.of_json({"repositories": listed}))

    with pytest.raises(ProtocolViolationError, match="no repository"):
        [each async for each in policies.documents()]


async def test_pages_that_go_round_in_a_circle_end(
    dtr: DtrPoliciesDouble, policies: DtrPolicies
) -> None:
    dtr.page("0", [], "1")
    dtr.page("1", [], "0")

    with pytest.raises(ProtocolViolationError, match="circle"):
        [each async for each in policies.documents()]
