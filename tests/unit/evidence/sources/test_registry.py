"""The scan results of Harbor and DTR; both are doubles, built from their documentation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from image_promotion.errors import (
    DeniedError,
    EvidenceError,
    NotFoundError,
    ProtocolViolationError,
    UnreachableError,
)
from image_promotion.evidence.document import Kind
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.registry import RegistrySource
from image_promotion.evidence.sources.source import Image, SourceAnswer
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.registry.digest import Digest
from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.products.client import ProductClient
from image_promotion.registry.retry import NO_RETRY
from tests.support.attachments import artifact
from tests.support.memory_store import MemoryStore
from tests.support.product_doubles import PASSWORD, USER
from tests.support.scan_doubles import HARBOR_REPORT, DtrScanDouble, HarborScanDouble
from tests.support.scripted_server import Reply, ScriptedServer

REPOSITORY = "qa/website"
IMAGE, OTHER = Digest.of(b"image"), Digest.of(b"other")
REPORT = {HARBOR_REPORT: {"generated_at": "2026-05-07T10:11:12Z", "vulnerabilities": []}}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


async def ask(server: ScriptedServer, kind: RegistryType, image: Image) -> SourceAnswer:
    endpoint = RegistryEndpoint("qa", server.url, kind, USER, PASSWORD)
    async with ProductClient(endpoint, retry=NO_RETRY) as client:
        return await RegistrySource(client).documents(image)


async def ask_harbor(server: ScriptedServer, *parts: Digest) -> SourceAnswer:
    return await ask(server, RegistryType.HARBOR, Image(REPOSITORY, IMAGE, parts))


async def ask_dtr(server: ScriptedServer, *tags: str) -> SourceAnswer:
    return await ask(server, RegistryType.DTR, Image(REPOSITORY, IMAGE, tags=tags))


def summary(status: int, **more: object) -> dict[str, object]:
    done = "2026-05-07T10:11:12Z" if status == 6 else "0001-01-01T00:00:00Z"
    return {
        "namespace": "qa",
        "reponame": "website",
        "tag": "1.0",
        "critical": 0,
        "major": 1,
        "minor": 2,
        "last_scan_status": status,
        "check_completed_at": done,
        "should_rescan": False,
        "has_foreign_layers": False,
        **more,
    }


async def test_a_registry_without_a_scanner_says_so() -> None:
    answer = await RegistrySource(MemoryStore()).documents(Image(REPOSITORY, IMAGE))

    assert answer.documents == ()
    assert [(note.state, note.error) for note in answer.notes] == [(None, None)]


async def test_harbors_report_is_a_document_byte_for_byte(server: ScriptedServer) -> None:
    harbor = HarborScanDouble(server, IMAGE)
    harbor.artifact("Success")
    harbor.report(REPORT)

    answer = await ask_harbor(server)

    (document,) = answer.documents
    assert document.content == json.dumps(REPORT).encode()
    assert (document.kind, document.media_type) == (Kind.REPORT, HARBOR_REPORT)
    assert (document.source, document.subject) == (SourceName.REGISTRY, str(IMAGE))
    assert document.location == f"scan of {REPOSITORY}@{IMAGE} by the registry"
    assert document.at == datetime(2026, 5, 7, 10, 11, 12, tzinfo=UTC)
    assert answer.notes == ()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, ScanState.NOT_SCANNED),
        ("Pending", ScanState.PENDING),
        ("Scheduled", ScanState.PENDING),
        ("Running", ScanState.RUNNING),
        ("Error", ScanState.FAILED),
        ("Stopped", ScanState.FAILED),
        ("Levitating", ScanState.FAILED),
    ],
)
async def test_a_scan_of_harbor_that_is_not_done_is_a_state_and_no_document(
    server: ScriptedServer, status: str | None, state: ScanState
) -> None:
    HarborScanDouble(server, IMAGE).artifact(status)

    answer = await ask_harbor(server)

    assert answer.documents == ()
    assert [(note.subject, note.state, note.error) for note in answer.notes] == [
        (str(IMAGE), state, None)
    ]
    assert (status or "not scanned") in answer.notes[0].said


@pytest.mark.parametrize("empty", [{}, {HARBOR_REPORT: None}, {HARBOR_REPORT: {}}])
async def test_harbors_200_without_a_report_is_not_clean(
    server: ScriptedServer, empty: object
) -> None:
    harbor = HarborScanDouble(server, IMAGE)
    harbor.artifact("Success")
    harbor.report(empty)

    answer = await ask_harbor(server)

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [ScanState.NOT_SCANNED]


async def test_an_image_that_harbor_does_not_know_is_not_scanned(server: ScriptedServer) -> None:
    HarborScanDouble(server, IMAGE).artifact(None, reply=Reply.of_json({"errors": []}, 404))

    answer = await ask_harbor(server)

    assert [note.state for note in answer.notes] == [ScanState.NOT_SCANNED]


async def test_each_platform_has_its_own_scan_in_harbor(server: ScriptedServer) -> None:
    first, second = Digest.of(b"amd64"), Digest.of(b"arm64")
    scanned, running = HarborScanDouble(server, first), HarborScanDouble(server, second)
    scanned.artifact("Success")
    scanned.report(REPORT)
    running.artifact("Running")

    answer = await ask_harbor(server, first, second)

    assert [each.subject for each in answer.documents] == [str(first)]
    assert [(note.subject, note.state) for note in answer.notes] == [
        (str(second), ScanState.RUNNING)
    ]


async def test_an_account_that_may_not_see_scans_is_told_what_it_needs(
    server: ScriptedServer,
) -> None:
    harbor = HarborScanDouble(server, IMAGE)
    harbor.artifact("Success")
    harbor.report({"errors": [{"code": "FORBIDDEN", "message": ""}]}, 403)

    answer = await ask_harbor(server)

    assert answer.documents == ()
    (note,) = answer.notes
    assert isinstance(note.error, DeniedError)
    assert "artifact additions" in note.error.advice


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of_json({"digest": str(OTHER), "scan_overview": {}}),
        Reply.of_json(["unlike", "the", "documentation"]),
        Reply(200, b"not JSON", {"Content-Type": "application/json"}),
    ],
)
async def test_an_answer_unlike_the_documentation_is_no_evidence(
    server: ScriptedServer, reply: Reply
) -> None:
    HarborScanDouble(server, IMAGE).artifact(None, reply=reply)

    answer = await ask_harbor(server)

    assert answer.documents == ()
    assert [type(note.error) for note in answer.notes] == [ProtocolViolationError]


async def test_a_registry_that_does_not_answer_leaves_no_answer(server: ScriptedServer) -> None:
    HarborScanDouble(server, IMAGE).artifact(None, reply=Reply(never=True))

    with pytest.raises(UnreachableError):
        await ask_harbor(server)


async def test_the_sbom_that_harbor_made_is_read_by_the_digest_that_harbor_tells(
    server: ScriptedServer,
) -> None:
    kind = "application/vnd.goharbor.harbor.sbom.v1"
    sbom = artifact(None, kind, b'{"spdxVersion": "SPDX-2.3"}')
    harbor = HarborScanDouble(server, IMAGE)
    harbor.artifact("Running", sbom={"scan_status": "Success", "sbom_digest": str(sbom.digest)})
    prefix = f"GET /v2/{REPOSITORY}"
    manifest = Reply(200, sbom.manifest.content, {"Content-Type": sbom.manifest.media_type})
    server.on(f"{prefix}/manifests/{sbom.digest}", manifest)
    server.on(f"{prefix}/blobs/{Digest.of(sbom.blobs[1])}", Reply(200, sbom.blobs[1]))

    answer = await ask_harbor(server)

    assert [(each.content, each.kind) for each in answer.documents] == [
        (b'{"spdxVersion": "SPDX-2.3"}', Kind.REPORT)
    ]
    assert [note.state for note in answer.notes] == [ScanState.RUNNING]


async def test_an_sbom_that_harbor_lost_is_said(server: ScriptedServer) -> None:
    harbor = HarborScanDouble(server, IMAGE)
    harbor.artifact("Success", sbom={"scan_status": "Success", "sbom_digest": str(OTHER)})
    harbor.report(REPORT)
    server.on(f"GET /v2/{REPOSITORY}/manifests/{OTHER}", Reply.of_json({"errors": []}, 404))

    answer = await ask_harbor(server)

    assert len(answer.documents) == 1
    assert [type(note.error) for note in answer.notes] == [NotFoundError]


@pytest.mark.parametrize("sbom", [None, {"scan_status": "Running"}, {"sbom_digest": "nonsense"}])
async def test_without_a_finished_sbom_none_is_looked_for(
    server: ScriptedServer, sbom: dict[str, object] | None
) -> None:
    HarborScanDouble(server, IMAGE).artifact("Running", sbom=sbom)

    answer = await ask_harbor(server)

    assert answer.documents == ()


async def test_dtrs_scan_of_a_tag_counts_for_all_that_the_tag_points_at(
    server: ScriptedServer,
) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    first, second = summary(6), summary(6, critical=3)
    dtr.summaries("1.0", [first, second])

    answer = await ask_dtr(server, "1.0")

    assert [json.loads(each.content) for each in answer.documents] == [first, second]
    assert {each.subject for each in answer.documents} == {str(IMAGE)}
    assert answer.documents[0].at == datetime(2026, 5, 7, 10, 11, 12, tzinfo=UTC)
    assert answer.notes == ()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, ScanState.FAILED),
        (1, ScanState.NOT_SCANNED),
        (2, ScanState.RUNNING),
        (3, ScanState.PENDING),
        (4, ScanState.RUNNING),
        (5, ScanState.RUNNING),
        (99, ScanState.FAILED),
    ],
)
async def test_a_scan_of_dtr_that_is_not_completed_is_a_state_and_no_document(
    server: ScriptedServer, status: int, state: ScanState
) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [summary(6), summary(status)])

    answer = await ask_dtr(server, "1.0")

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [state]


async def test_a_completed_scan_that_never_ended_is_still_running(server: ScriptedServer) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [summary(6, check_completed_at="0001-01-01T00:00:00Z")])

    answer = await ask_dtr(server, "1.0")

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [ScanState.RUNNING]


async def test_a_scan_is_not_taken_for_an_image_that_the_tag_left_meanwhile(
    server: ScriptedServer,
) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE, OTHER)
    dtr.summaries("1.0", [summary(6)])

    answer = await ask_dtr(server, "1.0")

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [ScanState.NOT_SCANNED]


async def test_of_several_tags_one_that_points_at_the_image_is_asked(
    server: ScriptedServer,
) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("old", OTHER)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [summary(6)])

    assert len((await ask_dtr(server, "old", "1.0")).documents) == 1


@pytest.mark.parametrize("tags", [(), ("old",)])
async def test_without_a_tag_dtr_has_no_scan_of_the_image(
    server: ScriptedServer, tags: tuple[str, ...]
) -> None:
    if tags:
        DtrScanDouble(server).points("old", OTHER)

    answer = await ask_dtr(server, *tags)

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [ScanState.NOT_SCANNED]


async def test_an_older_dtr_is_asked_by_its_own_path(server: ScriptedServer) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.old_summaries("1.0", [summary(6)])

    assert len((await ask_dtr(server, "1.0")).documents) == 1


async def test_what_dtr_warns_of_is_passed_on(server: ScriptedServer) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [summary(6, should_rescan=True, has_foreign_layers=True)])

    answer = await ask_dtr(server, "1.0")

    assert len(answer.documents) == 1
    assert ["again" in answer.notes[0].said, "did not scan" in answer.notes[1].said] == [True, True]


async def test_an_empty_list_of_scans_is_not_clean(server: ScriptedServer) -> None:
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [])

    answer = await ask_dtr(server, "1.0")

    assert answer.documents == ()
    assert [note.state for note in answer.notes] == [ScanState.NOT_SCANNED]


async def test_reports_are_held_to_the_bounds(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_promotion.evidence.sources.source.MAX_TOTAL_BYTES", 10)
    dtr = DtrScanDouble(server)
    dtr.points("1.0", IMAGE)
    dtr.summaries("1.0", [summary(6)])

    with pytest.raises(EvidenceError):
        await ask_dtr(server, "1.0")
