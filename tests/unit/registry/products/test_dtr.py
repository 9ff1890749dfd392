from __future__ import annotations

from datetime import UTC, datetime

import pytest

from image_promotion.errors import (
    AuthenticationError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    ProtocolViolationError,
    RegistryError,
)
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryType
from image_promotion.registry.products.catalogue import ScanState, TagRecord
from image_promotion.registry.products.dtr import DtrCatalogue, NewRepository
from tests.support.product_doubles import PASSWORD, DtrDouble
from tests.support.scripted_server import Reply, ScriptedServer
from tests.unit.registry.products.conftest import Connect

FULL = "dev/website"
DIGEST = Digest.of(b"image")
WHEN = "2019-05-07T10:11:12.5Z"


def tag(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "digest": str(DIGEST),
        "author": "ci",
        "createdAt": WHEN,
        "updatedAt": WHEN,
        "hashMismatch": False,
        "inNotary": False,
        **more,
    }


@pytest.fixture
def dtr(server: ScriptedServer) -> DtrDouble:
    return DtrDouble(server, FULL)


@pytest.fixture
def catalogue(connect: Connect) -> DtrCatalogue:
    return DtrCatalogue(*connect(RegistryType.DTR))


async def tags_of(catalogue: DtrCatalogue, repository: str = FULL) -> list[TagRecord]:
    return [record async for record in catalogue.list_tags(repository)]


async def test_tags_come_with_digest_and_last_push(dtr: DtrDouble, catalogue: DtrCatalogue) -> None:
    dtr.page("0", [tag("1.0")])

    (record,) = await tags_of(catalogue)

    assert record == TagRecord("1.0", DIGEST, datetime(2019, 5, 7, 10, 11, 12, 500_000, tzinfo=UTC))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, ScanState.FAILED),
        (1, ScanState.ABSENT),
        (2, ScanState.RUNNING),
        (3, ScanState.WAITING),
        (4, ScanState.RUNNING),
        (5, ScanState.RUNNING),
        (6, ScanState.DONE),
        (99, ScanState.UNKNOWN),
    ],
)
async def test_unscanned_and_clean_are_told_apart(
    dtr: DtrDouble, catalogue: DtrCatalogue, status: int, state: ScanState
) -> None:
    dtr.page("0", [tag("1.0", vuln_summary={"critical": 0, "last_scan_status": status})])

    assert [record.scan for record in await tags_of(catalogue)] == [state]


async def test_pages_begin_where_the_last_one_said(dtr: DtrDouble, catalogue: DtrCatalogue) -> None:
    dtr.page("0", [tag("1.0"), tag("1.1")], following="1.1")
    dtr.page("1.1", [tag("1.1"), tag("1.2")])

    assert [record.tag for record in await tags_of(catalogue)] == ["1.0", "1.1", "1.2"]


async def test_pages_that_go_in_a_circle_end(dtr: DtrDouble, catalogue: DtrCatalogue) -> None:
    dtr.page("0", [tag("1.0")], following="a")
    dtr.page("a", [tag("1.1")], following="0")

    with pytest.raises(ProtocolViolationError):
        await tags_of(catalogue)


@pytest.mark.parametrize(
    "broken",
    [
        [{"digest": "sha256:x"}],
        [{"name": "1.0", "digest": "sha256:x"}],
        [{"name": "no/tag"}],
        [{"name": 1}],
        [{"name": "1.0", "updatedAt": "yesterday"}],
        [{"name": "1.0", "updatedAt": "2019-05-07T10:11:12"}],
    ],
)
async def test_what_is_not_as_documented_is_refused(
    dtr: DtrDouble, catalogue: DtrCatalogue, broken: list[dict[str, object]]
) -> None:
    dtr.page("0", broken)

    with pytest.raises(ProtocolViolationError) as caught:
        await tags_of(catalogue)

    assert caught.value.subject.repository == FULL


async def test_a_web_page_is_no_listing(server: ScriptedServer, catalogue: DtrCatalogue) -> None:
    line = f"GET /api/v0/repositories/{FULL}/tags?pageSize=100&pageStart=0"
    server.on(line, Reply(200, b"<html>sign in</html>", {"Content-Type": "text/html"}))

    with pytest.raises(ProtocolViolationError):
        await tags_of(catalogue)


async def test_a_wrong_password_is_told_though_dtr_does_not_ask_for_one(
    dtr: DtrDouble, connect: Connect
) -> None:
    dtr.page("0", [tag("1.0")])
    catalogue = DtrCatalogue(*connect(RegistryType.DTR, password="wrong-canary"))

    with pytest.raises(AuthenticationError) as caught:
        await tags_of(catalogue)

    assert caught.value.advice
    assert "canary" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("repository", ["website", "a/b/c"])
async def test_names_that_dtr_cannot_have_are_refused(
    catalogue: DtrCatalogue, repository: str
) -> None:
    with pytest.raises(InvalidReferenceError):
        await tags_of(catalogue, repository)


async def test_a_repository_that_is_there_is_left_alone(
    dtr: DtrDouble, catalogue: DtrCatalogue
) -> None:
    dtr.repository(immutable_tags=True)

    assert not await catalogue.ensure_repository(FULL)
    assert await catalogue.has_immutable_tags(FULL) is True


async def test_a_missing_repository_is_created_as_the_connection_says(
    dtr: DtrDouble, connect: Connect
) -> None:
    dtr.repository(immutable_tags=None)
    dtr.takes_new_repositories()
    session, endpoint = connect(RegistryType.DTR, namespace="dev")
    catalogue = DtrCatalogue(session, endpoint, NewRepository("public", True, False))

    with pytest.raises(NotFoundError):
        await catalogue.has_immutable_tags("website")
    assert await catalogue.ensure_repository("website")
    assert not await catalogue.ensure_repository("website")

    assert dtr.created == [
        {
            "name": "website",
            "visibility": "public",
            "immutableTags": True,
            "scanOnPush": False,
            "enableManifestLists": True,
        }
    ]


async def test_a_repository_that_somebody_else_creates_meanwhile_is_no_error(
    server: ScriptedServer, catalogue: DtrCatalogue
) -> None:
    server.on(
        f"GET /api/v0/repositories/{FULL}", Reply(404), Reply.of_json({"immutableTags": False})
    )
    server.on("POST /api/v0/repositories/dev", Reply(400))

    assert not await catalogue.ensure_repository(FULL)


@pytest.mark.parametrize(("status", "kind"), [(403, DeniedError), (400, RegistryError)])
async def test_a_repository_that_may_not_be_created_is_an_error(
    dtr: DtrDouble, catalogue: DtrCatalogue, status: int, kind: type[RegistryError]
) -> None:
    dtr.repository(immutable_tags=None)
    dtr.takes_new_repositories(Reply(status))

    with pytest.raises(kind) as caught:
        await catalogue.ensure_repository(FULL)

    assert caught.value.status == status
    assert PASSWORD not in str(caught.value)
