"""What the Test button says about folders of layouts."""

from __future__ import annotations

from pathlib import Path

from image_promotion.registry.endpoint import RegistryEndpoint, RegistryType
from image_promotion.registry.layout import LayoutStore
from image_promotion.registry.manifest import OCI_INDEX, parse_manifest
from image_promotion.registry.probe_result import ProbeResult
from image_promotion.registry.probing import probe

EMPTY = parse_manifest(b'{"schemaVersion": 2, "manifests": []}', OCI_INDEX)

READ_ONLY = Path("/proc/self/fdinfo").resolve()
"""A folder in which nobody can make a file, also not root."""


async def try_folder(folder: Path, test_repository: str | None = None) -> ProbeResult:
    return await probe(
        RegistryEndpoint(
            "disk", folder.as_uri(), RegistryType.OCI_LAYOUT, test_repository=test_repository
        )
    )


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_an_empty_folder_can_be_used_and_stays_empty(tmp_path: Path) -> None:
    result = await try_folder(tmp_path, "dev/website")

    assert result.ok
    assert result.message == (
        f"{tmp_path} is a folder with 0 image layouts in it. The connection may read and write it. "
        "dev/website is not there yet; the first promotion into it makes it."
    )
    assert names_in(tmp_path) == []


async def test_layouts_and_tags_are_counted(tmp_path: Path) -> None:
    await LayoutStore(tmp_path).put_manifest("dev/website", "1.0", EMPTY)

    result = await try_folder(tmp_path, "dev/website")

    assert result.ok
    assert "is a folder with 1 image layout in it." in result.message
    assert result.message.endswith("dev/website has 1 tag.")


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = await try_folder(tmp_path / "not-mounted")

    assert not result.ok
    assert "not-mounted does not exist on this machine" in result.message


async def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "archive.tar").touch()

    result = await try_folder(tmp_path / "archive.tar")

    assert not result.ok
    assert result.message == f"{tmp_path}/archive.tar is not a folder."


async def test_a_folder_that_nobody_may_write_can_be_a_source() -> None:
    result = await try_folder(READ_ONLY)

    assert result.ok
    assert "The connection may read it. It may not write it: " in result.message


async def test_a_broken_layout_is_told_with_its_name(tmp_path: Path) -> None:
    await LayoutStore(tmp_path).put_manifest("dev/website", "1.0", EMPTY)
    (tmp_path / "dev" / "website" / "oci-layout").write_text("{}")

    result = await try_folder(tmp_path)

    assert not result.ok
    assert "is a folder that cannot be used" in result.message
    assert "dev/website" in result.message
