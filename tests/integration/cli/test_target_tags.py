"""rollback and retention against real registries, by the installed command."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import NAME, TARGET, Workplace
from tests.support.json_shape import documented_fields, fields_of, records

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "command-line.md"
STABLE = {
    "connection": "qa_registry",
    "repository": TARGET,
    "tag": "stable",
    "existing_tag": "overwrite",
}


def promote_two(place: Workplace) -> tuple[str, str]:
    """Promote one image after another under one tag; return their digests."""
    place.write_policy(target=STABLE)
    digests = []
    for tag in ("1-stable", "2-stable"):
        digests.append(place.push(tag, tag).digest)
        assert place.promotion("run", NAME, "--tag", tag).status == 0
    return digests[0], digests[1]


def test_a_tag_is_looked_at_set_back_and_brought_back(place: Workplace) -> None:
    first, second = promote_two(place)
    wish = ("rollback", NAME, "--tag", "stable", "--reason", "it crashes")

    look = place.promotion(*wish, "--dry-run", "--json")
    [seen] = records([look.json])
    assert (seen["from"], seen["to"]) == (second, first)
    assert fields_of([seen]) == documented_fields(DOCUMENTATION)["rollback, dry run"]
    assert (
        f"would be set back from {second} to {first}" in place.promotion(*wish, "--dry-run").stdout
    )
    assert place.target_tags() == {f"{TARGET}:stable": second}

    done = place.promotion(*wish)
    assert done.status == 0
    assert done.stdout == f"verified: {TARGET}:stable is set back from {second} to {first}\n"
    assert place.target_tags() == {f"{TARGET}:stable": first}
    assert "rollback" in place.promotion("history").stdout
    again = place.promotion("run", NAME, "--decide-again", "--tag", "2-stable")
    assert again.status == 0
    assert place.target_tags() == {f"{TARGET}:stable": first}

    back = place.promotion(*wish, "--to", second, "--json")
    assert back.status == 0
    [report] = records([back.json])
    [promotion] = records(report["promotions"])
    assert (promotion["kind"], promotion["state"]) == ("rollback", "verified")
    assert place.target_tags() == {f"{TARGET}:stable": second}


def test_a_rollback_without_a_reason_is_wrong_usage_and_one_of_an_unknown_tag_fails(
    place: Workplace,
) -> None:
    promote_two(place)

    assert place.promotion("rollback", NAME, "--tag", "stable").status == 2
    failed = place.promotion("rollback", NAME, "--tag", "latest", "--reason", "why not")
    assert failed.status == 1
    assert "has never set a target tag latest" in failed.stderr
    assert f"{TARGET}" not in failed.stdout


def test_superfluous_tags_are_named_and_removed_when_that_is_said(place: Workplace) -> None:
    for tag in ("1-stable", "2-stable", "3-stable"):
        place.push(tag, tag)
        assert place.promotion("run", NAME, "--tag", tag).status == 0
    assert "says nothing about which tags stay" in place.promotion("retention", NAME).stderr
    place.write_policy(retention={"keep_newest": 1})

    look = place.promotion("retention", NAME)
    assert look.status == 0
    assert f"would be removed: {TARGET}:1-stable" in look.stdout
    assert "Nothing was removed: --remove removes them" in look.stdout
    assert len(place.target_tags()) == 3

    done = place.promotion("retention", NAME, "--remove", "--json")
    assert done.status == 0
    [report] = records([done.json])
    assert fields_of([report]) == documented_fields(DOCUMENTATION)["retention"]
    assert [each["target"] for each in records(report["superfluous"])] == [
        f"{TARGET}:1-stable",
        f"{TARGET}:2-stable",
    ]
    assert set(place.target_tags()) == {f"{TARGET}:3-stable"}
    assert place.promotion("run", NAME).status == 0
    assert set(place.target_tags()) == {f"{TARGET}:3-stable"}
