"""The page writes policy files whole or not at all, and nothing but policy files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from image_promotion.errors import PolicyError
from image_promotion.web.form import saving
from image_promotion.web.form.saving import (
    MAY_SAVE_VARIABLE,
    ChangedMeanwhileError,
    PolicyFolder,
    may_save,
)

OLD, NEW = b"name: old\n", b"name: new\n"


@pytest.fixture
def folder(tmp_path: Path) -> PolicyFolder:
    return PolicyFolder(tmp_path)


def _names(folder: PolicyFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


@pytest.mark.parametrize(("value", "may"), [("", False), ("no", False), ("yes", True)])
def test_nothing_is_written_unless_the_operator_says_so(
    monkeypatch: pytest.MonkeyPatch, value: str, may: bool
) -> None:
    monkeypatch.setenv(MAY_SAVE_VARIABLE, value)
    assert may_save() is may
    monkeypatch.delenv(MAY_SAVE_VARIABLE)
    assert not may_save()


def test_a_new_policy_gets_a_file_of_its_name(folder: PolicyFolder) -> None:
    file = folder.add("website", NEW)

    assert file == folder.path / "website.yaml"
    assert file.read_bytes() == NEW
    assert _names(folder) == ["website.yaml"]


@pytest.mark.parametrize("there", ["website.yaml", "website.yml"])
def test_a_new_policy_overwrites_nothing(folder: PolicyFolder, there: str) -> None:
    (folder.path / there).write_bytes(OLD)

    with pytest.raises(PolicyError, match="is there already"):
        folder.add("website", NEW)

    assert (folder.path / there).read_bytes() == OLD
    assert _names(folder) == [there]


def test_a_new_policy_follows_no_link(folder: PolicyFolder, tmp_path: Path) -> None:
    (folder.path / "website.yaml").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PolicyError, match="is there already"):
        folder.add("website", NEW)

    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_comes_at_the_last_moment_is_not_overwritten(
    folder: PolicyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who knows nothing of our lock may write between the look and the act."""

    def look(_folder: int, _name: str) -> None:
        (folder.path / "website.yaml").write_bytes(OLD)

    monkeypatch.setattr(saving, "_kind", look)

    with pytest.raises(PolicyError, match="is there already"):
        folder.add("website", NEW)
    assert (folder.path / "website.yaml").read_bytes() == OLD


def test_a_changed_policy_keeps_the_mode_of_its_file(folder: PolicyFolder) -> None:
    file = folder.path / "website.yaml"
    file.write_bytes(OLD)
    file.chmod(0o640)

    folder.change("website.yaml", NEW, base=OLD)

    assert file.read_bytes() == NEW
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert _names(folder) == ["website.yaml"]


def test_a_file_that_has_changed_meanwhile_is_left_alone(folder: PolicyFolder) -> None:
    (folder.path / "website.yaml").write_bytes(b"name: theirs\n")

    with pytest.raises(ChangedMeanwhileError) as caught:
        folder.change("website.yaml", NEW, base=OLD)

    assert caught.value.now == b"name: theirs\n"
    assert (folder.path / "website.yaml").read_bytes() == b"name: theirs\n"
    with pytest.raises(ChangedMeanwhileError) as gone:
        folder.change("shop.yaml", NEW, base=OLD)
    assert gone.value.now is None


def test_a_link_in_the_place_of_a_policy_is_not_followed(
    folder: PolicyFolder, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_bytes(OLD)
    (folder.path / "website.yaml").symlink_to(outside)

    with pytest.raises(PolicyError, match="is a link"):
        folder.change("website.yaml", NEW, base=OLD)

    assert outside.read_bytes() == OLD


@pytest.mark.parametrize("name", ["../website.yaml", "a/website.yaml", "website.txt", "keys.pub"])
def test_only_policy_files_of_the_folder_are_written(folder: PolicyFolder, name: str) -> None:
    with pytest.raises(PolicyError, match="is no policy file"):
        folder.change(name, NEW, base=OLD)


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(
    folder: PolicyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.path / "website.yaml").write_bytes(OLD)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(PolicyError, match="No space left on device"):
        folder.change("website.yaml", NEW, base=OLD)
    with pytest.raises(PolicyError, match="No space left on device"):
        folder.add("shop", NEW)
    assert (folder.path / "website.yaml").read_bytes() == OLD
    assert _names(folder) == ["website.yaml"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be written: No such file or directory"):
        PolicyFolder(tmp_path / "none").add("website", NEW)
