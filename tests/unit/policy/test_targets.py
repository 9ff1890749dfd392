"""Several targets and several tags of a policy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from image_promotion.policy.loading import check_policy_file
from image_promotion.policy.model import Policy
from image_promotion.policy.places import MAX_TARGETS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EAST = {"connection": "east", "repository": "prod/website"}
WEST = {"connection": "west", "repository": "prod/website"}

HASH_OF_ONE_TARGET = "sha256:325b1847559d61e0da6c9185d8a33328be98d9232b23615a09c0e8ee9a3e4f26"


def document(**targets: object) -> dict[str, object]:
    return {
        "name": "website-to-prod",
        "source": {"connection": "qa", "repository": "qa/website"},
        "triggers": [{"tag": {"ends_with": "-stable"}}],
        **targets,
    }


def policy(**targets: object) -> Policy:
    return Policy.model_validate(document(**targets))


def messages(tmp_path: Path, **targets: object) -> list[str]:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(document(**targets), sort_keys=False))
    _, faults = check_policy_file(path)
    return [str(fault).removeprefix(f"{tmp_path}/p.yaml:").split(": ", 1)[1] for fault in faults]


def test_an_image_goes_to_each_target_under_each_tag() -> None:
    both = policy(targets=[{**EAST, "tag": ["%n", "latest"]}, {**WEST, "tag": "%n-%Y"}])

    assert [
        (each.target.connection, both.render_tag("1-stable", NOW, each))
        for each in both.destinations
    ] == [("east", "1-stable"), ("east", "latest"), ("west", "1-stable-2026")]
    assert both.target_connections == ("east", "west")
    assert both.target == both.all_targets[0]


def test_each_target_has_its_own_repository_and_time_zone() -> None:
    both = Policy.model_validate(
        {
            **document(
                targets=[
                    {**EAST, "repository": "east/{name}", "tag": "%H", "timezone": "Asia/Tokyo"},
                    {**WEST, "repository": "west/{name}", "tag": "%H"},
                ]
            ),
            "source": {"connection": "qa", "repository": "qa/*"},
        }
    )

    assert [
        (both.target_repository_for("qa/site", each), both.render_tag("1", NOW, each))
        for each in both.destinations
    ] == [("east/site", "21"), ("west/site", "12")]


def test_a_repository_belongs_to_a_policy_only_if_each_target_has_a_name_for_it() -> None:
    both = Policy.model_validate(
        {
            **document(
                targets=[
                    {**EAST, "repository": "e/x-{name}"},
                    {**WEST, "repository": "w/" + "x" * 240 + "-{name}"},
                ]
            ),
            "source": {"connection": "qa", "repository": "qa/x-*"},
        }
    )

    assert both.matches_repository("qa/x-short")
    assert not both.matches_repository("qa/x-" + "l" * 30)


def test_a_recorded_policy_of_several_targets_is_the_same_policy() -> None:
    both = policy(targets=[{**EAST, "tag": ["%n", "latest"]}, WEST])

    again = Policy.from_document(both.document())

    assert (again, again.hash) == (both, both.hash)


def test_a_policy_with_one_target_has_the_version_it_always_had() -> None:
    assert policy(target=EAST).hash == HASH_OF_ONE_TARGET
    assert policy(target={**EAST, "tag": "%n"}).hash == HASH_OF_ONE_TARGET


def test_each_target_and_each_tag_decides() -> None:
    hashes = {
        each.hash
        for each in (
            policy(target=EAST),
            policy(targets=[EAST]),
            policy(targets=[EAST, WEST]),
            policy(targets=[WEST, EAST]),
            policy(targets=[{**EAST, "tag": ["%n", "latest"]}, WEST]),
        )
    }

    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({}, "target: is missing (allowed: `target`, or `targets` for several)"),
        (
            {"target": EAST, "targets": [WEST]},
            "targets: stands beside `target` (allowed: one of `target` and `targets`)",
        ),
        (
            {"targets": [EAST, WEST, EAST]},
            "targets[2]: '%n' there is a tag of another target too",
        ),
        (
            {"targets": [EAST, {**EAST, "tag": ["latest", "%n"]}]},
            "targets[1]: '%n' there is a tag of another target too",
        ),
        (
            {"targets": [EAST, {**WEST, "repository": "qa/{name}"}]},
            "targets[1].repository: 'qa/{name}' does not go with source.repository 'qa/website'",
        ),
        (
            {"target": {**EAST, "tag": ["%n", "%n"]}},
            "target.tag[1]: '%n' is there twice (allowed: each template once)",
        ),
        (
            {"targets": [WEST, {**EAST, "tag": ["%n", "%{group}"]}]},
            "targets[1].tag[1]: ",
        ),
        ({"target": {**EAST, "tag": []}}, "target.tag: needs at least one value"),
        ({"target": {**EAST, "tag": ["%n", ""]}}, "target.tag[1]: must not be empty"),
    ],
)
def test_wrong_targets_are_told_with_their_place(
    tmp_path: Path, targets: dict[str, object], said: str
) -> None:
    (message,) = messages(tmp_path, **targets)

    assert message.startswith(said)


def test_there_are_so_many_targets_at_most() -> None:
    many = [{**EAST, "connection": f"dc{n}"} for n in range(MAX_TARGETS + 1)]

    assert len(policy(targets=many[1:]).destinations) == MAX_TARGETS
    with pytest.raises(ValidationError, match="has 21 targets"):
        policy(targets=many)


def test_each_target_is_said_in_words() -> None:
    said = policy(
        targets=[
            {**EAST, "tag": ["%n", "latest"], "existing_tag": "overwrite"},
            {**WEST, "tag": "%n-%Y"},
        ],
        requires=["dev-to-qa", "scan"],
        soak="1d",
    ).describe()

    assert "to each of these, whatever becomes of the others:" in said
    assert (
        "- `prod/website` (connection `east`) under the tag it has and the tag `latest` (UTC)"
        in said
    )
    assert "- `prod/website` (connection `west`) under the tag `%n-%Y` (UTC)" in said
    assert "If the target tag behind `east` holds another image, the tag is moved" in said
    assert "If the target tag behind `west` holds another image, the image is not promoted" in said
    assert "`dev-to-qa` and `scan` must each have verified the same digest in `qa/website`" in said
    assert "An image waits for 1 day after they verified it there, and goes with" in said
