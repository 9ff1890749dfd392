from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from image_promotion.errors import EvidenceError
from image_promotion.evidence.document import Kind
from image_promotion.evidence.sources.files import FilesSource, is_named_by
from image_promotion.evidence.sources.source import Image, SourceAnswer
from image_promotion.registry.digest import Digest

IMAGE = Digest.of(b"image")
PART = Digest.of(b"part")
OTHER = Digest.of(b"other")
HEX = IMAGE.encoded


async def ask(folder: Path | str, *parts: Digest) -> SourceAnswer:
    return await FilesSource(str(folder)).documents(Image("dev/website", IMAGE, parts))


def names(answer: SourceAnswer) -> list[str]:
    return [each.location.split()[1] for each in answer.documents]


async def test_files_are_found_by_every_name_that_tells_the_digest(tmp_path: Path) -> None:
    wanted = [
        f"sha256-{HEX}.json",
        f"sha256-{HEX}.trivy.json",
        f"sha256-{HEX}-grype.json",
        f"{HEX}.json",
        f"{HEX}.sbom.xml",
        f"sha256/{HEX}/anything.json",
    ]
    unwanted = [
        f"sha256-{HEX}.txt",
        f"sha256-{HEX}json",
        f"sha256-{HEX}0.json",
        f"sha256-{HEX[:-1]}.json",
        f"sha512-{HEX}.json",
        f"a{HEX}.json",
        f"sha256-{OTHER.encoded}.json",
        f"sha256/{OTHER.encoded}/report.json",
        f"sha256/{HEX}/notes.txt",
        "report.json",
    ]
    for name in wanted + unwanted:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())

    answer = await ask(tmp_path)

    assert sorted(names(answer)) == sorted(wanted)
    assert {each.content.decode() for each in answer.documents} == set(wanted)
    assert answer.notes == ()


async def test_a_document_says_what_it_is_where_it_lies_and_when_it_was_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / f"{HEX}.intoto.json"
    path.write_bytes(b'{"payloadType": "x", "payload": "", "signatures": []}')
    os.utime(path, (1_700_000_000, 1_700_000_000))

    (document,) = (await ask(tmp_path)).documents

    assert document.kind is Kind.ENVELOPE
    assert document.subject == str(IMAGE)
    assert document.location == f"file {HEX}.intoto.json in {tmp_path}"
    assert document.at == datetime.fromtimestamp(1_700_000_000, UTC)


async def test_files_about_the_image_of_a_platform_are_about_that_alone(tmp_path: Path) -> None:
    (tmp_path / f"{HEX}.json").write_text("index")
    (tmp_path / f"{PART.encoded}.json").write_text("part")

    answer = await ask(tmp_path, PART)

    assert [(each.subject, each.content) for each in answer.documents] == [
        (str(IMAGE), b"index"),
        (str(PART), b"part"),
    ]


async def test_an_empty_folder_has_nothing_and_a_missing_one_cannot_be_asked(
    tmp_path: Path,
) -> None:
    assert await ask(tmp_path) == SourceAnswer()

    with pytest.raises(EvidenceError) as failed:
        await ask(tmp_path / "missing")
    assert str(tmp_path / "missing") in failed.value.attempted
    assert not failed.value.retryable


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "dangling"])
async def test_what_is_no_regular_file_is_said_and_not_read(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-secret")
    folder = tmp_path / "reports"
    folder.mkdir()
    path = folder / f"{HEX}.json"
    match kind:
        case "link":
            path.symlink_to(secret)
        case "dangling":
            path.symlink_to(tmp_path / "nothing")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()

    answer = await ask(folder)

    assert answer.documents == ()
    assert [type(note.error) for note in answer.notes] == [EvidenceError]


async def test_a_linked_folder_of_a_digest_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.json").write_text("{}")
    folder = tmp_path / "reports"
    (folder / "sha256").mkdir(parents=True)
    (folder / "sha256" / HEX).symlink_to(elsewhere)

    assert await ask(folder) == SourceAnswer()


async def test_a_file_over_the_limit_is_said_and_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_promotion.evidence.sources.files.MAX_SIZE_BYTES", 4)
    (tmp_path / f"{HEX}.json").write_text("12345")
    (tmp_path / f"{HEX}.small.json").write_text("1234")

    answer = await ask(tmp_path)

    assert [each.content for each in answer.documents] == [b"1234"]
    assert [type(note.error) for note in answer.notes] == [EvidenceError]


@pytest.fixture
def bucket() -> Iterator[UPath]:
    """An object store in memory, by the same library that reaches the real ones."""
    root = UPath("memory://reports-of-a-test")
    yield root
    if root.exists():
        root.rmdir(recursive=True)


def store_at(path: UPath, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def test_an_object_store_is_read_like_a_folder(bucket: UPath) -> None:
    store_at(bucket / f"sha256-{HEX}.json", b"one")
    store_at(bucket / "sha256" / HEX / "trivy.json", b"two")
    store_at(bucket / f"sha256-{OTHER.encoded}.json", b"another image's")

    answer = await ask(str(bucket))

    assert [each.content for each in answer.documents] == [b"one", b"two"]
    assert answer.notes == ()


async def test_what_is_no_file_in_an_object_store_is_said(bucket: UPath) -> None:
    store_at(bucket / f"sha256-{HEX}.json" / "inner", b"one")

    answer = await ask(str(bucket))

    assert answer.documents == ()
    assert [type(note.error) for note in answer.notes] == [EvidenceError]


async def test_a_place_that_no_client_knows_cannot_be_asked() -> None:
    with pytest.raises(EvidenceError) as failed:
        await ask("nowhere://key:canary-secret@reports/images?token=canary-secret")

    assert "canary-secret" not in str(failed.value)
    assert "nowhere://reports/images" in str(failed.value)


async def test_a_place_that_is_not_there_cannot_be_asked(bucket: UPath) -> None:
    with pytest.raises(EvidenceError):
        await ask(str(bucket))


@given(st.text(max_size=100))
def test_no_name_without_the_digest_counts(name: str) -> None:
    assert not is_named_by(name, IMAGE)
    assert not is_named_by(f"{name}/{HEX}.json", IMAGE)
