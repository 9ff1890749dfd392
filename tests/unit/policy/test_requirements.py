"""What policies require of one another, checked when a folder is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from image_promotion.policy.loading import load_policies

STAGES = ("dev", "qa", "uat", "prod")


def write(folder: Path, name: str, way: tuple[str, str], **more: object) -> None:
    source, target = way
    document = {
        "name": name,
        "source": {"connection": source, "repository": f"{source}/website"},
        "target": {"connection": target, "repository": f"{target}/website"},
        "triggers": [{"tag": {"ends_with": "-stable"}}],
        **more,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def read(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the good policies, and what is wrong with the others."""
    loaded = load_policies(folder)
    return (
        [each.policy.name for each in loaded.good],
        [str(each).removeprefix(f"{folder}/") for each in loaded.broken],
    )


def test_policies_may_require_what_comes_before_them(tmp_path: Path) -> None:
    write(tmp_path, "a", ("dev", "qa"))
    write(tmp_path, "b", ("qa", "uat"), requires="a")
    write(tmp_path, "c", ("uat", "prod"), requires=["b"])

    assert read(tmp_path) == (["a", "b", "c"], [])


@pytest.mark.parametrize(
    ("requires", "key"), [("aa", "11:11: requires"), (["a", "aa"], "13:3: requires[1]")]
)
def test_a_policy_that_nobody_has_written_is_told_and_the_others_go_on(
    tmp_path: Path, requires: object, key: str
) -> None:
    write(tmp_path, "a", ("dev", "qa"))
    write(tmp_path, "b", ("qa", "uat"), requires=requires)

    assert read(tmp_path) == (
        ["a"],
        [f"b.yaml:{key}: there is no policy 'aa'; did you mean a? (allowed: a)"],
    )


def test_a_policy_whose_file_is_broken_does_not_break_those_that_require_it(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a", ("dev", "qa"), limits={"images_per_run": 0})
    write(tmp_path, "b", ("qa", "uat"), requires="a")
    write(tmp_path, "c", ("uat", "prod"), requires="b")

    good, broken = read(tmp_path)

    assert good == ["b", "c"]
    assert len(broken) == 1


def test_policies_that_wait_for_one_another_are_told_with_the_way(tmp_path: Path) -> None:
    write(tmp_path, "a", ("dev", "qa"), requires="c")
    write(tmp_path, "b", ("qa", "dev"), requires="a")
    write(tmp_path, "c", ("qa", "dev"), requires="a")
    write(tmp_path, "d", ("qa", "prod"), requires="a")
    write(tmp_path, "e", ("qa", "qa2"), requires="e")

    good, broken = read(tmp_path)

    assert good == ["b", "d"]
    assert [each.partition(": requires: ")[2] for each in broken] == [
        "policies wait for one another: a -> c -> a (allowed: what comes before it)",
        "policies wait for one another: c -> a -> c (allowed: what comes before it)",
        "policies wait for one another: e -> e (allowed: what comes before it)",
    ]


def test_a_policy_that_brings_its_images_elsewhere_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a", ("dev", "qa"))
    write(tmp_path, "b", ("uat", "prod"), requires="a")

    good, (said,) = read(tmp_path)

    assert good == ["a"]
    assert "requires: a brings nothing to uat/website, but to qa/website" in said
