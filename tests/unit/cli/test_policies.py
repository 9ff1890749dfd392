from __future__ import annotations

from pathlib import Path

import pytest

from image_promotion.cli.main import main
from image_promotion.cli.policies import find_policy
from image_promotion.errors import PolicyError

TEXT = """\
name: {name}
source: {{connection: dev_registry, repository: dev/website}}
target: {{connection: qa_registry, repository: qa/website}}
triggers:
  - tag: {{ends_with: -stable}}
"""


def write(folder: Path, name: str, *, file: str = "") -> Path:
    path = folder / f"{file or name}.yaml"
    path.write_text(TEXT.format(name=name))
    return path


def test_a_policy_is_found_by_its_name_and_by_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, "website", file="another-stem")
    assert find_policy("website", tmp_path).name == "website"
    assert find_policy(str(path), Path("/nowhere")).name == "website"


def test_a_misspelled_name_is_told_the_nearest_one(tmp_path: Path) -> None:
    for name in ("website-stable-to-qa", "shop-stable-to-qa"):
        write(tmp_path, name)
    with pytest.raises(PolicyError, match=r"Did you mean website-stable-to-qa\?$") as refused:
        find_policy("website-stabel-to-qa", tmp_path)
    assert "shop-stable-to-qa" in refused.value.allowed


def test_a_name_like_no_other_is_told_what_there_is_and_no_guess(tmp_path: Path) -> None:
    write(tmp_path, "website")
    with pytest.raises(PolicyError) as refused:
        find_policy("zzz", tmp_path)
    assert refused.value.allowed == "website"
    assert not refused.value.advice


def test_of_many_policies_only_some_are_listed(tmp_path: Path) -> None:
    for number in range(23):
        write(tmp_path, f"policy-{number:02}")
    with pytest.raises(PolicyError) as refused:
        find_policy("zzz", tmp_path)
    assert refused.value.allowed.endswith("policy-19 and 3 more")


def test_the_name_of_a_broken_policy_gives_its_fault(tmp_path: Path) -> None:
    write(tmp_path, "website").write_text("name: website\n")
    with pytest.raises(PolicyError, match="is missing") as refused:
        find_policy("website", tmp_path)
    assert refused.value.file == tmp_path / "website.yaml"


def test_a_missing_name_is_told_of_broken_files(tmp_path: Path) -> None:
    write(tmp_path, "website").write_text("nonsense: true\n")
    with pytest.raises(PolicyError, match="promotion validate"):
        find_policy("shop", tmp_path)


def test_a_folder_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="--policies") as refused:
        find_policy("website", tmp_path / "nowhere")
    assert refused.value.file == tmp_path / "nowhere"


def test_valid_policies_are_named_and_exit_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "website")
    for place in (tmp_path, path):
        assert main(["validate", str(place)]) == 0
        assert capsys.readouterr().out == "ok: website\n"
    assert main(["validate", "--policies", str(tmp_path)]) == 0
    assert main(["--policies", str(tmp_path), "validate"]) == 0


def test_every_fault_of_every_file_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "good")
    one = write(tmp_path, "one")
    one.write_text(one.read_text().replace("ends_with", "ends_wiht") + "shedule: manual\n")
    two = write(tmp_path, "two")
    two.write_text("[not, a, policy]\n")
    assert main(["validate", str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert output.out == "ok: good\n"
    lines = output.err.splitlines()
    assert all(line.startswith("invalid: ") for line in lines)
    assert f"{one}:5:" in output.err
    assert "did you mean schedule?" in output.err
    assert f"{two}:1: must be a mapping" in output.err


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_place_without_policies_is_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["validate", str(tmp_path / name)]) == 1
    assert name in capsys.readouterr().err
