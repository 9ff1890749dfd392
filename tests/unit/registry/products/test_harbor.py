from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from image_promotion.errors import (
    AuthenticationError,
    DeniedError,
    InvalidReferenceError,
    NotFoundError,
    ProtocolViolationError,
)
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryType
from image_promotion.registry.products import harbor as module
from image_promotion.registry.products.catalogue import ScanState, TagRecord
from image_promotion.registry.products.harbor import REPORT_TYPES, HarborCatalogue
from tests.support.product_doubles import HarborDouble
from tests.support.scripted_server import ScriptedServer
from tests.unit.registry.products.conftest import Connect

FULL = "qa/team/website"
DIGEST = Digest.of(b"image")
WHEN = "2026-05-07T10:11:12.345Z"
MOMENT = datetime(2026, 5, 7, 10, 11, 12, 345_000, tzinfo=UTC)


def artifact(*tags: str, **more: object) -> dict[str, object]:
    return {
        "id": 7,
        "type": "IMAGE",
        "digest": str(DIGEST),
        "push_time": WHEN,
        "tags": [{"name": tag, "push_time": WHEN, "immutable": False} for tag in tags] or None,
        **more,
    }


@pytest.fixture
def harbor(server: ScriptedServer) -> HarborDouble:
    return HarborDouble(server, "qa", "team%252Fwebsite")


@pytest.fixture
def catalogue(connect: Connect) -> HarborCatalogue:
    return HarborCatalogue(*connect(RegistryType.HARBOR))


async def tags_of(catalogue: HarborCatalogue, repository: str = FULL) -> list[TagRecord]:
    return [record async for record in catalogue.list_tags(repository)]


async def test_tags_come_with_all_that_harbor_says(
    server: ScriptedServer, harbor: HarborDouble, catalogue: HarborCatalogue
) -> None:
    overview = {REPORT_TYPES[0]: {"scan_status": "Success", "severity": "High"}}
    harbor.page(1, [artifact("1.0", "latest", scan_overview=overview)])

    records = await tags_of(catalogue)

    assert records == [
        TagRecord(name, DIGEST, MOMENT, ScanState.DONE, is_immutable=False)
        for name in ("1.0", "latest")
    ]
    assert server.seen[0].headers["x-accept-vulnerabilities"] == ", ".join(REPORT_TYPES)


@pytest.mark.parametrize(
    ("overview", "state"),
    [
        (None, ScanState.ABSENT),
        ({}, ScanState.ABSENT),
        ({REPORT_TYPES[1]: {"scan_status": "Running"}}, ScanState.RUNNING),
        ({REPORT_TYPES[0]: {"scan_status": "Pending"}}, ScanState.WAITING),
        ({REPORT_TYPES[0]: {"scan_status": "Error"}}, ScanState.FAILED),
        ({REPORT_TYPES[0]: {"scan_status": "Stopped"}}, ScanState.FAILED),
        ({REPORT_TYPES[0]: {"scan_status": "Unheard"}}, ScanState.UNKNOWN),
        ({"application/other": {"scan_status": "Success"}}, ScanState.DONE),
        (
            {
                REPORT_TYPES[1]: {"scan_status": "Success"},
                REPORT_TYPES[0]: {"scan_status": "Running"},
            },
            ScanState.RUNNING,
        ),
    ],
)
async def test_the_state_of_the_scan_is_that_of_the_report_asked_for_first(
    harbor: HarborDouble,
    catalogue: HarborCatalogue,
    overview: Mapping[str, object] | None,
    state: ScanState,
) -> None:
    harbor.page(1, [artifact("1.0", scan_overview=overview)])

    assert [record.scan for record in await tags_of(catalogue)] == [state]


async def test_pages_are_read_to_the_end_and_shifted_ones_list_nothing_twice(
    harbor: HarborDouble, catalogue: HarborCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbor.page(1, [artifact(f"1.{number}") for number in range(100)])
    harbor.page(2, [artifact("1.99"), artifact("1.100")])

    assert [record.tag for record in await tags_of(catalogue)] == [
        f"1.{number}" for number in range(101)
    ]

    monkeypatch.setattr(module, "MAX_PAGES", 1)
    with pytest.raises(ProtocolViolationError):
        await tags_of(catalogue)


async def test_go_s_zero_time_is_no_time(harbor: HarborDouble, catalogue: HarborCatalogue) -> None:
    tag = {"name": "1.0", "push_time": "0001-01-01T00:00:00.000Z", "immutable": True}
    harbor.page(1, [artifact(tags=[tag], push_time="0001-01-01T00:00:00.000Z")])

    (record,) = await tags_of(catalogue)

    assert (record.pushed_at, record.is_immutable) == (None, True)


async def test_a_wrong_secret_is_told(harbor: HarborDouble, connect: Connect) -> None:
    harbor.page(1, [])

    with pytest.raises(AuthenticationError):
        await tags_of(HarborCatalogue(*connect(RegistryType.HARBOR, password="wrong")))


async def test_a_name_without_a_project_is_refused(catalogue: HarborCatalogue) -> None:
    with pytest.raises(InvalidReferenceError):
        await tags_of(catalogue, "website")


async def test_a_project_that_is_there_is_left_alone(
    harbor: HarborDouble, catalogue: HarborCatalogue
) -> None:
    harbor.project(exists=True)

    assert not await catalogue.ensure_repository(FULL)
    assert await catalogue.has_immutable_tags(FULL) is None


async def test_a_missing_project_is_not_created_unless_the_connection_says_so(
    harbor: HarborDouble, catalogue: HarborCatalogue
) -> None:
    harbor.project(exists=False)

    with pytest.raises(NotFoundError) as caught:
        await catalogue.ensure_repository(FULL)

    assert caught.value.advice


async def test_a_missing_project_is_created_as_a_private_one(
    harbor: HarborDouble, connect: Connect
) -> None:
    """And without Harbor's cookie, with which we would be taken for a browser."""
    harbor.project(exists=False)
    harbor.takes_new_projects()
    catalogue = HarborCatalogue(*connect(RegistryType.HARBOR), creates_projects=True)

    assert await catalogue.ensure_repository(FULL)

    assert harbor.created == [{"project_name": "qa", "metadata": {"public": "false"}}]


async def test_a_project_that_somebody_else_creates_meanwhile_is_no_error(
    harbor: HarborDouble, connect: Connect
) -> None:
    harbor.project(exists=False)
    harbor.takes_new_projects(status=409)
    catalogue = HarborCatalogue(*connect(RegistryType.HARBOR), creates_projects=True)

    assert not await catalogue.ensure_repository(FULL)


async def test_a_robot_that_may_not_create_projects_is_told_why(
    harbor: HarborDouble, connect: Connect
) -> None:
    harbor.project(exists=False)
    harbor.takes_new_projects(status=403)
    catalogue = HarborCatalogue(*connect(RegistryType.HARBOR), creates_projects=True)

    with pytest.raises(DeniedError) as caught:
        await catalogue.ensure_repository(FULL)

    assert "robots" in caught.value.advice
